"""The Hugging Face hub as publishing needs it: every question is asked with patience, every refusal is one sentence.

The transfers are `huggingface_hub`'s own, with its retries of single requests. What it does not repeat (accounts,
repositories, refs, commits) is repeated here, a bounded number of times, after the time that the hub asks for. A commit
names its parent, so that to repeat one whose answer was lost is harmless: the hub refuses the second.
Belongs here: talking to the hub. What is pushed, and in which order, is in `publishing`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from fungal_assets.errors import PublicationError
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.publication.tokens import RIGHT_NEEDED, TOKEN_VARIABLE, TOKENS_PAGE, logs_redacted, redact

if TYPE_CHECKING:
    from huggingface_hub import HfApi

Answer = TypeVar("Answer")
_PASSING = (408, 429, 500, 502, 503, 504)
_CONFLICT, _MOVED = 409, 412
_SAID = 300
"""Of what the hub says, this many characters are told."""


@dataclass(frozen=True)
class Patience:
    """How long a question is repeated.

    Args:
        attempts: How often it is asked.
        backoff_s: Wait after the first failure, doubled after each further one, seconds.
        max_wait_s: The longest single wait; where the hub asks for more, the push ends and says so, seconds.
        timeout_s: How long the hub may be silent in the midst of a request, seconds.
    """

    attempts: int = 6
    backoff_s: float = 1.0
    max_wait_s: float = 330.0
    timeout_s: float = 120.0


@dataclass(frozen=True)
class Place:
    """One branch of one repository of the hub; `kind` is `"dataset"` or `"model"`."""

    repo_id: str
    kind: str
    branch: str


@dataclass(frozen=True)
class Remote:
    """One file of the hub: its size, and the SHA-256 of a large one or the git hash of another."""

    size_bytes: int
    sha256: str | None
    git_sha1: str


def git_hash(data: bytes) -> str:
    """The hash that git gives a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


