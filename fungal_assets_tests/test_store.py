"""The artefact store: what is complete is whole, what was killed goes on, what changed is named."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from fungal_assets.errors import InputError, MissingExtraError, ProvenanceError
from fungal_assets.store import RECORD_NAME, Store, fingerprint_of, hash_folder, mismatches


def make(
    store, *, asset="spores", partition=None, inputs=(), config=None, text="print", version="1", calls=None
):
    def build(folder: Path):
        if calls is not None:
            calls.append(sorted(path.name for path in folder.iterdir()))
        (folder / "sub").mkdir(exist_ok=True)
        (folder / "sub" / "spore.txt").write_text(text)
        return {"count": 1}

    return store.make(
        asset,
        partition,
        inputs=inputs,
        config=config or {"seed": 0},
        code_version=version,
        build=build,
        licences=["CC0-1.0"],
    )


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def test_an_output_is_found_again_with_its_figures(store):
    made = make(store, partition="128").output
    found = store.get("spores", "128")
    assert found == made
    assert (found.path / "sub" / "spore.txt").read_text() == "print"
    assert found.record.figures == {"count": 1} and found.record.licences == ["CC0-1.0"]
    assert store.partitions("spores") == ["128"]


def test_the_same_work_is_not_done_twice(store):
    calls = []
    assert not make(store, calls=calls).was_complete
    assert make(store, calls=calls).was_complete
    assert len(calls) == 1


@pytest.mark.parametrize(
    "change",
    [{"config": {"seed": 1}}, {"version": "2"}, {"partition": "64"}, {"asset": "hyphae"}],
    ids=["config", "code version", "partition", "asset"],
)
def test_changed_work_is_done_again(store, change):
    make(store)
    assert not make(store, **change).was_complete


def test_an_input_of_other_content_makes_other_work(store):
    first, second = make(store, text="a").output, make(store, text="b", config={"seed": 1}).output
    assert not make(store, asset="caps", inputs=[first]).was_complete
    assert make(store, asset="caps", inputs=[first]).was_complete
    assert not make(store, asset="caps", inputs=[second]).was_complete


def test_going_back_to_an_earlier_config_points_to_the_earlier_output(store):
    first = make(store, config={"seed": 0}).output
    make(store, config={"seed": 1}, text="other")
    assert make(store, config={"seed": 0}).was_complete
    assert store.get("spores").path == first.path


def test_a_build_that_fails_leaves_no_output_and_its_work_is_gone_on_with(store):
    def fail(folder):
        (folder / "half.txt").write_text("half")
        raise RuntimeError("power cut")

    with pytest.raises(RuntimeError):
        store.make("spores", None, inputs=[], config={"seed": 0}, code_version="1", build=fail)
    assert store.find("spores") is None
    calls = []
    make(store, calls=calls)
    assert calls == [["half.txt"]]


def test_a_killed_build_is_gone_on_with(tmp_path):
    script = (
        "import os, signal, sys\nfrom fungal_assets.store import Store\n"
        "def build(folder):\n"
        "    step = folder / 'step.txt'\n"
        "    if not step.exists():\n"
        "        step.write_text('1'); os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return {'went_on': 1}\n"
        "print(Store(sys.argv[1]).make('a', None, inputs=[], config={}, code_version='1', build=build).output.path)\n"
    )
    run = [sys.executable, "-c", script, str(tmp_path / "store")]
    assert subprocess.run(run).returncode == -9
    assert Store(tmp_path / "store").find("a") is None
    assert subprocess.run(run, capture_output=True).returncode == 0
    assert Store(tmp_path / "store").get("a").record.figures == {"went_on": 1}


def test_hidden_files_are_dropped_when_an_output_is_sealed(store):
    def build(folder):
        (folder / ".resume").mkdir()
        (folder / ".resume" / "state").write_text("x")
        (folder / "kept.txt").write_text("x")
        (folder / "sub" / ".half").mkdir(parents=True)
        (folder / "sub" / ".tmpaB3").write_text("what a killed run had half written")
        (folder / "sub" / ".half" / ".tmpaB4").write_text("x")
        (folder / "sub" / "kept.txt").write_text("x")
        return {}

    output = store.make("a", None, inputs=[], config={}, code_version="1", build=build).output
    assert sorted(path.name for path in output.path.iterdir()) == ["kept.txt", RECORD_NAME, "sub"]
    assert [path.name for path in (output.path / "sub").iterdir()] == ["kept.txt"]


def test_a_making_that_is_killed_while_it_is_sealed_is_not_done_again(tmp_path):
    """At any touch of the disk after the work: what was hidden, such as hours of resume states, may be gone by then."""
    script = (
        "import os, pathlib, signal, sys\n"
        "from fungal_assets.store import Store\n"
        "left = int(sys.argv[2])\n"
        "def touch(event, arguments):\n"
        "    global left\n"
        "    if left >= 0 and done and event in ('open', 'os.rename', 'os.remove', 'os.rmdir', 'shutil.rmtree'):\n"
        "        left -= 1\n"
        "        if left < 0: os.kill(os.getpid(), signal.SIGKILL)\n"
        "done = False\n"
        "def build(folder):\n"
        "    global done\n"
        "    if not (folder / '.resume').exists():\n"
        "        (folder / '.resume').mkdir(); (folder / '.resume/state').write_text('x')\n"
        "        (folder / 'kept.txt').write_text('x')\n"
        "        with open(sys.argv[1] + '.times', 'a') as file: file.write('.')\n"
        "    done = True\n"
        "    return {}\n"
        "sys.addaudithook(touch)\n"
        "print(Store(sys.argv[1]).make('a', None, inputs=[], config={}, code_version='1', build=build).output.path)\n"
    )
    ends = []
    for at in range(20):
        store = tmp_path / str(at)
        ends.append(
            subprocess.run(
                [sys.executable, "-c", script, str(store), str(at)], capture_output=True
            ).returncode
        )
        subprocess.run([sys.executable, "-c", script, str(store), "99"], capture_output=True, check=True)
        assert (tmp_path / f"{at}.times").read_text() == ".", f"killed at touch {at}"
        assert sorted(path.name for path in Store(store).get("a").path.iterdir()) == ["kept.txt", RECORD_NAME]
        if ends[-1] == 0:
            break
    assert ends[-1] == 0 and len(ends) > 6, ends


def test_every_mismatch_is_named_with_the_remedy(store):
    path = make(store).output.path
    (path / "sub" / "spore.txt").write_text("tampered")
    (path / "foreign.txt").write_text("x")
    with pytest.raises(ProvenanceError) as error:
        store.get("spores")
    assert "sub/spore.txt has other bytes" in str(error.value)
    assert "foreign.txt is not in the record" in str(error.value)
    assert "fungal grow --until spores" in str(error.value)
    (path / "sub" / "spore.txt").unlink()
    assert any("is missing" in fault for fault in mismatches(store.find("spores")))


def test_a_damaged_output_is_made_again_and_kept_for_a_look(store):
    path = make(store).output.path
    (path / "sub" / "spore.txt").write_text("tampered")
    assert not make(store).was_complete
    assert (store.get("spores").path / "sub" / "spore.txt").read_text() == "print"
    assert list(path.parent.glob(".damaged-*"))


def test_a_missing_output_says_what_to_type(store):
    with pytest.raises(
        ProvenanceError, match="'spores/128' has no complete output.*fungal grow --until spores"
    ):
        store.get("spores", "128")


def test_what_is_beside_the_road_names_a_command_of_its_own(store):
    with pytest.raises(ProvenanceError, match="Materialise it first: fungal grow --with moss$"):
        store.get("spores", command="fungal grow --with moss")
    (make(store).output.path / "sub" / "spore.txt").unlink()
    with pytest.raises(ProvenanceError, match=r"Grow it again \(fungal grow --with moss\)"):
        store.get("spores", command="fungal grow --with moss")


def test_the_record_says_what_came_from_what(store):
    source = make(store).output
    made = make(store, asset="caps", inputs=[source]).output
    record = json.loads((made.path / RECORD_NAME).read_text())
    assert record["inputs"] == {"spores": source.record.content_hash}
    assert record["content_hash"] == hash_folder(made.path)
    assert record["licences"] == ["CC0-1.0"]


def test_the_fingerprint_doesnt_depend_on_the_order_of_settings():
    one = fingerprint_of("a", None, {"x": "1", "y": "2"}, {"p": 1, "q": 2}, "1")
    assert one == fingerprint_of("a", None, {"y": "2", "x": "1"}, {"q": 2, "p": 1}, "1")


def test_a_remote_store_keeps_and_fetches(tmp_path):
    import fsspec

    made = make(Store("memory://studio/kept", scratch=tmp_path / "one")).output
    fetched = Store("memory://studio/kept", scratch=tmp_path / "two").get("spores")
    assert fetched.path != made.path and fetched.record == made.record
    assert (fetched.path / "sub" / "spore.txt").read_text() == "print"
    assert make(Store("memory://studio/kept", scratch=tmp_path / "three")).was_complete
    fsspec.filesystem("memory").rm("/studio", recursive=True)


def test_notes_are_read_back(store):
    assert store.read_note("growth.json") is None
    store.write_note("growth.json", {"seconds": 1.5})
    assert store.read_note("growth.json") == {"seconds": 1.5}


def test_an_upload_that_was_cut_off_is_made_good(tmp_path, monkeypatch):
    import fsspec

    files = fsspec.filesystem("memory")
    put_file = type(files).put_file

    def cut_off(self, local, remote, **options):
        if str(remote).endswith(RECORD_NAME):
            raise OSError("the network is gone")
        return put_file(self, local, remote, **options)

    with monkeypatch.context() as broken:
        broken.setattr(type(files), "put_file", cut_off)
        with pytest.raises(OSError, match="the network is gone"):
            make(Store("memory://studio/cut", scratch=tmp_path / "one"))
    assert make(Store("memory://studio/cut", scratch=tmp_path / "one")).was_complete
    assert Store("memory://studio/cut", scratch=tmp_path / "two").get("spores").record.figures == {"count": 1}
    files.rm("/studio", recursive=True)


def test_a_store_of_an_unknown_kind_is_refused_with_the_kinds_that_there_are():
    with pytest.raises(InputError, match="'foo://spores' is of no known kind"):
        Store("foo://spores").find("spores")


def test_a_record_that_is_none_is_named(store):
    output = make(store).output
    (output.path / RECORD_NAME).write_text('{"spores": 1}')
    with pytest.raises(ProvenanceError, match="is no provenance record"):
        store.find("spores")


def test_the_newest_partition_is_the_one_made_last(store):
    assert store.newest_partition("spores") is None
    make(store, partition="128")
    make(store, partition="64", text="later")
    record = store.get("spores", "64").path / RECORD_NAME
    record.write_text(json.dumps(json.loads(record.read_text()) | {"finished_at": "2099-01-01T00:00:00Z"}))
    assert store.newest_partition("spores") == "64"


@pytest.mark.skipif(importlib.util.find_spec("s3fs") is not None, reason="s3fs is installed")
def test_a_remote_store_without_its_library_names_the_extra(tmp_path):
    with pytest.raises(MissingExtraError, match=r"pip install 'fungal_assets\[s3\]'"):
        Store("s3://bucket/prefix", scratch=tmp_path).find("clusters")
