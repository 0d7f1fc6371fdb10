"""Runs that are looked at: they learn the same, go on exactly, and end where a look says so."""

import functools
import json
import signal

import numpy as np
import pytest
from PIL import Image

from fungal_assets.errors import InputError, TrainingError
from fungal_assets.galleries.over_training import watch_again
from fungal_assets.profiles import METHODS
from fungal_assets.shards import read_table
from fungal_assets.store import hash_files, hash_folder
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune
from fungal_assets_tests.galleries.conftest import write_clusters

LOOKED = SETTINGS | {"watch_every_steps": 4}


@pytest.fixture(scope="module")
def clusters_dir(tmp_path_factory):
    return write_clusters(tmp_path_factory.mktemp("clusters"))


@pytest.fixture(scope="module")
def look_by(base_dir, dataset_dir, prompts_dir, clusters_dir):
    """Tune into a folder with looks."""

    def run(folder, **changes):
        settings = LOOKED | {"clusters": clusters_dir} | changes
        return tune(dataset_dir, prompts_dir, folder, base_model=str(base_dir), **settings)

    return run


@pytest.fixture(scope="module")
def looked_by(look_by, tmp_path_factory):
    """The folder of an unbroken run with looks and these changes, made once."""

    @functools.cache
    def made(**changes):
        folder = tmp_path_factory.mktemp("looked")
        look_by(folder, **changes)
        return folder

    return made


@pytest.fixture(scope="module")
def looked(look_by, tmp_path_factory):
    """A run with three looks, and the figures of its steps."""
    folder, heard = tmp_path_factory.mktemp("looked"), {}
    look_by(folder, on_step=lambda step, figures: heard.update({step: figures}))
    return folder, heard


@pytest.fixture(scope="module")
def judge(looked, tmp_path_factory):
    """References by which each of the base model's control pictures is what was asked for."""
    from safetensors.numpy import load_file

    (kept,) = (looked[0] / ".cache").glob("look-*")
    path = tmp_path_factory.mktemp("judge") / "judge.npz"
    np.savez(path, vectors=load_file(kept)["controls"], concept=np.array(["apple", "girl", "tree"]))
    return str(path)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_drawn_does_not_change_what_is_learnt(method, looked, looked_by, tuned_by):
    folder = looked[0] if method == "lora" else looked_by(method=method)
    record = json.loads((tuned_by(method) / "training.json").read_text())
    assert json.loads((folder / "training.json").read_text())["method"] == method
    for name in (record["weights_file"], "loss.parquet", "resume/state.safetensors"):
        assert (folder / name).read_bytes() == (tuned_by(method) / name).read_bytes()


def test_each_look_is_a_row_a_sheet_and_what_was_found(looked):
    folder, _ = looked
    rows = read_table(folder / "looks.parquet")
    assert [row["step"] for row in rows] == [0, 4, 6]
    assert [path.name for path in sorted(folder.glob("looks/*"))] == [
        f"step-{step:08d}.{suffix}" for step in (0, 4, 6) for suffix in ("json", "webp")
    ]
    curve = read_table(folder / "loss.parquet")
    assert rows[1]["loss"] == pytest.approx(np.mean([row["loss"] for row in curve[:4]]))
    assert rows[2]["loss"] == pytest.approx(np.mean([row["loss"] for row in curve[4:]]))
    assert rows[2]["learning_rate"] == curve[-1]["learning_rate"]
    record = json.loads((folder / "training.json").read_text())
    assert rows[0]["held_out_loss"] == record["held_out_loss_before"]
    assert rows[2]["held_out_loss"] == record["held_out_loss_after"]
    assert record["watched_looks"] == 3 and record["step_kept"] == record["steps"] == 6
    assert record["watched_species_recognised"] == rows[2]["species_recognised"]
    with Image.open(folder / "looks/step-00000006.webp") as sheet:
        assert sheet.width > 5 * 128, "two species and three controls side by side"


