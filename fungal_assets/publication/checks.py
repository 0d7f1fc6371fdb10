"""Verdicts about a publication: what lies on the hub now, and who may see it. Nothing is sent or mended."""

from __future__ import annotations

from pathlib import Path

from fungal_assets.publication.hub import Hub, Place
from fungal_assets.publication.record import Publication, read_publication, shown
from fungal_assets.verdicts import Verdict


def check_what_lies_there(published: Path, hub: Hub) -> Verdict:
    """The tag names all files that were sent, with their sizes and hashes, asked of the hub now."""
    publication = read_publication(published)
    place = _place(publication)
    with hub.session():
        revision = hub.refs(place)[1].get(publication.tag)
        found = hub.files(place, revision) if revision else {}
        faults = [] if revision else [f"there is no tag {publication.tag!r}"]
        for path, sent in publication.files.items() if revision else ():
            remote = found.get(path)
            if remote is None:
                faults.append(f"{path} is not there")
            elif remote.size_bytes != sent["bytes"]:
                faults.append(f"{path} has {remote.size_bytes} bytes, not {sent['bytes']}")
            elif (remote.sha256 or hub.read_hash(place, str(revision), path)) != sent["sha256"]:
                faults.append(f"{path} has other bytes")
    finding = (
        f"{len(faults)} faults at {publication.url}: {shown(faults)}; publish again"
        if faults
        else f"all {len(publication.files)} files lie at {publication.url}"
    )
    return Verdict(not faults, f"{finding}.", {"files": len(publication.files), "faults": len(faults)})


def check_seen_by_whom_was_asked(published: Path, hub: Hub, *, is_private: bool) -> Verdict:
    """What was to be private is private."""
    publication = read_publication(published)
    with hub.session():
        found = hub.is_private(_place(publication))
    seen = {True: "private", False: "public", None: "gone"}[found]
    passed = found is not None and (bool(found) or not is_private)
    remedy = "" if passed else "; make it private on its settings page, or publish again if it is gone"
    return Verdict(passed, f"{publication.repo_id!r} is {seen}{remedy}.", {"seen": seen})


def _place(publication: Publication) -> Place:
    return Place(publication.repo_id, publication.kind, publication.branch)
