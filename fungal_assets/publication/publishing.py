"""The push: find out what the hub lacks, send that, prove that it is there, tag it.

Each step looks at what is there first, so a push that was killed anywhere is gone on with by pushing again, and a push
of what is there makes no commit. Files are told apart by their hashes. A branch holds files of three kinds: those that
go up now, those that an earlier publication sent and that are no longer among them, which go, and foreign ones, which
stay and are named. Foreign files that whoever loads the dataset would read with it are refused. The provenance comes
with the last commit; where there are several, the first one announces what is to come, so that the files of a push that
ended between two are known as ours by whatever is pushed next.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from fungal_assets.errors import InputError, PublicationError
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.publication.contents import Contents
from fungal_assets.publication.differences import Difference, batched, compare, is_there
from fungal_assets.publication.hub import Hub, Place, Remote
from fungal_assets.publication.record import Publication, shown
from fungal_assets.store import RECORD_NAME

MAIN = "main"
ANNOUNCEMENT = ".publishing.json"
"""On a branch between the first and the last of several commits: the hashes of all that is ours or will be, by path."""
READ_BACK_BYTES = 10_000_000
"""Files up to this size are fetched and hashed; of larger ones the hash that the hub keeps of their bytes counts."""


def publish(
    contents: Contents,
    hub: Hub,
    *,
    repo_id: str,
    branch: str,
    is_private: bool,
    is_dry_run: bool,
    deletes_foreign: bool,
    tell: Tell = stay_silent,
) -> Publication:
    """Bring the contents to a branch of a repository, prove that they are there, and tag them.

    Args:
        contents: What goes up.
        hub: The hub.
        repo_id: The repository, `owner/name`; made if there is none.
        branch: Its branch; made from `main` if there is none.
        is_private: Whether a new repository is private; one that is there and public is then refused.
        is_dry_run: Look and tell only; nothing on the hub changes.
        deletes_foreign: Take foreign files of the branch away.
        tell: Progress.

    Raises:
        InputError: `repo_id` or `branch` can't be.
        PublicationError: The hub refuses or stays busy; foreign files would be read as part of the dataset; or what
            was read back is not what was sent.
    """
    place = Place(checked_repo_id(repo_id), contents.kind, _checked_branch(branch))
    push = _Push(contents, hub, place, deletes_foreign, tell)
    with hub.session():
        account = hub.check_account()
        was_private = push.check_visibility(is_private)
        tell(f"{contents.tag} to {repo_id!r}, branch {branch!r}, as {account}")
        if is_dry_run:
            return push.rehearse(was_private, is_private)
        if was_private is None:
            hub.create_repo(place, is_private=is_private)
            was_private = push.check_visibility(is_private)
            tell(f"made the {'private' if is_private else 'public'} {contents.kind} repository {repo_id!r}")
        if branch not in hub.refs(place)[0]:
            hub.create_branch(place)
        sent = push.send()
        push.prove(sent.head)
        publication = push.told(sent, push.tag(sent.head), is_private=bool(was_private))
    tell(publication.told())
    return publication


def checked_repo_id(repo_id: str) -> str:
    """The same, if it can be one.

    Raises:
        InputError: It can't.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo_id)
    except HFValidationError as error:
        raise InputError(f"repo_id {repo_id!r} can't be: {error}") from error
    if repo_id.count("/") != 1:
        raise InputError(f"repo_id {repo_id!r} names no account; expected owner/name, such as ada/new-fungi.")
    return repo_id


def _checked_branch(branch: str) -> str:
    if not branch or branch.startswith(("refs/", "-", "/")) or branch != branch.strip():
        raise InputError(f"branch {branch!r} can't be; expected a name such as 'main'.")
    return branch


@dataclass(frozen=True)
class _Sent:
    """What sending did: what the branch lacked at first, its head, the foreign files left there, how many commits."""

    before: Difference
    head: str
    foreign: Sequence[str]
    commits: int


