import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from fungal_assets.diffusion.checks import check_class_share
from fungal_assets.diffusion.training import HELD_OUT_ROWS
from fungal_assets.errors import InputError, ProvenanceError, TrainingError
from fungal_assets.profiles import METHODS
from fungal_assets.shards import read_table, shard_paths
from fungal_assets.store import hash_files, hash_folder
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune, write_dataset, write_split


@pytest.mark.parametrize("ema_decay", [0.0, 0.9], ids=["plain", "averaged"])
@pytest.mark.parametrize("method", METHODS)
def test_a_run_killed_and_called_again_ends_bit_equal_to_an_unbroken_one(
    method, ema_decay, base_dir, dataset_dir, prompts_dir, tuned_by, killed_by, tmp_path
):
    settings = SETTINGS | {"method": method, "ema_decay": ema_decay}
    assert killed_by(tmp_path, "step", 3, **settings) == -signal.SIGKILL
    assert not (tmp_path / "training.json").exists()
    lines = []
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings, tell=lines.append)
    assert "training goes on from step 3 of 6" in lines
    assert hash_files(tmp_path) == hash_files(tuned_by(method, ema_decay))


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit, RuntimeError])
def test_an_interruption_saves_the_step_it_came_at(
    interruption, base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path
):
    def interrupt(step, _figures):
        if step == 4:
            raise interruption

    settings = SETTINGS | {"checkpoint_every_s": 1e9}
    with pytest.raises(interruption):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings, on_step=interrupt)
    assert [path.name for path in (tmp_path / ".resume").iterdir()] == ["step-00000004"]
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    assert hash_folder(tmp_path) == hash_folder(tuned_dir)


def test_a_damaged_newest_state_is_passed_over_for_the_one_before(
    base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path
):
    def interrupt(step, _figures):
        if step == 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS, on_step=interrupt)
    assert sorted(path.name for path in (tmp_path / ".resume").iterdir()) == [
        "step-00000003",
        "step-00000004",
    ]
    (tmp_path / ".resume/step-00000004/state.safetensors").write_bytes(b"half a file")
    lines = []
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS, tell=lines.append)
    assert any("damaged" in line for line in lines)
    assert "training goes on from step 3 of 6" in lines
    assert hash_folder(tmp_path) == hash_folder(tuned_dir)


def test_a_state_of_a_run_with_other_settings_is_not_used(
    base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path
):
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS | {"seed": 4})
    lines = []
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS, tell=lines.append)
    assert any("other settings" in line for line in lines)
    assert hash_folder(tmp_path) == hash_folder(tuned_dir)


def test_what_is_kept_says_what_was_trained_on(tuned_dir, base_dir):
    record = json.loads((tuned_dir / "training.json").read_text())
    assert record["rows"] == record["rows_trained_on"] == 13
    assert record["base_model"] == {"id": "tiny", "sha256": hash_folder(base_dir)}
    assert record["rehearsed_prompts"] == ["hamburger", "girl holding a basket"]
    assert (record["steps"], record["lora_rank"], record["resolution_px"]) == (6, 4, 64)
    assert not [name for name in record if "second" in name]
    assert (record["class_share"], record["name_share"]) == (0.2, 0.2)
    drawn = [record[name] for name in ("specimens_drawn", "class_texts_drawn", "names_drawn")]
    assert drawn == [18, 3, 3]
    assert record["texts"] == 7 and 6 <= record["texts_drawn"] <= 7
    curve = read_table(tuned_dir / "loss.parquet")
    assert [row["step"] for row in curve] == [1, 2, 3, 4, 5, 6]
    assert all(row["rehearsal_loss"] is not None for row in curve)
    assert {path.name for path in tuned_dir.glob("resume/*")} == {"state.safetensors", "state.json"}