def test_what_was_found_stands_beside_each_sheet_and_tells_when_knowledge_went(judge, look_by, tmp_path):
    look_by(tmp_path, judge=judge, learning_rate=0.1, max_steps=10, watch_every_steps=5)
    rows = read_table(tmp_path / "looks.parquet")
    watched = watch_again(tmp_path)
    assert [row["step"] for row in watched.found] == [0, 5, 10]
    assert [row["retention"] for row in watched.found] == [row["retention"] for row in rows]
    assert rows[-1]["retention"] < 1, "steps that are far too long leave less"
    gone = {row["text"] for row in watched.prompts if row["gone_by"] is not None}
    assert len(gone) == round(3 * (1 - rows[-1]["retention"]))
    assert watched.looks[0].judge["name"] == "judge" and watched.step_kept == 10


def test_every_step_tells_its_figures_and_a_look_its_own(looked):
    _, heard = looked
    assert sorted(heard) == [1, 2, 3, 4, 5, 6]
    assert all({"loss", "learning_rate"} <= set(figures) for figures in heard.values())
    assert [step for step in heard if "species_recognised" in heard[step]] == [4, 6]


def test_the_curves_are_one_picture_small_enough_for_the_event_log(looked):
    from fungal_assets.defs.previewing import sheets

    folder, _ = looked
    shown = sheets("curves.png", newest="looks/*.webp")(folder)
    assert set(shown) == {"thumbnail", "curves", "looks"}
    figures = json.loads((folder / "training.json").read_text())
    assert not shown.keys() & figures.keys(), "figures of the asset page would hide them"
    assert sum(len(text) for text in shown.values()) < 150_000


@pytest.mark.parametrize(
    ("method", "place"), [("lora", "look"), ("lora", "step"), ("textual_inversion", "look")]
)
def test_a_run_killed_in_a_look_or_after_it_ends_bit_equal_to_an_unbroken_one(
    method, place, clusters_dir, looked_by, look_by, killed_by, tmp_path
):
    changes = {"method": method, "patience_looks": 5}
    settings = LOOKED | {"clusters": clusters_dir} | changes
    assert killed_by(tmp_path, place, 4, **settings) == -signal.SIGKILL
    lines = []
    look_by(tmp_path, **changes, tell=lines.append)
    assert f"training goes on from step {4 if place == 'step' else 3} of 6" in lines
    assert hash_files(tmp_path) == hash_files(looked_by(**changes))


def test_sheets_of_a_run_with_other_settings_are_not_kept(looked, look_by, tmp_path):
    look_by(tmp_path, watch_every_steps=3)
    look_by(tmp_path)
    assert hash_folder(tmp_path) == hash_folder(looked[0])


def test_retention_is_whole_before_training_and_the_judge_is_the_one_that_is_named(judge, look_by, tmp_path):
    figures = look_by(tmp_path, judge=judge, watch_every_steps=6)
    rows = read_table(tmp_path / "looks.parquet")
    assert rows[0]["retention"] == 1.0
    assert figures["watched_retention"] == rows[1]["retention"] in (0.0, 0.3333, 0.6667, 1.0)
    with pytest.raises(InputError, match="has no references"):
        look_by(tmp_path / "other", judge="nobody")


def test_a_run_that_forgets_ends_early_and_keeps_the_weights_of_its_best_look(judge, look_by, tmp_path):
    """Steps that are far too long leave nothing of the pictures after a while."""
    from safetensors.numpy import load_file

    forgetful = {"judge": judge, "learning_rate": 0.1, "max_steps": 10, "watch_every_steps": 2}
    free = look_by(tmp_path / "free", **forgetful)
    retained = [row["retention"] for row in read_table(tmp_path / "free/looks.parquet")]
    assert retained[1] == 1.0 and min(retained) < 1.0, "the test's run keeps all at first and loses some"
    lost = 2 * next(number for number, retention in enumerate(retained) if retention < 1.0)
    lines = []
    held = look_by(tmp_path / "held", **forgetful, stops_below_retention=0.9, tell=lines.append)
    assert (held["steps"], free["steps"]) == (lost, 10)
    assert any(f"training ends at step {lost} of 10: retention is" in line for line in lines)
    record = json.loads((tmp_path / "held/training.json").read_text())
    assert 0 < record["step_kept"] < lost and "below stops_below_retention" in record["stopped_because"]
    assert record["watched_retention"] == 1.0
    assert len(read_table(tmp_path / "held/loss.parquet")) == lost
    last, kept = (
        [values for name, values in load_file(tmp_path / "held" / path).items() if "lora_B" in name]
        for path in ("resume/state.safetensors", record["weights_file"])
    )
    assert kept and not any(np.array_equal(one, other) for one in last for other in kept), (
        "the state to go on from is the last one, the weights are the best"
    )


