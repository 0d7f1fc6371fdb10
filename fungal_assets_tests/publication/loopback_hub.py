"""A hub on this machine, in memory: what the real clients ask of it, answered as the real hub does, and its bad days.

Repositories with branches, tags, commits and trees; large files by their SHA-256, sent with PUT, kept however the push
that sent them ends; others by git's hash, inside the commit. It counts what it gets, and fails as it is told.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import socket
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = "hf_loopbackSecret0123456789"
_MOMENT = itertools.count()
"""No two commits have one hash, even of the same files, as git's hold the time."""
KINDS = {"datasets": "dataset", "models": "model"}


@dataclass
class Repo:
    """One repository: trees by commit (path to blob hash), and the refs."""

    is_private: bool
    trees: dict[str, dict[str, str]] = field(default_factory=dict)
    branches: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)

    def commit(self, branch: str, tree: dict[str, str]) -> str:
        names = json.dumps([next(_MOMENT), sorted(tree.items())]).encode()
        oid = hashlib.sha1(names).hexdigest()
        self.trees[oid], self.branches[branch] = tree, oid
        return oid

    def resolve(self, revision: str) -> str | None:
        oid = self.branches.get(revision) or self.tags.get(revision) or revision
        return oid if oid in self.trees else None


@dataclass
class Fault:
    """What goes wrong, `times` times after `after` that go well, for requests of a method whose path fits a pattern."""

    method: str
    path: str
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: dict = field(default_factory=dict)
    kind: str = "answer"
    """`answer` with the status; `drop` the connection in mid-body, calling `on`; `lose` the answer after the deed."""
    times: int = 1
    after: int = 0
    on: Callable[[], None] = lambda: None


class LoopbackHub:
    """The hub's state and its record of what was asked."""

    def __init__(self) -> None:
        self.url = ""
        self.lock = threading.RLock()
        self.repos: dict[tuple[str, str], Repo] = {}
        self.blobs: dict[str, bytes] = {}
        self.large: set[str] = set()
        self.accounts = {TOKEN: {"role": "write"}}
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        self.puts: Counter[str] = Counter()
        self.is_down = False
        self.cas_url = ""
        """Where the client puts chunks of large files by itself; the hub then takes their hashes on trust."""
        self.one_at_a_time = threading.Lock()
        self.on_put: Callable[[int], None] = lambda count: None

    def put(self, data: bytes, *, is_large: bool) -> str:
        """Keep a blob; returns its hash: SHA-256 of a large file, git's of another."""
        oid = (
            hashlib.sha256(data).hexdigest()
            if is_large
            else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        )
        self.blobs[oid] = data
        if is_large:
            self.large.add(oid)
        return oid

    def add_repo(self, name: str, kind: str = "dataset", *, is_private: bool = True, **files: bytes) -> Repo:
        """A repository as somebody made it on the web, with these files."""
        repo = self.repos[kind, name] = Repo(is_private)
        tree = {".gitattributes": self.put(b"*.parquet filter=lfs\n", is_large=False)}
        repo.commit("main", tree | {path: self.put(data, is_large=False) for path, data in files.items()})
        return repo

    def add_file(
        self, name: str, path: str, data: bytes, kind: str = "dataset", branch: str = "main"
    ) -> None:
        """A commit of somebody else."""
        repo = self.repos[kind, name]
        tree = repo.trees[repo.branches[branch]]
        repo.commit(branch, tree | {path: self.put(data, is_large=is_large(path))})

    def files(self, name: str, kind: str = "dataset", revision: str = "main") -> dict[str, bytes]:
        """All files of a revision, without the hub's own."""
        repo = self.repos[kind, name]
        tree = repo.trees[repo.resolve(revision)]
        return {path: self.blobs[oid] for path, oid in tree.items() if path != ".gitattributes"}

    def count(self, method: str, pattern: str) -> int:
        """How many requests fit."""
        return sum(verb == method and bool(re.search(pattern, path)) for verb, path in self.asked)


def is_large(path: str) -> bool:
    """Whether the hub keeps a file as a large one."""
    return path.endswith((".parquet", ".safetensors", ".bin"))


