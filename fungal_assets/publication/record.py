"""What a push did, kept as `publication.json` and told in a sentence."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungal_assets.store import Figures

PUBLICATION = "publication.json"
_SHOWN = 5


@dataclass(frozen=True)
class Publication:
    """What a push did, or in a dry run would do; `publication.json` keeps it.

    Args:
        repo_id: The repository.
        kind: `"dataset"` or `"model"`.
        branch: Its branch.
        revision: The commit that holds all files; empty in a dry run that finds some missing.
        tag: The tag that names them.
        url: The page of the tag.
        is_private: Whether only the account sees the repository.
        content_hash: One hash over the names and the bytes of the files.
        files: Size and SHA-256 by path.
        uploaded: The paths that the branch lacked, or had with other bytes.
        uploaded_bytes: Their size.
        unchanged: How many files were there already.
        deleted: Paths of an earlier publication, or foreign ones by demand, that were taken away.
        foreign: Paths that no publication sent and that were left.
        overwritten: Paths whose bytes no publication had sent.
        commits: How many commits were made.
    """

    repo_id: str
    kind: str
    branch: str
    revision: str
    tag: str
    url: str
    is_private: bool
    content_hash: str
    files: dict[str, dict[str, Any]]
    uploaded: list[str]
    uploaded_bytes: int
    unchanged: int
    deleted: list[str]
    foreign: list[str]
    overwritten: list[str]
    commits: int

    def to_json(self) -> str:
        """As JSON text."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)

    def figures(self) -> Figures:
        """What reports and pages show of it."""
        return {
            "url": self.url,
            "revision": self.revision,
            "tag": self.tag,
            "files": len(self.files),
            "uploaded": len(self.uploaded),
            "uploaded_mb": round(self.uploaded_bytes / 1e6, 3),
            "unchanged": self.unchanged,
            "deleted": len(self.deleted),
            "foreign": len(self.foreign),
            "commits": self.commits,
        }

    def page(self) -> str:
        """Markdown for the asset page."""
        seen = "private" if self.is_private else "public"
        return f"[{self.repo_id}]({self.url}), {seen}, branch `{self.branch}`: {self.told()}"

    def told(self) -> str:
        """What was done, in a sentence."""
        kept = f"; {len(self.foreign)} foreign files stay: {shown(self.foreign)}" if self.foreign else ""
        over = f"; over foreign files: {shown(self.overwritten)}" if self.overwritten else ""
        gone = f", {len(self.deleted)} taken away" if self.deleted else ""
        return (
            f"{len(self.uploaded)} files sent ({self.uploaded_bytes / 1e6:.2f} MB), {self.unchanged} were there{gone}, "
            f"{self.commits} commits, tag {self.tag!r} of {self.repo_id!r}{over}{kept}"
        )


def read_publication(folder: Path) -> Publication:
    """The publication that a folder keeps."""
    return Publication(**json.loads((folder / PUBLICATION).read_text(encoding="utf-8")))


def shown(items: Sequence[str]) -> str:
    """The first few."""
    more = f" and {len(items) - _SHOWN} more" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more
