"""Breeding by eye: nothing is lost, by undo, reload or kill; what is saved becomes a form of the asset."""

import http.client
import json
import shutil
import threading
from contextlib import closing

import numpy as np
import pytest
from PIL import Image

from fungal_assets.ancestors.breeding import GRID, Session
from fungal_assets.ancestors.keeping import read_genome
from fungal_assets.ancestors.serving import BreedingServer
from fungal_assets.ancestors.sessions import list_saved, open_session
from fungal_assets.errors import InputError, ProvenanceError


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with a session of three generations, a saved child, and what was shown at each."""
    root = tmp_path_factory.mktemp("store")
    session = open_session(str(root), "spring", ["fungarium:bolete"], None, seed=1)
    shown = [session.state()]
    for places in ([0], [1, 2], [3]):
        keys = [shown[-1]["creatures"][place]["key"] for place in places]
        shown.append(session.breed(keys, is_bold=len(places) == 1))
    saved = session.save(shown[-1]["creatures"][4]["key"])
    return root, shown, saved


@pytest.fixture
def copy(store, tmp_path):
    shutil.copytree(store[0], tmp_path / "store")
    return tmp_path / "store"


def test_each_generation_fills_the_page_with_children_of_the_chosen(store):
    _, shown, _ = store
    assert [state["generation"] for state in shown] == [0, 1, 2, 3]
    for before, state in zip(shown, shown[1:], strict=False):
        there = {one["key"] for one in before["creatures"]}
        assert len(state["creatures"]) == GRID and set(state["parents"]) <= there
        assert all(set(one["parents"]) <= set(state["parents"]) for one in state["creatures"])
    assert any(len(one["parents"]) == 2 for one in shown[2]["creatures"])
    assert shown[0]["creatures"][0]["parents"] == [] and not shown[0]["can_undo"] and shown[1]["can_undo"]


def test_every_creature_is_told_in_words(store):
    for state in store[1]:
        assert all(one["text"].count(",") == 2 for one in state["creatures"])


def test_a_session_is_the_same_after_it_was_closed(store, copy):
    _, shown, saved = store
    again = open_session(str(copy), "spring", [], None).state()
    assert again["creatures"] == shown[-1]["creatures"]
    assert [one["slug"] for one in again["saved"]] == [saved.name]


def test_undo_goes_back_and_forgets_nothing(copy, store):
    _, shown, _ = store
    session = Session(copy / "breeding" / "spring")
    assert session.undo()["creatures"] == shown[2]["creatures"]
    other = session.breed([shown[2]["creatures"][0]["key"]])
    assert other["step"] == 4 and other["generation"] == 3
    assert session.undo()["creatures"] == shown[2]["creatures"]
    for _ in range(2):
        session.undo()
    with pytest.raises(InputError, match="this is the first grid; there is nothing to undo"):
        session.undo()
    assert len(list((session.folder / "steps").glob("*.json"))) == 5


def test_the_same_choices_breed_the_same_children_also_after_a_kill(copy, store):
    _, shown, _ = store
    folder = copy / "breeding" / "spring"
    (folder / "steps" / "0003.json").unlink()
    (folder / "current").write_text("2")
    (folder / "steps" / ".0003.json-1").write_text("{")
    again = Session(folder).breed(shown[3]["parents"], is_bold=True)
    assert again["creatures"] == shown[3]["creatures"]


def test_a_session_killed_before_its_first_grid_begins_it(copy, store):
    folder = copy / "breeding" / "spring"
    shutil.rmtree(folder / "steps")
    (folder / "current").unlink()
    assert Session(folder).state()["creatures"] == store[1][0]["creatures"]


def test_a_creature_turns(copy, store):
    key = store[1][1]["creatures"][0]["key"]
    session = Session(copy / "breeding" / "spring")
    data = session.shown(key)
    with Image.open(session.folder / "shown" / f"{key}.webp") as film:
        frames = []
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(np.asarray(film.convert("RGB")).astype(int))
    assert len(frames) == 12 and max(frame.max() for frame in frames) > 60
    assert np.abs(frames[0] - frames[3]).mean() > 0.1
    assert session.shown(key) == data


def test_a_saved_child_is_a_form_with_its_lineage(store):
    root, shown, saved = store
    assert list_saved(str(root)) == [saved]
    form = json.loads((saved / "form.json").read_text())
    assert form["bred_by"] == "a person" and form["session"] == "spring" and form["generation"] == 3
    descendant, ancestors = read_genome(saved / "genome.json")
    assert [one["generation"] for one in descendant.descent] == [0, 1, 2, 3]
    assert descendant.descent[-1]["parents"] == shown[3]["parents"]
    assert all((root / "breeding" / "spring" / name).exists() for name in ancestors)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("../x", []), "is no name for a folder"),
        (("spring", ["fungarium:morel"]), "the session 'spring' began with others"),
    ],
)
def test_a_session_that_cannot_be_is_refused(copy, words, said):
    with pytest.raises(InputError, match=said):
        open_session(str(copy), *words, None)


def test_a_folder_without_a_session_is_told(tmp_path):
    with pytest.raises(ProvenanceError, match="is no breeding session. Begin one: fungal breed"):
        Session(tmp_path)


@pytest.fixture
def server(copy):
    told = []
    server = BreedingServer(Session(copy / "breeding" / "spring"), on_save=told.append)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server, told
    server.shutdown()
    server.server_close()


def ask(server, method, path, body=None, **headers):
    host, port = server.server_address
    connection = http.client.HTTPConnection(host, port)
    if body is not None:
        headers = {"Content-Type": "application/json"} | headers
    with closing(connection):
        connection.request(method, path, body=body, headers=headers)
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_the_page_asks_nothing_of_any_other_machine(server):
    status, page = ask(server[0], "GET", "/")
    assert status == 200 and b"<title>" in page
    assert b"http:" not in page and b"https:" not in page and b"//" not in page.replace(b"</", b"")


def test_the_server_answers_on_this_machine_only(server):
    assert server[0].server_address[0] == "127.0.0.1"
    assert ask(server[0], "GET", "/state", Host="evil.example")[0] == 403
    assert ask(server[0], "POST", "/undo", "{}", Host="evil.example")[0] == 403


@pytest.mark.parametrize(
    ("path", "body", "headers", "said"),
    [
        ("/breed", '{"parents": []}', {}, "choose parents from"),
        ("/breed", '{"parents": [999]}', {}, "choose parents from"),
        ("/breed", '{"parents": "all"}', {}, "keys of creatures were expected, got 'all'"),
        ("/breed", "{", {}, "is no JSON"),
        ("/breed", "[]", {}, "is no JSON object"),
        ("/save", '{"key": 999}', {}, "there is no creature 999"),
        ("/undo", "{}", {"Content-Type": "text/plain"}, "is asked for as application/json"),
    ],
)
def test_a_wrong_request_is_answered_with_the_reason(server, path, body, headers, said):
    status, data = ask(server[0], "POST", path, body, **headers)
    assert status == 400 and said in json.loads(data)["error"]


def test_what_is_not_there_is_not_found(server):
    assert ask(server[0], "GET", "/../session.json")[0] == 404
    assert ask(server[0], "GET", "/creature/../../session.json")[0] == 404
    assert ask(server[0], "POST", "/delete", "{}")[0] == 404
    assert ask(server[0], "GET", "/creature/999.webp")[0] == 400


def test_undo_and_state_are_served(server, store):
    status, data = ask(server[0], "POST", "/undo", "{}")
    assert status == 200 and json.loads(data)["creatures"] == store[1][2]["creatures"]
    assert json.loads(ask(server[0], "GET", "/state")[1])["step"] == 2


def test_saving_tells_whoever_wants_to_know(server, store):
    key = store[2].name.rsplit("-", 1)[1]
    status, data = ask(server[0], "POST", "/save", json.dumps({"key": int(key)}))
    assert status == 200 and [path.name for path in server[1]] == [store[2].name]