def test_weights_of_the_best_look_are_those_that_the_run_had_then(judge, look_by, tmp_path):
    settings = {"judge": judge, "watch_every_steps": 1, "patience_looks": 50, "learning_rate": 0.03}
    look_by(tmp_path / "kept", **settings)
    record = json.loads((tmp_path / "kept/training.json").read_text())
    rows = read_table(tmp_path / "kept/looks.parquet")
    seen = [row for row in rows if row["step"] >= 5]
    best = max(seen, key=lambda row: (row["species_recognised"], row["species_likeness"]))
    assert record["step_kept"] == best["step"]
    assert record["watched_species_likeness"] == best["species_likeness"]
    assert record["held_out_loss_after"] == best["held_out_loss"]


def test_a_run_that_forgets_at_once_keeps_nothing_and_says_what_to_change(judge, look_by, tmp_path):
    with pytest.raises(TrainingError, match="every look after a step found .* Lower watch_every_steps"):
        look_by(tmp_path, judge=judge, learning_rate=0.5, max_steps=12, stops_below_retention=1.0)


def test_a_floor_that_cannot_be_measured_is_refused_before_the_first_step(look_by, tmp_path):
    with pytest.raises(InputError, match="none of the base model's 3 watched control pictures is recognised"):
        look_by(tmp_path, stops_below_retention=0.5)
    assert not (tmp_path / ".resume").exists()


def test_a_loss_that_does_not_move_ends_the_run_early(look_by, tmp_path):
    settings = {"watch_every_steps": 0, "max_steps": 24, "must_learn_within": 0.5, "learning_rate": 1e-9}
    with pytest.raises(TrainingError, match="step 20 of 24: .* does not move.* Raise learning_rate"):
        look_by(tmp_path, **settings)


def test_a_loss_that_rises_is_told_apart_from_one_that_stays_and_one_that_falls_is_let_be():
    from fungal_assets.diffusion.loop import refuse_unmoved
    from fungal_assets.diffusion.states import Progress

    progress = Progress(step=150, probe_loss=0.2)
    with pytest.raises(
        TrainingError, match="step 150 of 300: .* has risen, 0.2000 before and 0.2500 now.* Lower"
    ):
        refuse_unmoved(progress, 0.25, 300)
    refuse_unmoved(progress, 0.199, 300)


def test_what_is_looked_at_is_the_average_as_it_is_what_is_written(look_by, tmp_path):
    how = {"learning_rate": 0.03, "watch_every_steps": 3}
    runs = {"averaged": {"ema_decay": 0.9}, "unseen": {"ema_decay": 0.9, "watch_every_steps": 0}, "plain": {}}
    losses = {}
    for name, changed in runs.items():
        look_by(tmp_path / name, **how | changed)
        record = json.loads((tmp_path / name / "training.json").read_text())
        losses[name] = record["held_out_loss_after"]
    last = {name: read_table(tmp_path / name / "looks.parquet")[-1] for name in ("averaged", "plain")}
    assert last["averaged"]["held_out_loss"] == losses["unseen"], "measured at the end, of what is written"
    assert last["plain"]["held_out_loss"] == losses["plain"] != losses["unseen"]
    states = [(tmp_path / name / "resume/state.safetensors").read_bytes() for name in ("averaged", "unseen")]
    assert states[0] == states[1], "what learns goes on as if nobody had looked"


