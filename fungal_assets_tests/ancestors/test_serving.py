"""The breeding page answers to this machine alone, and takes nothing but what its own page sends."""

import http.client
import json
import threading

import pytest

from fungal_assets.ancestors.serving import BreedingServer
from fungal_assets.ancestors.sessions import open_session

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    session = open_session(
        str(tmp_path_factory.mktemp("serving")), "page", ["fungarium:bolete"], None, seed=2
    )
    server = BreedingServer(session)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def ask(server, method, path, body=None, headers=JSON):
    """Status, headers and body of an answer."""
    connection = http.client.HTTPConnection(*server.server_address, timeout=60)
    try:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read().decode()
    finally:
        connection.close()


def test_it_listens_on_this_machine_alone(server):
    assert server.server_address[0] == "127.0.0.1"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("localhost:8080", 200),
        ("fungi.example", 403),
        ("fungi.example:127", 403),
        ("", 403),
    ],
)
@pytest.mark.parametrize("path", ["/", "/state"])
def test_it_answers_to_no_other_name(server, host, status, path):
    found, _, text = ask(server, "GET", path, headers={"Host": host})
    assert found == status
    assert status == 200 or "127.0.0.1 and localhost only" in text


def test_a_page_elsewhere_can_change_nothing(server):
    """Without being asked first a browser sends plain text only."""
    before = ask(server, "GET", "/state")[2]
    key = json.loads(before)["creatures"][0]["key"]
    body = json.dumps({"parents": [key]})
    status, _, text = ask(server, "POST", "/breed", body, {"Content-Type": "text/plain"})
    assert status == 400 and "asked for as application/json" in text
    assert ask(server, "POST", "/breed", body, JSON | {"Host": "fungi.example"})[0] == 403
    assert ask(server, "GET", "/state")[2] == before


@pytest.mark.parametrize(
    ("path", "body", "headers", "finding"),
    [
        ("/breed", "{", JSON, "is no JSON"),
        ("/breed", "[]", JSON, "is no JSON object"),
        ("/breed", '{"parents": "all"}', JSON, "keys of creatures were expected, got 'all'"),
        ("/breed", '{"parents": [true]}', JSON, "keys of creatures were expected"),
        ("/save", '{"key": 987654}', JSON, "987654"),
        ("/breed", " " * 100_001, JSON, "has 100001 bytes, expected 100000 at most"),
        ("/breed", "", JSON | {"Content-Length": "-1"}, "has -1 bytes"),
        ("/breed", "", JSON | {"Content-Length": "many"}, "has many bytes"),
        ("/breed", "", JSON | {"Content-Length": "9" * 5000}, "99999 bytes"),
    ],
    ids=["broken", "list", "no list", "no key", "stranger", "large", "negative", "no number", "no end"],
)
def test_what_is_no_change_is_refused_with_what_was_found(server, path, body, headers, finding):
    status, _, text = ask(server, "POST", path, body, headers)
    assert status == 400 and finding in json.loads(text)["error"]


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/../genome.json"), ("GET", "/creature/1.png"), ("POST", "/x")]
)
def test_there_is_nothing_else(server, method, path):
    assert ask(server, method, path, "{}")[0] == 404


def test_the_page_may_fetch_nothing_from_elsewhere(server):
    _, headers, _ = ask(server, "GET", "/")
    assert headers["Content-Security-Policy"].startswith("default-src 'self';")
    assert headers["X-Content-Type-Options"] == "nosniff"