def test_what_is_held_out_is_measured_and_never_trained_on(tuned_dir, base_dir, prompts_dir, tmp_path):
    record = json.loads((tuned_dir / "training.json").read_text())
    assert record["held_out_rows"] == 3
    assert 0 < record["held_out_loss_after"] != record["held_out_loss_before"]
    alone = write_dataset(tmp_path / "alone", 13)
    figures = tune(alone, prompts_dir, tmp_path / "tuned", base_model=str(base_dir), **SETTINGS)
    assert figures["held_out_rows"] == 0 and "held_out_loss_after" not in figures
    for name in (record["weights_file"], "loss.parquet"):
        assert (tmp_path / "tuned" / name).read_bytes() == (tuned_dir / name).read_bytes()


def test_the_loss_on_held_out_pictures_begins_as_that_of_the_base_model(
    tuned_dir, base_dir, dataset_dir, prompts_dir, tmp_path
):
    """Whatever is learnt and however fast, it is the same before."""
    settings = SETTINGS | {"max_steps": 4, "learning_rate": 1e-2, "lora_rank": 2}
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    one, other = (json.loads((folder / "training.json").read_text()) for folder in (tuned_dir, tmp_path))
    assert one["held_out_loss_before"] == pytest.approx(other["held_out_loss_before"], rel=1e-6)
    assert one["held_out_loss_after"] != other["held_out_loss_after"]


def test_the_loss_on_held_out_pictures_is_of_these_and_of_no_others(base_dir, prompts_dir, tmp_path):
    """Other rows to train on do not change the base model's loss on them; other held-out pictures do."""
    before = []
    for trained_on, held_out in (((0, 9), (20, 23)), ((40, 49), (20, 23)), ((0, 9), (60, 63))):
        place = tmp_path / f"{trained_on} {held_out}"
        write_split(place, "train", range(*trained_on), 2, ("a mushroom",))
        write_split(place, "test", range(*held_out), 1, ("a mushroom",))
        settings = SETTINGS | {"max_steps": 3, "rehearsal_prompts": 0, "rehearsal_share": 0.0}
        figures = tune(place, prompts_dir, place / "tuned", base_model=str(base_dir), **settings)
        before.append(figures["held_out_loss_before"])
    assert before[0] == pytest.approx(before[1], rel=1e-6)
    assert before[0] != pytest.approx(before[2], rel=1e-4)


def test_of_many_held_out_pictures_as_many_are_encoded_as_are_measured_over(base_dir, prompts_dir, tmp_path):
    dataset = write_dataset(tmp_path, 4, held_out=HELD_OUT_ROWS + 2)
    settings = SETTINGS | {"max_steps": 2}
    figures = tune(dataset, prompts_dir, tmp_path / "tuned", base_model=str(base_dir), **settings)
    assert figures["held_out_rows"] == HELD_OUT_ROWS


def test_rehearsal_starts_at_no_loss_because_the_base_model_agrees_with_itself(tuned_dir):
    first = read_table(tuned_dir / "loss.parquet")[0]
    assert first["rehearsal_loss"] < 1e-9 < first["specimen_loss"]


def test_the_full_method_changes_the_whole_unet(base_dir, dataset_dir, prompts_dir, tmp_path):
    from safetensors.numpy import load_file

    settings = SETTINGS | {"method": "full", "max_steps": 2, "checkpoint_every_s": 1e9}
    figures = tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    name = "unet/diffusion_pytorch_model.safetensors"
    tuned, base = load_file(tmp_path / name), load_file(base_dir / name)
    assert tuned.keys() == base.keys()
    assert sum((tuned[key] != base[key]).any() for key in base) > 0.9 * len(base)
    assert figures["parameters"] == sum(values.size for values in base.values())


def test_a_model_that_answers_nan_is_refused_with_what_to_change(
    pipeline, dataset_dir, prompts_dir, tmp_path
):
    import copy

    broken = copy.deepcopy(pipeline.unet)
    broken.conv_out.weight.data.fill_(float("nan"))
    parts = {name: part for name, part in pipeline.components.items() if name != "unet"}
    type(pipeline)(unet=broken, **parts, requires_safety_checker=False).save_pretrained(tmp_path / "base")
    with pytest.raises(TrainingError, match="must be finite. Lower learning_rate"):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(tmp_path / "base"), **SETTINGS)


