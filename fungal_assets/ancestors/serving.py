"""The page of a breeding session, served on this machine alone.

It answers to 127.0.0.1 and localhost only, whatever name a page elsewhere gives this machine, and takes changes only as
JSON, which a page elsewhere cannot send without being asked. Nothing is fetched from anywhere else.
Belongs here: HTTP. What the session does stands in `breeding`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.resources import files
from pathlib import Path
from typing import Any

from fungal_assets.ancestors.breeding import Session
from fungal_assets.errors import FungalError, InputError

HOST = "127.0.0.1"
_MOST_BYTES = 100_000
_POLICY = "default-src 'self'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src 'self'; base-uri 'none'"
OnSave = Callable[[Path], None]


class BreedingServer(ThreadingHTTPServer):
    """Serves one session.

    Args:
        session: What is served.
        port: On 127.0.0.1; 0 for a free one.
        on_save: Told the folder of each child that is saved.
    """

    daemon_threads = True

    def __init__(self, session: Session, *, port: int = 0, on_save: OnSave = lambda _: None):
        super().__init__((HOST, port), _Handler)
        self.session, self.on_save = session, on_save

    def server_close(self) -> None:
        """Take no more, and wait for what is at work."""
        super().server_close()
        self.session.close()

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_address[1]}/"


class _Handler(BaseHTTPRequestHandler):
    server: BreedingServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:  # noqa: N802 - as the library calls it
        self._answer(self._get)

    def do_POST(self) -> None:  # noqa: N802
        self._answer(self._post)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """No line for each request."""

    def _answer(self, work: Callable[[], None]) -> None:
        host = (self.headers.get("Host") or "").rsplit(":", 1)[0]
        if host not in (HOST, "localhost"):
            self._send_error(HTTPStatus.FORBIDDEN, f"this page answers to {HOST} and localhost only.")
            return
        try:
            work()
        except FungalError as error:
            self._send_error(HTTPStatus.BAD_REQUEST, str(error))
        except (BrokenPipeError, ConnectionResetError):
            pass  # the page was left

    def _get(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/":
            page = files("fungal_assets.ancestors").joinpath("breed.html").read_bytes()
            self._send(HTTPStatus.OK, "text/html; charset=utf-8", page)
        elif path == "/state":
            self._send_json(HTTPStatus.OK, self.server.session.state())
        elif found := re.fullmatch(r"/creature/(\d{1,9})\.webp", path):
            picture = self.server.session.shown(int(found[1]))
            self._send(HTTPStatus.OK, "image/webp", picture)
        else:
            self._send_error(HTTPStatus.NOT_FOUND, f"there is nothing at {path}.")

    def _post(self) -> None:
        body = self._read_body()
        session, path = self.server.session, self.path.partition("?")[0]
        if path == "/breed":
            state = session.breed(_keys(body.get("parents")), is_bold=bool(body.get("bold")))
        elif path == "/undo":
            state = session.undo()
        elif path == "/save":
            self.server.on_save(session.save(*_keys([body.get("key")])))
            state = session.state()
        else:
            self._send_error(HTTPStatus.NOT_FOUND, f"there is nothing at {path}.")
            return
        self._send_json(HTTPStatus.OK, state)

    def _read_body(self) -> dict[str, Any]:
        length = self.headers.get("Content-Length") or "0"
        if not (re.fullmatch(r"[0-9]{1,6}", length) and int(length) <= _MOST_BYTES):
            self.close_connection = True
            raise InputError(f"the request has {length} bytes, expected {_MOST_BYTES} at most.")
        data = self.rfile.read(int(length))
        if self.headers.get_content_type() != "application/json":
            raise InputError("a change is asked for as application/json.")
        try:
            body = json.loads(data)
        except ValueError as error:
            raise InputError(f"the request is no JSON: {error}.") from error
        if not isinstance(body, dict):
            raise InputError("the request is no JSON object.")
        return body

    def _send_json(self, status: HTTPStatus, value: Any) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send_error(self, status: HTTPStatus, text: str) -> None:
        self._send_json(status, {"error": text})

    def _send(self, status: HTTPStatus, kind: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(data)


def _keys(value: Any) -> list[int]:
    """A list of keys of creatures, or the sentence that it is none."""
    if not isinstance(value, list) or not all(
        isinstance(key, int) and not isinstance(key, bool) for key in value
    ):
        raise InputError(f"keys of creatures were expected, got {value!r}.")
    return value
