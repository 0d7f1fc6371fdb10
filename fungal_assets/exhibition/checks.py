"""What must hold for a field guide, each claim as one verdict about its folder."""

from __future__ import annotations

import json
import posixpath
from collections.abc import Mapping
from pathlib import Path

from fungal_assets.exhibition.links import Link, Page, asks_a_host, read_pages, read_scripts, read_sheet_links
from fungal_assets.verdicts import Verdict, name_some

REMEDY = "Build field_guide again."


def check_links_resolve(field_guide: Path) -> Verdict:
    """Every link and reference leads to a file of the folder, and to an id that is there."""
    pages = {page.name: page for page in read_pages(field_guide)}
    links = [link for page in pages.values() for link in page.links] + read_sheet_links(field_guide)
    own = [link for link in links if not link.is_foreign and not link.target.startswith("data:")]
    broken = [f"{link.target!r} in {link.page}" for link in own if not _resolves(field_guide, pages, link)]
    finding = f"{len(own)} links and references of {len(pages)} pages lead to files of the folder."
    if broken or not pages:
        finding = f"{len(broken)} of {len(own)} links of {len(pages)} pages lead nowhere: {name_some(broken)}. {REMEDY}"
    return Verdict(not broken and bool(pages), finding, {"links": len(own), "broken": len(broken)})


def _resolves(folder: Path, pages: Mapping[str, Page], link: Link) -> bool:
    place = (
        posixpath.normpath(posixpath.join(posixpath.dirname(link.page), link.path))
        if link.path
        else link.page
    )
    if place.startswith(("..", "/")) or not (folder / place).is_file():
        return False
    return not link.fragment or (place in pages and link.fragment in pages[place].ids)


def check_every_species_has_a_page(field_guide: Path, species: Path) -> Verdict:
    """Every species has a page, and the index leads there."""
    named = json.loads((species / "species.json").read_text(encoding="utf-8"))["species"]
    linked = {
        link.path for page in read_pages(field_guide) if page.name == "index.html" for link in page.links
    }
    faults = []
    for row in named:
        path = f"species/{row['slug']}.html"
        if not (field_guide / path).is_file():
            faults.append(f"{row['common_name']!r} has no page {path}")
        elif path not in linked:
            faults.append(f"index.html does not lead to {path}")
    finding = f"{len(named)} species, each with its page, and the index leads to all."
    if faults:
        finding = f"{len(faults)} faults among {len(named)} species: {name_some(faults)}. {REMEDY}"
    return Verdict(not faults, finding, {"species": len(named), "missing": len(faults)})


def check_asks_no_other_host(field_guide: Path) -> Verdict:
    """No page, style sheet or script asks another host: the guide works from a folder, offline."""
    pages = read_pages(field_guide)
    links = [link for page in pages for link in page.links] + read_sheet_links(field_guide)
    foreign = [f"{link.target!r} in {link.page}" for link in links if link.is_foreign]
    foreign += [
        f"a script in {page.name}" for page in pages for script in page.scripts if asks_a_host(script)
    ]
    foreign += [name for name, script in read_scripts(field_guide).items() if asks_a_host(script)]
    finding = f"{len(pages)} pages with {len(links)} links and references, none to another host."
    if foreign:
        finding = f"{len(foreign)} references ask another host: {name_some(foreign)}. {REMEDY}"
    return Verdict(not foreign, finding, {"pages": len(pages), "foreign": len(foreign)})