@dataclass(frozen=True)
class _Seen:
    """A look at a commit: what it lacks and has beside, and the hashes that it says publications sent, by path."""

    difference: Difference
    claims: Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class _Push:
    """One push of some contents to one place."""

    contents: Contents
    hub: Hub
    place: Place
    deletes_foreign: bool
    tell: Tell

    def check_visibility(self, is_private: bool) -> bool | None:
        """Whether the repository is private, None if there is none; what is private never goes to a public one."""
        was_private = self.hub.is_private(self.place)
        if is_private and was_private is False:
            raise PublicationError(
                f"{self.place.repo_id!r} is public, and is_private was asked for. Make it private on its settings "
                "page, choose another repo_id, or publish openly with is_private=false."
            )
        return was_private

    def rehearse(self, was_private: bool | None, is_private: bool) -> Publication:
        """What a push would do; nothing is changed."""
        head = ""
        if was_private is not None:
            branches, _ = self.hub.refs(self.place)
            head = branches.get(self.place.branch) or branches.get(MAIN) or ""
        before = self._look(head).difference
        self._refuse_read_with(() if self.deletes_foreign else before.foreign)
        is_complete = not (before.missing or before.outdated)
        publication = self.told(
            _Sent(before, head, () if self.deletes_foreign else before.foreign, 0),
            head if is_complete else "",
            is_private=is_private if was_private is None else was_private,
        )
        self.tell(f"dry run, nothing is changed; what a push would do: {publication.told()}")
        return publication

    def send(self) -> _Sent:
        """Commit until the branch lacks nothing; foreign files that come meanwhile are never taken away."""
        first: Difference | None = None
        commits = 0
        for _ in range(self.hub.patience.attempts):
            head = self.hub.refs(self.place)[0][self.place.branch]
            seen = self._look(head)
            now = seen.difference
            first = first or now
            unwanted = set(first.foreign) if self.deletes_foreign else set()
            self._refuse_read_with([path for path in now.foreign if path not in unwanted])
            gone = now.outdated + tuple(path for path in now.foreign if path in unwanted)
            if not now.missing and not gone:
                if now is first:
                    self.tell("all files are there already; no commit is made")
                return _Sent(first, head, now.foreign, commits)
            commits += self._commit(head, seen, gone)
        raise PublicationError(
            f"the branch {self.place.branch!r} of {self.place.repo_id!r} does not come to rest: somebody else is "
            "pushing to it, or the hub leaves files out. Publish again later, or to another branch."
        )

    def _commit(self, head: str, seen: _Seen, gone: Sequence[str]) -> int:
        """Commit in bounded steps, the cards last; stops where another's commit came between. Returns how many."""
        missing = seen.difference.missing
        batches = list(batched({path: self.contents.files[path] for path in missing})) or [{}]
        announced = {ANNOUNCEMENT: self._announce(seen.claims)} if len(batches) > 1 else {}
        if announced and ANNOUNCEMENT in seen.difference.foreign and ANNOUNCEMENT not in gone:
            raise PublicationError(
                f"the branch holds a foreign file {ANNOUNCEMENT}, where a push of several commits notes what is "
                "to come. Rename it, publish to another branch or repository, or take it away with "
                "deletes_foreign=true."
            )
        for number, batch in enumerate(batches, 1):
            is_first, is_last = number == 1, number == len(batches)
            sent_mb = sum(file.size_bytes for file in batch.values()) / 1e6
            self.tell(f"commit {number} of {len(batches)}: {len(batch)} files, {sent_mb:.2f} MB")
            made = self.hub.commit(
                self.place,
                parent=head,
                message=f"Publish {self.contents.tag}, {number} of {len(batches)}",
                added={path: file.source for path, file in batch.items()} | (announced if is_first else {}),
                deleted={*gone, *announced} if is_last else (),
            )
            if made is None:
                return number - 1
            head = made
        return len(batches)

    def _announce(self, claims: Mapping[str, Sequence[str]]) -> bytes:
        """What the branch claims as ours already, and what is to come."""
        ours = {path: {*hashes} for path, hashes in claims.items()}
        for path, file in self.contents.files.items():
            ours.setdefault(path, set()).add(file.sha256)
        return json.dumps(
            {"sent": {path: sorted(hashes) for path, hashes in sorted(ours.items())}}, indent=1
        ).encode()

    def _look(self, head: str) -> _Seen:
        """What a commit lacks and has beside; none of no commit."""
        found = self.hub.files(self.place, head) if head else {}
        records = self._records(head, found)
        claims: dict[str, list[str]] = {}
        for record in records.values():
            for path, hashes in record.items():
                claims.setdefault(path, []).extend(hashes)
        own = {
            path
            for path, hashes in claims.items()
            if path in found and any(self._holds(head, path, found[path], sha256) for sha256 in hashes)
        }
        return _Seen(compare(self.contents, found, own | records.keys()), claims)

    def _refuse_read_with(self, foreign: Sequence[str]) -> None:
        """Raise if whoever loads the contents would read some of these files with them."""
        read_with = self._read_with(foreign)
        if read_with:
            raise PublicationError(
                f"the branch holds {len(read_with)} foreign files that would be read as part of the "
                f"{self.contents.kind}: {shown(read_with)}. Publish to another branch or repository, or take them "
                "away with deletes_foreign=true."
            )

    def _read_with(self, paths: Iterable[str]) -> list[str]:
        """Those that whoever loads the contents would read with them."""
        patterns = self.contents.read_with
        return sorted(path for path in paths if any(fnmatch.fnmatch(path, pattern) for pattern in patterns))

    def _records(self, head: str, found: Mapping[str, Remote]) -> dict[str, dict[str, list[str]]]:
        """What provenance and announcement on the branch say that publications sent, those of them that are ours."""
        read = {
            name: _read_claims(self.hub.read(self.place, head, name))
            for name in (RECORD_NAME, ANNOUNCEMENT)
            if name in found and found[name].size_bytes <= READ_BACK_BYTES
        }
        return {name: claims for name, claims in read.items() if claims}

    def _holds(self, head: str, path: str, remote: Remote, sha256: str) -> bool:
        """Whether a file of the hub has that hash; small ones are fetched, unless they are to be there anyway."""
        if remote.sha256:
            return remote.sha256 == sha256
        file = self.contents.files.get(path)
        return (file is not None and is_there(file, remote)) or self.hub.read_hash(
            self.place, head, path
        ) == sha256

    def prove(self, revision: str) -> None:
        """Read all files of a commit back; small ones are fetched and hashed.

        Raises:
            PublicationError: Some are not there or have other bytes; they are named.
        """
        faults = find_faults(self.contents, self.hub.files(self.place, revision))
        for path, file in self.contents.files.items():
            is_small = file.size_bytes <= READ_BACK_BYTES
            if not faults and is_small and self.hub.read_hash(self.place, revision, path) != file.sha256:
                faults.append(f"{path} comes back with other bytes than the hub says")
        if faults:
            raise PublicationError(
                f"{self.place.repo_id!r} does not hold what was sent, so no tag is set: {shown(faults)}. "
                "Publish again."
            )
        self.tell(f"read back {len(self.contents.files)} files at {revision[:12]}: all as sent")

    def tag(self, head: str) -> str:
        """Set the tag, or find that it is set; returns the commit that it names."""
        tag = self.contents.tag
        tags = self.hub.refs(self.place)[1]
        if tag not in tags:
            self.hub.create_tag(self.place, tag, head)
            tags = self.hub.refs(self.place)[1]
        found = self.hub.files(self.place, tags[tag]) if tag in tags else {}
        faults = find_faults(self.contents, found) + [
            f"{path} would be read too" for path in self._read_with(found.keys() - self.contents.files.keys())
        ]
        if faults:
            raise PublicationError(
                f"the tag {tag!r} of {self.place.repo_id!r} does not name these files: {shown(faults)}. Delete it on "
                "the page of the repository and publish again."
            )
        return tags[tag]

    def told(self, sent: _Sent, revision: str, *, is_private: bool) -> Publication:
        """The record of the push."""
        files, before = self.contents.files, sent.before
        return Publication(
            repo_id=self.place.repo_id,
            kind=self.place.kind,
            branch=self.place.branch,
            revision=revision,
            tag=self.contents.tag,
            url=self.hub.page(self.place, self.contents.tag),
            is_private=is_private,
            content_hash=self.contents.hash,
            files={path: {"sha256": file.sha256, "bytes": file.size_bytes} for path, file in files.items()},
            uploaded=list(before.missing),
            uploaded_bytes=sum(files[path].size_bytes for path in before.missing),
            unchanged=len(files) - len(before.missing),
            deleted=[*before.outdated, *(before.foreign if self.deletes_foreign else ())],
            foreign=list(sent.foreign),
            overwritten=list(before.overwritten),
            commits=sent.commits,
        )


def _read_claims(data: bytes) -> dict[str, list[str]]:
    """The hashes by path of a provenance or an announcement; nothing of somebody else's file of that name."""
    try:
        record = json.loads(data)
        if "sent" in record:
            return {str(path): [str(sha256) for sha256 in hashes] for path, hashes in record["sent"].items()}
        return {str(path): [str(entry["sha256"])] for path, entry in record["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def find_faults(contents: Contents, found: Mapping[str, Remote]) -> list[str]:
    """Every way in which the files of a commit are not the contents, by size and hash; none means all are there."""
    faults = [f"{path} is not there" for path in contents.files if path not in found]
    return faults + [
        f"{path} has other bytes"
        for path, file in contents.files.items()
        if path in found and not is_there(file, found[path])
    ]