class _Refusal(Exception):  # noqa: N818
    def __init__(self, status: int, code: str = "", message: str = "", **body: object) -> None:
        self.status, self.body = status, {"error": message or code, **body}
        self.headers = {"X-Error-Code": code} if code else {}
        if message:
            self.headers["X-Error-Message"] = message


class _Handler(BaseHTTPRequestHandler):
    hub: LoopbackHub
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def log_message(self, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer()

    do_HEAD = do_POST = do_PUT = do_GET  # noqa: N815

    # -- answering ---------------------------------------------------------------------------------------------------

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        self.hub.asked.append((self.command, path))
        fault = self._fault(path)
        length = int(self.headers.get("Content-Length") or 0)
        if fault and fault.kind == "drop":
            fault.on()
            self.rfile.read(length // 2)
            self._hang_up()
            return
        with self.hub.one_at_a_time if path.startswith("/lfs/") else nullcontext():
            if self.hub.is_down:
                self._hang_up()
                return
            chunked = self.headers.get("Transfer-Encoding", "").lower() == "chunked"
            body = self._read_chunks() if chunked else self.rfile.read(length)
            if fault and fault.kind == "answer":
                self._send(fault.status, fault.body, fault.headers)
                return
            try:
                with self.hub.lock:
                    status, answer, headers = self._route(path, body)
            except _Refusal as refusal:
                status, answer, headers = refusal.status, refusal.body, refusal.headers
        if fault and fault.kind == "lose":
            self._hang_up()
            return
        self._send(status, answer, headers)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _fault(self, path: str) -> Fault | None:
        with self.hub.lock:
            for fault in self.hub.faults:
                if fault.times and fault.method == self.command and re.search(fault.path, path):
                    if fault.after:
                        fault.after -= 1
                        continue
                    fault.times -= 1
                    return fault
        return None

    def _read_chunks(self) -> bytes:
        data = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            data += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return data

    def _send(self, status: int, answer: object, headers: dict[str, str] | None = None) -> None:
        data = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
        kind = "application/octet-stream" if isinstance(answer, bytes) else "application/json"
        self.send_response(status)
        for name, value in ({"Content-Type": kind, "Content-Length": len(data)} | (headers or {})).items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)
        self.wfile.flush()

    # -- routes ------------------------------------------------------------------------------------------------------

    def _route(self, path: str, body: bytes) -> tuple[int, object, dict[str, str]]:
        if path.startswith("/lfs/"):
            return self._take(path.removeprefix("/lfs/"), body)
        if path == "/api/whoami-v2":
            return 200, self._account(), {}
        if path == "/api/validate-yaml":
            return 200, {"errors": [], "warnings": []}, {}
        if path == "/api/repos/create":
            return self._create(json.loads(body))
        if found := re.fullmatch(r"/(datasets/)?([\w.-]+/[\w.-]+)\.git/info/lfs/objects/batch", path):
            self._repo("dataset" if found[1] else "model", found[2], writes=True)
            return self._batch(json.loads(body))
        if found := re.fullmatch(r"/(datasets/)?([\w.-]+/[\w.-]+)/resolve/([^/]+)/(.+)", path):
            return self._file("dataset" if found[1] else "model", *found.groups()[1:])
        if found := re.fullmatch(r"/api/(datasets|models)/([\w.-]+/[\w.-]+)(?:/(\w[\w-]*)(?:/(.+))?)?", path):
            return self._repo_route(KINDS[found[1]], found[2], found[3], found[4], body)
        raise _Refusal(404, "NotFound")

    def _repo_route(
        self, kind: str, name: str, what: str | None, rest: str | None, body: bytes
    ) -> tuple[int, object, dict[str, str]]:
        writes = what in ("branch", "tag", "preupload", "commit")
        repo = self._repo(kind, name, writes=writes)
        if what in (None, "revision"):
            return 200, self._about(name, repo, rest or "main"), {}
        if what == "refs":
            refs = {
                key: [{"name": one, "ref": one, "targetCommit": oid} for one, oid in found.items()]
                for key, found in (("branches", repo.branches), ("tags", repo.tags))
            }
            return 200, refs | {"converts": []}, {}
        if what == "tree":
            return 200, self._tree(repo, rest or "main"), {}
        if what == "paths-info":
            wanted = set(_form(body, self.headers).get("paths", []))
            tree = repo.trees[self._commit_of(repo, rest or "main")]
            return 200, [self._entry(path, tree[path]) for path in sorted(wanted & tree.keys())], {}
        if what == "branch":
            if rest in repo.branches:
                raise _Refusal(409, message="Reference already exists")
            repo.branches[rest or ""] = repo.branches[json.loads(body or b"{}").get("startingPoint", "main")]
            return 200, {}, {}
        if what == "tag":
            if (tag := json.loads(body)["tag"]) in repo.tags:
                raise _Refusal(409, message="Tag reference exists already")
            repo.tags[tag] = self._commit_of(repo, rest or "main")
            return 200, {}, {}
        if what == "xet-write-token" and self.hub.cas_url:
            about = {"casUrl": self.hub.cas_url, "accessToken": "chunks", "exp": 2**33}
            names = ("X-Xet-Cas-Url", "X-Xet-Access-Token", "X-Xet-Token-Expiration")
            return 200, about, dict(zip(names, map(str, about.values()), strict=True))
        if what == "preupload":
            return 200, self._preupload(repo, rest or "main", json.loads(body)), {}
        if what == "commit":
            page = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
            return self._commit(repo, page, rest or "main", [json.loads(line) for line in body.splitlines()])
        raise _Refusal(404, "NotFound")

    def _account(self) -> dict:
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if token not in self.hub.accounts:
            raise _Refusal(401, message="Invalid credentials in Authorization header", echo=token)
        access = {"displayName": "loopback", **self.hub.accounts[token]}
        return {
            "type": "user",
            "name": "ada",
            "orgs": [],
            "auth": {"type": "access_token", "accessToken": access},
        }

    def _repo(self, kind: str, name: str, *, writes: bool = False) -> Repo:
        repo = self.hub.repos.get((kind, name))
        is_known = self.headers.get("Authorization", "").removeprefix("Bearer ") in self.hub.accounts
        if repo is None or (repo.is_private and not is_known):
            raise _Refusal(404, "RepoNotFound", "Repository not found")
        if writes and self._account()["auth"]["accessToken"].get("owner", "ada") != name.split("/")[0]:
            raise _Refusal(403, message="You don't have the rights to do that")
        return repo

    def _commit_of(self, repo: Repo, revision: str) -> str:
        oid = repo.resolve(revision)
        if oid is None:
            raise _Refusal(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        return oid

    def _create(self, asked: dict) -> tuple[int, object, dict[str, str]]:
        owner = asked.get("organization") or "ada"
        kind, name = asked.get("type") or "model", f"{owner}/{asked['name']}"
        if self._account()["auth"]["accessToken"].get("owner", "ada") != owner:
            raise _Refusal(403, message=f"You don't have the rights to create a {kind} under this namespace")
        page = f"{self.hub.url}/{'datasets/' if kind == 'dataset' else ''}{name}"
        if (kind, name) in self.hub.repos:
            return 409, {"error": "You already created this repo", "url": page}, {}
        self.hub.add_repo(name, kind, is_private=asked.get("visibility") == "private")
        return 200, {"url": page, "name": name}, {}

    def _about(self, name: str, repo: Repo, revision: str) -> dict:
        oid = self._commit_of(repo, revision)
        siblings = [
            {"rfilename": path, "size": len(self.hub.blobs[blob])} for path, blob in repo.trees[oid].items()
        ]
        return {"id": name, "sha": oid, "private": repo.is_private, "tags": [], "siblings": siblings}

    def _tree(self, repo: Repo, rest: str) -> list[dict]:
        revision, _, folder = rest.partition("/")
        tree = repo.trees[self._commit_of(repo, revision)]
        below = f"{folder}/" if folder else ""
        found = {path: self._entry(path, oid) for path, oid in tree.items() if path.startswith(below)}
        for path in list(found):
            for end in re.finditer("/", path):
                found[path[: end.start()]] = {
                    "type": "directory",
                    "path": path[: end.start()],
                    "oid": "0" * 40,
                }
        if "recursive=true" not in self.path.lower():
            found = {path: entry for path, entry in found.items() if "/" not in path.removeprefix(below)}
        if folder and not found:
            raise _Refusal(404, "EntryNotFound", f"{folder} does not exist")
        return [found[path] for path in sorted(found) if path != folder]

    def _entry(self, path: str, oid: str) -> dict:
        size = len(self.hub.blobs[oid])
        entry = {"type": "file", "path": path, "size": size, "oid": oid[:40]}
        if oid in self.hub.large:
            entry["lfs"] = {"oid": oid, "size": size, "pointerSize": 130}
        return entry

    def _preupload(self, repo: Repo, revision: str, asked: dict) -> dict:
        tree = repo.trees[self._commit_of(repo, revision)]
        return {
            "files": [
                {
                    "path": one["path"],
                    "uploadMode": "lfs" if is_large(one["path"]) else "regular",
                    "shouldIgnore": False,
                    "oid": tree.get(one["path"]),
                }
                for one in asked["files"]
            ]
        }

    def _batch(self, asked: dict) -> tuple[int, object, dict[str, str]]:
        objects = []
        for one in asked["objects"]:
            upload = {"upload": {"href": f"{self.hub.url}/lfs/{one['oid']}"}}
            objects.append(one if one["oid"] in self.hub.blobs else one | {"actions": upload})
        return 200, {"transfer": "basic", "objects": objects}, {}

    def _take(self, oid: str, data: bytes) -> tuple[int, object, dict[str, str]]:
        if hashlib.sha256(data).hexdigest() != oid:
            raise _Refusal(400, message="the bytes have another hash")
        self.hub.puts[oid] += 1
        self.hub.put(data, is_large=True)
        self.hub.on_put(sum(self.hub.puts.values()))
        return 200, {}, {}

    def _commit(
        self, repo: Repo, page: str, branch: str, lines: list[dict]
    ) -> tuple[int, object, dict[str, str]]:
        header = lines[0]["value"]
        head = self._commit_of(repo, branch)
        if header.get("parentCommit") not in (None, head):
            raise _Refusal(412, message="The branch has moved")
        tree = dict(repo.trees[head])
        for line in lines[1:]:
            value, path = line["value"], line["value"]["path"]
            if line["key"] == "file":
                tree[path] = self.hub.put(base64.b64decode(value["content"]), is_large=False)
            elif line["key"] == "lfsFile":
                if value["oid"] not in self.hub.blobs:
                    raise _Refusal(400, message=f"{path} was never uploaded")
                tree[path] = value["oid"]
            else:
                tree.pop(path)
        oid = repo.commit(branch, tree)
        return 200, {"commitUrl": f"{page}/commit/{oid}", "commitOid": oid}, {}

    def _file(self, kind: str, name: str, revision: str, path: str) -> tuple[int, object, dict[str, str]]:
        repo = self._repo(kind, name)
        commit = self._commit_of(repo, revision)
        oid = repo.trees[commit].get(path)
        if oid is None:
            raise _Refusal(404, "EntryNotFound", f"{path} does not exist")
        data, headers = (
            self.hub.blobs[oid],
            {"X-Repo-Commit": commit, "ETag": f'"{oid}"', "Accept-Ranges": "bytes"},
        )
        if span := re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", "")):
            first, last = int(span[1]), min(int(span[2] or len(data) - 1), len(data) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            return 206, data[first : last + 1], headers
        return 200, data, headers


def _form(body: bytes, headers: object) -> dict:
    if "json" in headers.get("Content-Type", ""):
        return json.loads(body)
    return parse_qs(body.decode())


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, address: object) -> None:
        """Clients that hang up are part of the tests; anything else is told."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, address)


@contextmanager
def serve() -> Iterator[LoopbackHub]:
    """A hub for as long as the block lasts."""
    hub = LoopbackHub()
    handler = type("Handler", (_Handler,), {"hub": hub})
    server = _Server(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    hub.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True, kwargs={"poll_interval": 0.05}).start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
