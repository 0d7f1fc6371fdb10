"""The links and references of a site's pages and style sheets.

Belongs here: finding them in the text. Whether they hold is for `checks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

LINK_ATTRIBUTES = frozenset(
    {"href", "src", "poster", "data", "action", "formaction", "background", "xlink:href"}
)
_CSS_REFERENCE = re.compile(r"""url\(\s*["']?([^"')]+)["']?\s*\)|@import\s+["']([^"']+)["']""")
_ASKING = re.compile(
    r"""(?:https?|wss?|ftp)://|["'`]//|\bfetch\s*\(|XMLHttpRequest|WebSocket|EventSource|sendBeacon|import\s*\("""
)


@dataclass(frozen=True)
class Link:
    """One reference: the file that it stands in, relative to the root, and its text."""

    page: str
    target: str

    @property
    def is_foreign(self) -> bool:
        """Whether following it asks another host."""
        parts = urlsplit(self.target.strip())
        return bool(parts.netloc) or parts.scheme not in ("", "data")

    @property
    def path(self) -> str:
        """The path that it leads to, unquoted, relative to its page; empty for the page itself."""
        return unquote(urlsplit(self.target).path)

    @property
    def fragment(self) -> str:
        """The id that it leads to, or an empty text."""
        return unquote(urlsplit(self.target).fragment)


@dataclass
class Page(HTMLParser):
    """What a page refers to, the ids that it has, and its own scripts."""

    name: str
    links: list[Link] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    scripts: list[str] = field(default_factory=list)
    _inside: str = ""

    def __post_init__(self):
        super().__init__(convert_charrefs=True)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Collect links and ids of one element."""
        self._inside = tag
        for name, value in attrs:
            text = value or ""
            if name == "id":
                self.ids.add(text)
            elif name in LINK_ATTRIBUTES:
                self._add(text)
            elif name == "srcset":
                for part in text.split(","):
                    self._add(part.split()[0])
            elif name == "style":
                self._add_style(text)
            elif name == "content" and "url=" in text.lower():
                self._add(re.split("url=", text, flags=re.IGNORECASE)[1])

    def handle_endtag(self, tag: str) -> None:
        """Leave an element."""
        self._inside = ""

    def handle_data(self, data: str) -> None:
        """Collect what scripts and inline styles refer to."""
        if self._inside == "script":
            self.scripts.append(data)
        elif self._inside == "style":
            self._add_style(data)

    def _add(self, target: str) -> None:
        self.links.append(Link(self.name, target))

    def _add_style(self, text: str) -> None:
        for target in css_references(text):
            self._add(target)


def css_references(text: str) -> Iterator[str]:
    """What a style sheet asks for."""
    for match in _CSS_REFERENCE.finditer(text):
        yield match[1] or match[2]


def asks_a_host(script: str) -> bool:
    """Whether a script names an address or has a way to ask for one."""
    return bool(_ASKING.search(script))


def read_page(folder: Path, path: Path) -> Page:
    """Parse one page of a site."""
    page = Page(path.relative_to(folder).as_posix())
    page.feed(path.read_text(encoding="utf-8"))
    page.close()
    return page


def read_pages(folder: Path) -> list[Page]:
    """All pages of a site, in the order of their paths."""
    return [read_page(folder, path) for path in sorted(folder.rglob("*.html"))]


def read_scripts(folder: Path) -> dict[str, str]:
    """The site's script files, by their paths relative to the root."""
    scripts = sorted(folder.rglob("*.js"))
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in scripts}


def read_sheet_links(folder: Path) -> list[Link]:
    """What the site's style sheets refer to."""
    sheets = sorted(folder.rglob("*.css"))
    return [
        Link(path.relative_to(folder).as_posix(), target)
        for path in sheets
        for target in css_references(path.read_text(encoding="utf-8"))
    ]
