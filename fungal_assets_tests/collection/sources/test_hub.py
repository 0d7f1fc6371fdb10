"""A dataset of the hub, from a server on this machine that answers as the hub does."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import datasets
import pytest

from fungal_assets.collection.sources.hub import HubSource
from fungal_assets.errors import InputError
from fungal_assets_tests.collection.drawing import encode, picture

SHA = "0123456789abcdef0123456789abcdef01234567"
NAME = "ada/fungi"


class Hub(BaseHTTPRequestHandler):
    """The three answers that fetching a dataset needs: what it holds, a file's head, a file."""

    files: dict[str, bytes] = {}

    def log_message(self, *args):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = self.path.split("?")[0]
        if path in (
            f"/api/datasets/{NAME}",
            f"/api/datasets/{NAME}/revision/main",
            f"/api/datasets/{NAME}/revision/{SHA}",
        ):
            siblings = [{"rfilename": name, "size": len(data)} for name, data in self.files.items()]
            about = {"id": NAME, "sha": SHA, "private": False, "tags": [], "siblings": siblings}
            self._send(
                json.dumps({**about, "cardData": {"license": "cc-by-4.0"}}).encode(), "application/json"
            )
        elif path.startswith(f"/api/datasets/{NAME}/tree/"):
            tree = [
                {"type": "file", "path": name, "size": len(data), "oid": SHA}
                for name, data in self.files.items()
            ]
            self._send(json.dumps(tree).encode(), "application/json")
        elif path.startswith(f"/datasets/{NAME}/resolve/{SHA}/"):
            self._send(self.files[path.split(f"{SHA}/")[1]], "application/octet-stream")
        else:
            self._send(b"{}", "application/json", status=404, headers={"X-Error-Code": "RepoNotFound"})

    def _send(self, data, kind, *, status=200, headers=None):
        self.send_response(status)
        etag = hashlib.sha256(data).hexdigest()
        sent = {"Content-Type": kind, "Content-Length": len(data), "ETag": f'"{etag}"', "X-Repo-Commit": SHA}
        for key, value in (sent | (headers or {})).items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)


READ = """
import json, sys
from fungal_assets.collection.sources import find_source
from fungal_assets.errors import InputError
try:
    source = find_source(sys.argv[1])
    found = [[one.origin, len(one.data), one.source, one.licence, one.label] for one in source.candidates()]
    print(json.dumps({"found": found, "print": source.fingerprint(), "files": source.measure().files}))
except InputError as error:
    print(json.dumps({"error": str(error)}))
"""


@pytest.fixture
def hub(tmp_path):
    """Reads an address in a process of its own, which takes this server for the hub."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    environment = os.environ | {
        "HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}",
        "HF_HOME": str(tmp_path / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }

    def read(address):
        command = [sys.executable, "-c", READ, address]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr[-2000:]
        return json.loads(done.stdout.splitlines()[-1])

    read.stop = lambda: (server.shutdown(), server.server_close())
    yield read
    read.stop()


def test_every_shard_of_a_dataset_is_read_not_the_first_alone(hub, tmp_path):
    Hub.files = {"README.md": b"# fungi", "script.py": b"raise SystemExit"}
    for shard in range(3):
        pictures = [{"bytes": encode(picture(10 * shard + index)), "path": None} for index in range(4)]
        path = tmp_path / "shard.parquet"
        datasets.Dataset.from_dict({"image": pictures}).cast_column("image", datasets.Image()).to_parquet(
            path
        )
        Hub.files[f"data/train-{shard:05d}-of-00003.parquet"] = path.read_bytes()
    Hub.files["extra/PICTURE.PNG"] = encode(picture(99))
    answer = hub(f"hf:{NAME}")
    assert answer["files"] == len(answer["found"]) == 13
    assert answer["print"] == SHA
    assert {(kind, licence) for _, _, kind, licence, _ in answer["found"]} == {("hub", "CC-BY-4.0")}
    assert answer["found"][-1][0] == "extra/PICTURE.PNG"
    assert all(size for _, size, *_ in answer["found"])
    assert hub(f"hf:{NAME}@main") == answer


def test_what_was_fetched_is_read_again_without_the_hub(hub):
    Hub.files = {"a.png": encode(picture(1)), "b/c.png": encode(picture(2))}
    before = hub(f"hf:{NAME}")
    hub.stop()
    assert hub(f"hf:{NAME}") == before and len(before["found"]) == 2
    assert "the hub does not answer for 'ada/other'" in hub("hf:ada/other")["error"]


def test_a_dataset_that_is_not_there_is_named(hub):
    assert "the hub has no dataset 'ada/gone' (revision 'main')" in hub("hf:ada/gone")["error"]


@pytest.mark.parametrize("address", ["hf:fungi", "hf:a/b/c", "hf:", "hf:a/b@"])
def test_an_address_of_another_kind_is_refused(address):
    with pytest.raises(InputError, match="expected hf:owner/name"):
        HubSource(address)