class Hub:
    """The hub, for one account.

    Args:
        token: The account's token; no message and no representation holds it.
        endpoint: Address of the hub; `$HF_ENDPOINT`, else huggingface.co by default.
        patience: How long to repeat.
        tell: Progress.
    """

    def __init__(
        self,
        token: str,
        *,
        endpoint: str | None = None,
        patience: Patience | None = None,
        tell: Tell = stay_silent,
    ):
        self._token, self._endpoint, self.patience = token, endpoint, patience or Patience()
        self._tell = tell

    def __repr__(self) -> str:
        return f"Hub(endpoint={self._endpoint!r})"

    @contextmanager
    def session(self) -> Iterator[None]:
        """While it lasts, no log line holds the token, requests have a timeout, and offline mode is lifted.

        A profile that needs no network turns offline mode on for its own steps; publishing is asked for by itself.
        """
        import httpx2
        from huggingface_hub import close_session, set_client_factory
        from huggingface_hub.utils import _http

        timeout, factory = httpx2.Timeout(self.patience.timeout_s), _http._GLOBAL_CLIENT_FACTORY
        set_client_factory(lambda: httpx2.Client(follow_redirects=True, timeout=timeout))
        try:
            with logs_redacted(self._token):
                yield
        finally:
            close_session()
            set_client_factory(factory)

    def page(self, place: Place, revision: str) -> str:
        """Address of a branch's, a tag's or a commit's page."""
        from huggingface_hub import constants

        folder = "datasets/" if place.kind == "dataset" else ""
        return f"{self._endpoint or constants.ENDPOINT}/{folder}{place.repo_id}/tree/{revision}"

    # -- the account -------------------------------------------------------------------------------------------------

    def check_account(self) -> str:
        """The account's name.

        Raises:
            PublicationError: The hub does not know the token, or the token may only read.
        """
        answer = self._ask("who the token belongs to", lambda api: api.whoami())
        token = answer.get("auth", {}).get("accessToken", {})
        if token.get("role") == "read" or (token.get("role") == "fineGrained" and not _may_write(token)):
            raise PublicationError(
                f"the token in {TOKEN_VARIABLE} may only read, not write. Make one at {TOKENS_PAGE} with "
                f"{RIGHT_NEEDED}.",
                status=403,
            )
        return str(answer["name"])

    # -- reading -----------------------------------------------------------------------------------------------------

    def is_private(self, place: Place) -> bool | None:
        """Whether the repository is private; None if there is none."""
        from huggingface_hub.errors import RepositoryNotFoundError

        def look(api: HfApi) -> bool | None:
            try:
                return bool(api.repo_info(place.repo_id, repo_type=place.kind).private)
            except RepositoryNotFoundError:
                return None

        return self._ask(f"for {place.repo_id!r}", look)

    def refs(self, place: Place) -> tuple[dict[str, str], dict[str, str]]:
        """The commits of all branches and of all tags, by name."""
        found = self._ask(
            f"for the branches of {place.repo_id!r}",
            lambda api: api.list_repo_refs(place.repo_id, repo_type=place.kind),
        )
        branches, tags = (
            {ref.name: ref.target_commit for ref in refs} for refs in (found.branches, found.tags)
        )
        return branches, tags

    def files(self, place: Place, revision: str) -> dict[str, Remote]:
        """All files at a commit, by path."""
        from huggingface_hub.hf_api import RepoFile

        def look(api: HfApi) -> dict[str, Remote]:
            tree = api.list_repo_tree(place.repo_id, recursive=True, revision=revision, repo_type=place.kind)
            return {
                item.path: Remote(item.size, item.lfs.sha256 if item.lfs else None, item.blob_id)
                for item in tree
                if isinstance(item, RepoFile)
            }

        return self._ask(f"what {place.repo_id!r} holds", look)

    def read(self, place: Place, revision: str, path: str) -> bytes:
        """The bytes of a small file at a commit."""
        from huggingface_hub import get_session, hf_hub_url
        from huggingface_hub.utils import build_hf_headers, hf_raise_for_status

        url = hf_hub_url(
            place.repo_id, path, repo_type=place.kind, revision=revision, endpoint=self._endpoint
        )

        def look(_: HfApi) -> bytes:
            answer = get_session().get(url, headers=build_hf_headers(token=self._token))
            hf_raise_for_status(answer)
            return answer.content

        return self._ask(f"for {path!r} of {place.repo_id!r}", look)

    def read_hash(self, place: Place, revision: str, path: str) -> str:
        """The SHA-256 of the bytes of a small file at a commit."""
        return hashlib.sha256(self.read(place, revision, path)).hexdigest()

    # -- writing -----------------------------------------------------------------------------------------------------

    def create_repo(self, place: Place, *, is_private: bool) -> None:
        """Make the repository if there is none."""
        self._ask(
            f"to create {place.repo_id!r}",
            lambda api: api.create_repo(
                place.repo_id, repo_type=place.kind, private=is_private, exist_ok=True
            ),
        )

    def create_branch(self, place: Place) -> None:
        """Make the branch, from `main`, if there is none."""
        self._ask(
            f"to create the branch {place.branch!r}",
            lambda api: api.create_branch(
                place.repo_id, branch=place.branch, repo_type=place.kind, exist_ok=True
            ),
        )

    def create_tag(self, place: Place, tag: str, revision: str) -> None:
        """Tag a commit."""
        self._ask(
            f"to set the tag {tag!r}",
            lambda api: api.create_tag(
                place.repo_id, tag=tag, revision=revision, repo_type=place.kind, exist_ok=True
            ),
        )

    def commit(
        self,
        place: Place,
        *,
        parent: str,
        message: str,
        added: Mapping[str, Path | bytes],
        deleted: Iterable[str] = (),
    ) -> str | None:
        """Upload files and commit them; returns the commit, or None where the branch no longer ends at `parent`."""
        from huggingface_hub import CommitOperationAdd, CommitOperationDelete

        operations: Sequence[Any] = [
            *(CommitOperationAdd(path, source) for path, source in added.items()),
            *(CommitOperationDelete(path) for path in deleted),
        ]
        try:
            return str(
                self._ask(
                    f"to take {len(operations)} files",
                    lambda api: (
                        api.create_commit(
                            place.repo_id,
                            operations,
                            commit_message=message,
                            repo_type=place.kind,
                            revision=place.branch,
                            parent_commit=parent,
                        ).oid
                    ),
                )
            )
        except PublicationError as error:
            if error.status in (_CONFLICT, _MOVED):
                return None
            raise

    # -- asking ------------------------------------------------------------------------------------------------------

    def _ask(self, what: str, question: Callable[[HfApi], Answer]) -> Answer:
        """The hub's answer, asked for again while it is busy or out of reach.

        Raises:
            PublicationError: It refuses, or stays busy. The causes are left out: they may repeat what was sent.
        """
        import httpx2
        from huggingface_hub import HfApi

        api = HfApi(endpoint=self._endpoint, token=self._token, library_name="fungal_assets")
        for attempt in range(1, self.patience.attempts + 1):
            try:
                return question(api)
            except (httpx2.HTTPError, OSError, ValueError, RuntimeError) as error:
                fault = _Fault.of(error, self._token)
            wait_s = fault.retry_after_s or self.patience.backoff_s * 2 ** (attempt - 1)
            is_last = attempt == self.patience.attempts or wait_s > self.patience.max_wait_s
            if not fault.is_passing or is_last:
                break
            self._tell(f"the hub {fault.short}, asked {what}; again in {wait_s:.0f} s")
            time.sleep(wait_s)
        raise PublicationError(fault.sentence(what, wait_s), status=fault.status)


