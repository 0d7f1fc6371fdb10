"""The pages, rendered from the templates beside this module.

Every value is escaped, an undefined one is an error, and links are relative: `root` leads from a page to the site's
root. Belongs here: templates and what they are given. Choosing pictures and reading a growth do not.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from fungal_assets import __version__
from fungal_assets.exhibition import wording
from fungal_assets.exhibition.solids import SCRIPTS
from fungal_assets.store import write_atomically

STYLE_SHEET = "guide.css"


@dataclass
class Site:
    """Writes pages into a folder.

    Args:
        folder: The site's root.
        shared: What every template is given.
        pages: Paths of the pages written so far, relative to the root.
    """

    folder: Path
    shared: Mapping[str, Any]
    pages: list[str] = field(default_factory=list)

    def write_page(self, path: str, template: str, **values: Any) -> None:
        """Render a template to `path`, relative to the root."""
        target = self.folder / path
        target.parent.mkdir(exist_ok=True)
        root = "../" * path.count("/")
        text = (
            _environment()
            .get_template(template)
            .render(root=root, page=path, package_version=__version__, **self.shared, **values)
        )
        write_atomically(target, text)
        self.pages.append(path)

    def write_style(self) -> None:
        """Write the style sheet into the root."""
        self._write_file(STYLE_SHEET)

    def write_scripts(self) -> None:
        """Write the scripts of the object and of the walk into the root."""
        for name in SCRIPTS:
            self._write_file(name)

    def _write_file(self, name: str) -> None:
        source = files("fungal_assets.exhibition") / "templates" / name
        write_atomically(self.folder / name, source.read_text(encoding="utf-8"))


@functools.cache
def _environment() -> Environment:
    """The templates, compiled once."""
    environment = Environment(
        loader=PackageLoader("fungal_assets.exhibition"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": wording.to_percent,
        "size": wording.to_size,
        "duration": wording.to_duration,
        "sentence": wording.to_sentence_case,
        "short": wording.shorten_hash,
        "words": wording.to_words,
        "plain": wording.to_value,
    }
    return environment