def test_weights_of_the_best_look_of_an_averaged_run_are_the_average_of_then(judge, look_by, tmp_path):
    """A run that ends at that very step writes the same ones."""
    from fungal_assets.diffusion.encoding import read_tensors

    how = {"judge": judge, "watch_every_steps": 1, "ema_decay": 0.9, "learning_rate": 0.1}
    look_by(tmp_path / "kept", **how, max_steps=10, patience_looks=50)
    record = json.loads((tmp_path / "kept/training.json").read_text())
    step = record["step_kept"]
    assert step < 10, "the test's run is best before its end"
    best = read_tensors(tmp_path / f"kept/.resume/best-{step:08d}.safetensors")
    state = read_tensors(tmp_path / "kept/resume/state.safetensors")
    written = read_tensors(tmp_path / "kept" / record["weights_file"])
    assert sorted(value.sum().item() for value in written.values()) == sorted(
        value.sum().item() for value in best.values()
    )
    assert any(not np.array_equal(best[name], state[f"weights.{name}"]) for name in best)


def test_an_averaged_run_killed_in_a_look_goes_on_bit_equal(look_by, looked_by, tmp_path):
    settings = {"ema_decay": 0.9, "patience_looks": 5}

    def stop(step, _figures):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_by(tmp_path, **settings, on_step=stop)
    look_by(tmp_path, **settings)
    assert hash_files(tmp_path) == hash_files(looked_by(**settings))


@pytest.mark.parametrize(("place", "step"), [("look", 4), ("swap", 3)])
def test_a_stop_at_an_average_saves_what_learns_or_nothing(
    place, step, look_by, looked_by, tmp_path, monkeypatch
):
    """Within a look what learns is put back and saved; amid the swap it is neither, and the state before stands."""
    from diffusers.training_utils import EMAModel

    from fungal_assets.diffusion import looks

    settings = {"ema_decay": 0.9, "patience_looks": 5}
    whole = looked_by(**settings)
    owner, name = {"look": (looks, "show_look"), "swap": (EMAModel, "copy_to")}[place]
    does, done = getattr(owner, name), []

    def stop(*given):
        does(*given)
        done.append(given)
        if len(done) == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(owner, name, stop)
        with pytest.raises(KeyboardInterrupt):
            look_by(tmp_path, **settings)
    lines = []
    look_by(tmp_path, **settings, tell=lines.append)
    assert f"training goes on from step {step} of 6" in lines
    assert hash_files(tmp_path) == hash_files(whole)


@pytest.mark.parametrize("method", ["lora", "textual_inversion"])
def test_a_model_of_the_xl_family_is_looked_at_and_learns_the_same(
    method, xl_dir, dataset_dir, prompts_dir, clusters_dir, tmp_path
):
    settings = SETTINGS | {"method": method, "base_model": str(xl_dir)}
    settings |= {"trains_text_encoder": method == "lora"}
    tune(dataset_dir, prompts_dir, tmp_path / "alone", **settings)
    watched = settings | {"watch_every_steps": 4, "clusters": clusters_dir}
    tune(dataset_dir, prompts_dir, tmp_path / "looked", **watched)
    assert len(read_table(tmp_path / "looked/looks.parquet")) == 3
    record = json.loads((tmp_path / "looked/training.json").read_text())
    for name in (record["weights_file"], "loss.parquet", "resume/state.safetensors"):
        assert (tmp_path / "alone" / name).read_bytes() == (tmp_path / "looked" / name).read_bytes()


def test_looks_without_prompts_are_refused(base_dir, dataset_dir, tmp_path):
    from fungal_assets.diffusion import training
    from fungal_assets.diffusion.training import Recipe
    from fungal_assets.diffusion.watching import Watching
    from fungal_assets_tests.diffusion.conftest import UNWATCHED

    fields = {name: SETTINGS[name] for name in Recipe.__dataclass_fields__}
    how = {"recipe": Recipe(**fields | {"rehearsal_share": 0.0}), "method": "lora", "checkpoint_every_s": 1e9}
    watching = Watching(**UNWATCHED | {"watch_every_steps": 4})
    with pytest.raises(InputError, match="watch_every_steps is 4, but there are no prompts to draw"):
        training.tune(dataset_dir, None, tmp_path, **how, watching=watching, base_model=str(base_dir))