def test_a_model_without_effect_is_refused_as_dead(pipeline, dataset_dir, prompts_dir, tmp_path):
    import copy

    dead = copy.deepcopy(pipeline.unet)
    dead.conv_out.weight.data.zero_()
    parts = {name: part for name, part in pipeline.components.items() if name != "unet"}
    type(pipeline)(unet=dead, **parts, requires_safety_checker=False).save_pretrained(tmp_path / "base")
    with pytest.raises(TrainingError, match="all gradients are zero"):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(tmp_path / "base"), **SETTINGS)


def test_a_missing_shard_is_named(base_dir, prompts_dir, tmp_path):
    dataset = write_dataset(tmp_path / "dataset", 6)
    next((dataset / "data").glob("*-00001-of-*")).unlink()
    with pytest.raises(ProvenanceError, match="train-00000-of-00002.parquet.*one is missing"):
        tune(dataset, prompts_dir, tmp_path, base_model=str(base_dir), **SETTINGS)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"vectors_per_species": 0}, "vectors_per_species is 0, at least 1 expected"),
        ({"method": "textual_inversion", "class_noun": ""}, "class_noun is empty.*such as 'mushroom'"),
        ({"method": "hypernetwork"}, "not known; use one of"),
        ({"max_steps": 0, "rehearsal_share": 1.0}, "max_steps is 0.*rehearsal_share is 1.0"),
        ({"rehearsal_prompts": 0}, "rehearsal_share is 0.25, but there is no rehearsal.*--until rehearsal"),
        ({"ema_decay": 1.0}, "ema_decay is 1.0, 0 to below 1 expected"),
        ({"name_share": 0.8}, "class_share and name_share are 1, below 1 expected"),
        ({"class_share": -0.1}, "class_share is -0.1, 0 to below 1 expected"),
        ({"base_model": "nowhere"}, "not a folder, not a card and not a hub id"),
    ],
)
def test_settings_that_cannot_be_are_refused(change, message, base_dir, dataset_dir, prompts_dir, tmp_path):
    with pytest.raises(InputError, match=message):
        tune(dataset_dir, prompts_dir, tmp_path, **{"base_model": str(base_dir)} | SETTINGS | change)


def test_a_share_without_names_that_no_row_can_meet_is_refused(base_dir, prompts_dir, tmp_path):
    dataset = write_dataset(tmp_path / "dataset", 4, class_texts=())
    with pytest.raises(InputError, match="4 of 4 rows .* have no class_texts. Set .*class_share to 0"):
        tune(dataset, prompts_dir, tmp_path / "a", base_model=str(base_dir), **SETTINGS)
    assert not (tmp_path / "a/.cache").exists(), "refused before a picture is encoded"
    figures = tune(
        dataset,
        prompts_dir,
        tmp_path / "b",
        base_model=str(base_dir),
        **SETTINGS | {"class_share": 0.0, "max_steps": 2},
    )
    assert figures["class_texts_drawn"] == 0


def test_few_rows_without_a_wording_that_says_no_name_are_counted(base_dir, prompts_dir, tmp_path):
    dataset = write_dataset(tmp_path / "dataset", 9)
    shard = shard_paths(dataset / "data", "train")[0]
    table = pq.read_table(shard)
    empty = pa.array([[]] * table.num_rows, pa.list_(pa.string()))
    pq.write_table(table.set_column(table.schema.get_field_index("class_texts"), "class_texts", empty), shard)
    with pytest.raises(InputError, match=f" {table.num_rows} of 9 rows .* have no class_texts"):
        tune(dataset, prompts_dir, tmp_path / "tuned", base_model=str(base_dir), **SETTINGS)
    assert 0 < table.num_rows < 9


