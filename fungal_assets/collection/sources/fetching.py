"""Polite GETs from the open network, by a session that lets nobody lead it into a private one.

The library `requests-hardened` resolves a name once, refuses addresses that are not public and connects to the very one
that it checked, at every redirect anew; urllib3's `Retry` waits as long as a busy server asks. Here are the bounds of
this project: a pace per host, one deadline for a whole answer, so that slow drips end, and a cap on its bytes.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from fungal_assets import __version__
from fungal_assets.collection.sources.candidates import MAX_FILE_MB, Fault

if TYPE_CHECKING:
    import requests

BUSY = (429, 500, 502, 503, 504)
_NO_AI = ("noai", "noimageai")
_CHUNK_BYTES = 65536


class FetchError(Exception):
    """Why a URL gave nothing.

    Args:
        reason: A short code, as rejects have it.
        detail: What was found.
    """

    def __init__(self, reason: str, detail: str):
        super().__init__(detail)
        self.fault = Fault(reason, detail)


@dataclass(frozen=True)
class Manners:
    """How a server is asked.

    Args:
        interval_s: Least time between two requests to one host.
        deadline_s: Most time for one answer, retries left out.
        retries: How often a busy or silent server is asked again.
        backoff_s: Wait before the first retry; it doubles. A server that names a time is given it, up to a minute.
        allows_loopback: Whether this machine itself may be asked, as tests do.
    """

    interval_s: float = 0.3
    deadline_s: float = 120.0
    retries: int = 4
    backoff_s: float = 1.0
    allows_loopback: bool = False


class Fetcher:
    """Asks for one thing after another.

    Args:
        manners: How.
    """

    def __init__(self, manners: Manners | None = None):
        self._manners = manners or Manners()
        self._session = _open_session(self._manners)
        self._next_s: dict[str, float] = defaultdict(float)

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, Any] | None = None,
        kind: str = "image/",
        max_bytes: int = MAX_FILE_MB * 1_000_000,
    ) -> bytes:
        """The body of an answer.

        Args:
            url: Of http or https.
            params: Its query.
            kind: How the answer's content type must begin.
            max_bytes: Most bytes that are taken.

        Raises:
            FetchError: There is no such answer.
        """
        import requests
        from requests_hardened.ip_filter import InvalidIPAddress

        parts = _check_address(url)
        self._wait(parts)
        end_s = time.monotonic() + self._manners.deadline_s
        try:
            with self._session.get(url, params=dict(params or {}), stream=True) as response:
                _check_head(response, kind=kind, max_bytes=max_bytes)
                return _read_body(
                    response, end_s=end_s, max_bytes=max_bytes, seconds=self._manners.deadline_s
                )
        except InvalidIPAddress as error:
            raise FetchError(
                "private_address", f"{url} leads to the address {error}, which is not public"
            ) from error
        except requests.TooManyRedirects as error:
            raise FetchError("unreachable", f"{url} is redirected more than three times") from error
        except (requests.RequestException, OSError, ValueError) as error:
            raise FetchError("unreachable", f"{url}: {_innermost(error)}"[:300]) from error

    def _wait(self, host: str) -> None:
        now_s = time.monotonic()
        start_s = max(now_s, self._next_s[host])
        self._next_s[host] = start_s + self._manners.interval_s
        time.sleep(start_s - now_s)


def _open_session(manners: Manners) -> requests.Session:
    from requests_hardened import Config, HTTPSession
    from urllib3.util import Retry

    session = HTTPSession(
        Config(
            ip_filter_enable=True,
            ip_filter_allow_loopback_ips=manners.allows_loopback,
            never_redirect=False,
            default_timeout=(10, min(30.0, manners.deadline_s)),
            user_agent_override=f"fungal_assets/{__version__} (collects openly licensed pictures)",
        )
    )
    session.max_redirects = 3
    session.headers["Accept-Encoding"] = "identity"
    for adapter in session.adapters.values():
        adapter.max_retries = Retry(
            total=manners.retries,
            redirect=False,
            status_forcelist=BUSY,
            backoff_factor=manners.backoff_s,
            backoff_max=60,
            retry_after_max=60,
            raise_on_status=False,
        )
    return session


def _check_address(url: str) -> str:
    """The host of a URL."""
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError as error:
        raise FetchError("bad_address", f"{url!r} is no address: {error}") from error
    if parts.scheme not in ("http", "https") or not host:
        raise FetchError("bad_address", f"{url!r} is no address of http or https")
    if parts.username or parts.password:
        raise FetchError(
            "bad_address", f"the address of {host!r} holds a user name or password; leave it out"
        )
    return host


def _check_head(response: requests.Response, *, kind: str, max_bytes: int) -> None:
    if not response.ok:
        raise FetchError("unreachable", f"{response.url} answers {response.status_code} {response.reason}")
    told = response.headers.get("X-Robots-Tag", "").lower()
    if any(word in told for word in _NO_AI):
        raise FetchError(
            "not_permitted", f"{response.url} asks not to be used for training (X-Robots-Tag: {told})"
        )
    found = response.headers.get("Content-Type", "").lower()
    if found and not found.startswith((kind, "application/octet-stream", "binary/octet-stream")):
        raise FetchError("not_an_image", f"{response.url} is {found!r}, expected {kind}")
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and int(length) > max_bytes:
        raise FetchError(
            "too_large", f"{response.url} has {int(length)} bytes, at most {max_bytes} are taken"
        )


def _read_body(response: requests.Response, *, end_s: float, max_bytes: int, seconds: float) -> bytes:
    body = bytearray()
    for chunk in _chunks(response):
        body += chunk
        if len(body) > max_bytes:
            raise FetchError("too_large", f"{response.url} has over {max_bytes} bytes, and is left")
        if time.monotonic() > end_s:
            raise FetchError(
                "too_slow", f"{response.url} gave {len(body)} bytes in {seconds:g} s, and is left"
            )
    length = response.headers.get("Content-Length", "")
    if length.isdigit() and len(body) < int(length):
        raise FetchError("truncated", f"{response.url} gave {len(body)} of {length} bytes")
    return bytes(body)


def _chunks(response: requests.Response) -> Iterator[bytes]:
    """What has arrived, as it arrives."""
    from urllib3.exceptions import IncompleteRead, ProtocolError

    try:
        while chunk := response.raw.read1(_CHUNK_BYTES):
            yield chunk
    except (IncompleteRead, ProtocolError) as error:
        raise FetchError("truncated", f"{response.url} broke off: {error}"[:300]) from error


def _innermost(error: BaseException) -> str:
    """What the innermost error says: those of requests wrap each other."""
    reason = getattr(error.args[0], "reason", None) if error.args else None
    return str(reason or error)
