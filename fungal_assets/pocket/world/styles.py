"""The six emoji art styles that the world is drawn in: their npm package, pinned hash, creator and licence.

Belongs here: facts about the packages and the thanks that a model card owes. Reading them does not (`art`).
All six are permissively licensed (Apache-2.0, MIT, CC BY 4.0); share-alike and unclear sets were left out on
purpose.
"""

from __future__ import annotations

from dataclasses import dataclass

HELD_OUT_STYLE = "emojione"


@dataclass(frozen=True)
class ArtStyle:
    """One style of art, as one npm package in the iconify format.

    Attributes:
        name: The word for it in captions, such as `"noto"`.
        package: npm package name.
        version: Its pinned version.
        sha256: Hex digest of the package's `.tgz` file.
        title: The art's own name.
        creator: Who drew it.
        licence: SPDX identifier of the art's licence.
        licence_url: Where the licence text stands.
        url: Where the art comes from.
    """

    name: str
    package: str
    version: str
    sha256: str
    title: str
    creator: str
    licence: str
    licence_url: str
    url: str

    @property
    def file_name(self) -> str:
        """The name that `npm pack` gives the package's file."""
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"

    @property
    def attribution(self) -> str:
        """One sentence for the model card: title, creator, licence, source and what was changed."""
        return (
            f"{self.title} by {self.creator} ({self.url}), {self.licence} ({self.licence_url}), from npm "
            f"{self.package} {self.version}; rasterised, cropped and set on plain backgrounds."
        )


_APACHE_NOTO = "https://github.com/googlefonts/noto-emoji/blob/main/svg/LICENSE"
_CC_BY = "https://creativecommons.org/licenses/by/4.0/"

STYLES: tuple[ArtStyle, ...] = (
    ArtStyle(
        name="noto",
        package="@iconify-json/noto",
        version="1.2.9",
        sha256="3e918d88fc945c0bb3d468dbace6f88caef67f01c9f0e7bcae0915a042e8f1ad",
        title="Noto Emoji",
        creator="Google Inc",
        licence="Apache-2.0",
        licence_url=_APACHE_NOTO,
        url="https://github.com/googlefonts/noto-emoji",
    ),
    ArtStyle(
        name="blob",
        package="@iconify-json/noto-v1",
        version="1.2.5",
        sha256="2bf62c26c2c2884aa99e90aec942cdaee17a5921f05690694f4978ad4b017c37",
        title="Noto Emoji, first version",
        creator="Google Inc",
        licence="Apache-2.0",
        licence_url=_APACHE_NOTO,
        url="https://github.com/googlefonts/noto-emoji",
    ),
    ArtStyle(
        name="twemoji",
        package="@iconify-json/twemoji",
        version="1.2.5",
        sha256="19046dff7d8707ce96212ec86468b36ac5f8e60409629dd13f809265c6d0ebb7",
        title="Twemoji",
        creator="Twitter, Inc and other contributors",
        licence="CC-BY-4.0",
        licence_url=_CC_BY,
        url="https://github.com/jdecked/twemoji",
    ),
    ArtStyle(
        name="fluent",
        package="@iconify-json/fluent-emoji-flat",
        version="1.2.6",
        sha256="7d064769dee690815f823bc5bcc511d957198caf9f5edd8dd9c1aa48a6aeb175",
        title="Fluent Emoji Flat",
        creator="Microsoft Corporation",
        licence="MIT",
        licence_url="https://github.com/microsoft/fluentui-emoji/blob/main/LICENSE",
        url="https://github.com/microsoft/fluentui-emoji",
    ),
    ArtStyle(
        name="emojione",
        package="@iconify-json/emojione",
        version="1.2.3",
        sha256="26a14f44284407e8bcde91799388dca2bfd91dbcd55a97f425524a1c5b73610e",
        title="Emoji One 2",
        creator="Emoji One",
        licence="CC-BY-4.0",
        licence_url=_CC_BY,
        url="https://github.com/EmojiTwo/emojitwo",
    ),
    ArtStyle(
        name="fxemoji",
        package="@iconify-json/fxemoji",
        version="1.2.2",
        sha256="f3e72b3c59d05e1db03b7e308d55c0d05bd7ba3f625a90da1b79313c12858eef",
        title="Firefox OS Emoji",
        creator="Mozilla",
        licence="Apache-2.0",
        licence_url="https://mozilla.github.io/fxemoji/LICENSE.md",
        url="https://github.com/mozilla/fxemoji",
    ),
)

TRAINING_STYLES: tuple[str, ...] = tuple(style.name for style in STYLES if style.name != HELD_OUT_STYLE)
ATTRIBUTION: dict[str, str] = {style.name: style.attribution for style in STYLES}