def test_rows_without_a_species_are_counted_where_names_alone_are_to_be_drawn(
    base_dir, prompts_dir, tmp_path
):
    dataset = write_dataset(tmp_path / "dataset", 9)
    shard = shard_paths(dataset / "data", "train")[0]
    table = pq.read_table(shard)
    nameless = pa.array([""] * table.num_rows, pa.string())
    pq.write_table(table.set_column(table.schema.get_field_index("species"), "species", nameless), shard)
    with pytest.raises(
        InputError, match=f" {table.num_rows} of 9 rows .* have no species. Set .*name_share to 0"
    ):
        tune(dataset, prompts_dir, tmp_path / "tuned", base_model=str(base_dir), **SETTINGS)
    settings = SETTINGS | {"name_share": 0.0, "max_steps": 2}
    figures = tune(dataset, prompts_dir, tmp_path / "tuned", base_model=str(base_dir), **settings)
    assert figures["names_drawn"] == 0 < table.num_rows < 9


def test_held_out_rows_need_no_wording_without_a_name(base_dir, prompts_dir, tmp_path):
    write_split(tmp_path, "train", range(4), 1, ("a mushroom",))
    write_split(tmp_path, "test", range(4, 6), 1, ())
    settings = SETTINGS | {"max_steps": 2}
    figures = tune(tmp_path, prompts_dir, tmp_path / "tuned", base_model=str(base_dir), **settings)
    assert (figures["held_out_rows"], figures["class_texts_drawn"]) == (2, 1)


def test_too_few_steps_become_as_many_as_see_every_row_and_all_of_them_are_told(
    base_dir, dataset_dir, prompts_dir, tmp_path
):
    """A step of 4 has 3 rows of the dataset's 13 and one of rehearsal."""
    lines = []
    settings = SETTINGS | {"max_steps": 2}
    figures = tune(
        dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings, tell=lines.append
    )
    assert "5 steps instead of 2, so that all 13 rows are seen" in lines
    assert figures["rows_trained_on"] == figures["rows"] == 13
    told = [figures[name] for name in ("steps", "specimens_drawn", "class_texts_drawn")]
    assert told == [5, 15, 3] and figures["epochs"] == round(15 / 13, 3)
    assert json.loads((tmp_path / "training.json").read_text())["max_steps"] == 5
    assert [row["step"] for row in read_table(tmp_path / "loss.parquet")] == [1, 2, 3, 4, 5]


def test_a_method_that_learns_names_draws_no_text_without_one_whatever_the_share(tuned_by):
    folder = tuned_by("textual_inversion")
    record = json.loads((folder / "training.json").read_text())
    assert record["class_share"] == record["rehearsal_share"] == record["class_texts_drawn"] == 0
    assert record["rehearsed_prompts"] == [] and record["vectors_per_species"] == 2
    assert record["texts_drawn"] == 4 and record["specimens_drawn"] == 6 * 4
    assert record["name_share"] == record["names_drawn"] == 0
    shares = {name: SETTINGS[name] for name in ("class_share", "name_share")}
    assert check_class_share(folder, **shares).passed


def test_a_share_that_was_not_met_is_found(tuned_dir, tmp_path):
    shutil.copy(tuned_dir / "training.json", tmp_path)
    assert check_class_share(tmp_path, class_share=0.2, name_share=0.2).passed
    verdict = check_class_share(tmp_path, class_share=0.2, name_share=0.6)
    assert not verdict.passed and "3 with the name alone, 60.0%" in verdict.finding
    verdict = check_class_share(tmp_path, class_share=0.4, name_share=0.2)
    assert not verdict.passed and "3 of 18 draws came without a name (16.7%), 40.0%" in verdict.finding


def test_the_module_loads_no_heavy_library():
    code = "import sys, fungal_assets.diffusion.training, fungal_assets.diffusion.pruning, "
    code += "fungal_assets.diffusion.checks; print({'torch', 'diffusers', 'peft', 'yaml'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=Path.cwd())
    assert done.stdout.strip() == "set()", done.stderr