@dataclass(frozen=True)
class _Fault:
    """Why a question had no answer."""

    said: str
    status: int | None
    retry_after_s: float | None
    is_passing: bool

    @classmethod
    def of(cls, error: BaseException, token: str) -> _Fault:
        """The first of the error and its causes that tells of a request, since uploads wrap theirs."""
        import httpx2

        chain: list[BaseException] = []
        cause: BaseException | None = error
        while cause is not None and cause not in chain:
            chain.append(cause)
            cause = cause.__cause__ or cause.__context__
        for one in chain:
            response = getattr(one, "response", None)
            if response is not None:
                status = response.status_code
                return cls(_words(one, token), status, _retry_after(response.headers), status in _PASSING)
        is_cut_off = any(
            isinstance(one, httpx2.TransportError | ConnectionError | TimeoutError) for one in chain
        )
        return cls(_words(error, token), None, None, is_cut_off)

    @property
    def short(self) -> str:
        return f"answers {self.status}" if self.status else "does not answer"

    def sentence(self, what: str, wait_s: float) -> str:
        """What happened and what to do."""
        if self.status == 401:
            return (
                f"the hub does not know the token in {TOKEN_VARIABLE} (401): it is misspelt, expired or revoked. "
                f"Make one at {TOKENS_PAGE} with {RIGHT_NEEDED}."
            )
        if self.status == 403:
            return (
                f"the hub was asked {what} and forbids it (403): the token in {TOKEN_VARIABLE} lacks the right. "
                f"Make one at {TOKENS_PAGE} with {RIGHT_NEEDED}. The hub says: {self.said}"
            )
        if self.is_passing:
            return (
                f"the hub was asked {what} and {self.short}, again and again"
                + (f"; it asks to wait {wait_s:.0f} s" if self.retry_after_s else "")
                + f". Nothing that is uploaded is lost: publish again later. The last word: {self.said}"
            )
        return f"the hub was asked {what} and refuses: {self.said}"


def _words(error: BaseException, token: str) -> str:
    """What an error says, on one line; the token goes before the line is cut, lest half of it stays."""
    text = redact(" ".join(str(error).split()), token) or type(error).__name__
    return text if len(text) <= _SAID else f"{text[:_SAID]}…"


def _retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the hub asks to wait, by either of the headers that it uses."""
    from huggingface_hub.utils import parse_ratelimit_headers

    text = headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text)
    limit = parse_ratelimit_headers(headers)
    return float(limit.reset_in_seconds) if limit is not None and limit.remaining == 0 else None


def _may_write(token: Mapping[str, Any]) -> bool:
    """Whether a fine-grained token may write any repository at all; which ones, the hub itself says."""
    rights = token.get("fineGrained", {})
    scoped = [right for scope in rights.get("scoped", []) for right in scope.get("permissions", [])]
    return "repo.write" in [*scoped, *rights.get("global", [])]
