"""A web server on this machine that answers well, badly, slowly and deceitfully, by the path that it is asked for."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

from fungal_assets.collection.sources.fetching import Manners
from fungal_assets_tests.collection.drawing import encode, picture

IMPATIENT = Manners(interval_s=0.0, deadline_s=1.5, retries=3, backoff_s=0.01, allows_loopback=True)


class Served:
    """A running server: its address, what it was asked, and what it answers to a path beside pictures.

    `/picture/7.png` is a picture of its own; `answers` gives for a path a function of the query and the number of times
    that it was asked, which returns status, headers and body.
    """

    def __init__(self, url: str):
        self.url = url
        self.asked: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.answers: dict[str, Callable[[dict[str, str], int], tuple[int, dict[str, str], bytes]]] = {}

    def answer_json(self, path: str, make: Callable[[dict[str, str]], object]) -> None:
        """Answer a path with the JSON of a function of the query."""
        self.answers[path] = lambda query, times: (
            200,
            {"Content-Type": "application/json; charset=utf-8"},
            json.dumps(make(query)).encode(),
        )

    def count(self, path: str) -> int:
        """How often a path was asked for."""
        return sum(urlsplit(one).path == path for one in self.asked)


@contextmanager
def serve() -> Iterator[Served]:
    """A server for as long as the block lasts."""

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *args: object) -> None:
            pass

        def do_GET(self) -> None:
            served.asked.append(self.path)
            served.headers.append(dict(self.headers))
            path, query = urlsplit(self.path).path, dict(parse_qsl(urlsplit(self.path).query))
            if path.startswith("/picture/"):
                data = encode(picture(int(path.split("/")[2].split(".")[0])))
                return self.answer(200, {"Content-Type": "image/png"}, data)
            if path == "/drip":
                return self.drip()
            if path == "/short":
                return self.answer(200, {"Content-Type": "image/png", "Content-Length": "5000"}, bytes(100))
            make = served.answers.get(path)
            if make is None:
                return self.answer(404, {}, b"")
            return self.answer(*make(query, served.count(path)))

        def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.close_connection = True

        def drip(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "image/png")
            self.end_headers()
            try:
                for _ in range(200):
                    self.wfile.write(b"x")
                    self.wfile.flush()
                    time.sleep(0.1)
            except OSError:
                pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    served = Served(f"http://127.0.0.1:{server.server_port}")
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield served
    finally:
        server.shutdown()
        server.server_close()
