"""Every row of every shard is trained on, and a shard that goes or changes on the way is named."""

import json
import shutil

import pytest

from fungal_assets.diffusion.checks import check_every_row_trained_on
from fungal_assets.diffusion.manifest import Manifest
from fungal_assets.errors import ProvenanceError
from fungal_assets.shards import count_rows_by_shard
from fungal_assets.store import hash_folder
from fungal_assets.verdicts import judged
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune, write_dataset

SECOND = "train-00001-of-00002.parquet"


def take_away(path):
    path.unlink()


def cut_off(path):
    path.write_bytes(path.read_bytes()[:-100])


def exchange(path):
    """For a whole one of the same name, with other rows."""
    other = write_dataset(path.parent.parent / "other", 9)
    shutil.move(other / "data" / path.name, path)
    shutil.rmtree(other)


def turn_a_bit(path):
    """The size stays."""
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(content)


FAULTS = {
    take_away: f"{SECOND} is missing",
    cut_off: rf"{SECOND} has other bytes \(\d+ of SHA-256 [0-9a-f]{{12}}…, expected \d+ of",
    exchange: f"{SECOND} has other bytes",
    turn_a_bit: f"{SECOND} has other bytes",
}
every_fault = pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "dataset", 13, held_out=3)


@pytest.mark.parametrize("shards", [1, 2, 50])
def test_rows_trained_on_equal_rows_in_the_manifest_shard_by_shard(shards, base_dir, prompts_dir, tmp_path):
    dataset = write_dataset(tmp_path / "dataset", 13, shards=shards)
    tune(
        dataset,
        prompts_dir,
        tmp_path / "out",
        base_model=str(base_dir),
        **SETTINGS | {"rehearsal_share": 0.0},
    )
    record = json.loads((tmp_path / "out/training.json").read_text())
    promised = count_rows_by_shard(dataset / "data")
    assert len(promised) == shards and sum(promised.values()) == 13
    assert record["rows_by_shard"] == record["rows_trained_on_by_shard"] == promised
    verdict = check_every_row_trained_on(tmp_path / "out", dataset)
    assert verdict.passed and f"13 of 13 rows of {shards} shards" in verdict.finding
    assert verdict.figures["shards"] == shards


def test_rows_that_were_left_out_are_told_by_shard_also_where_the_sum_is_right(
    tuned_dir, dataset_dir, tmp_path
):
    shutil.copytree(tuned_dir, tmp_path / "tuned")
    record = json.loads((tuned_dir / "training.json").read_text())
    seen = record["rows_trained_on_by_shard"]
    first, second = seen
    moved = {first: seen[first] + 1, second: seen[second] - 1}
    (tmp_path / "tuned/training.json").write_text(json.dumps(record | {"rows_trained_on_by_shard": moved}))
    verdict = check_every_row_trained_on(tmp_path / "tuned", dataset_dir)
    assert not verdict.passed
    assert (
        f"By shard: {first} {seen[first] + 1} of {seen[first]}, {second} {seen[second] - 1}"
        in verdict.finding
    )


def test_a_shard_that_is_gone_after_training_is_named_by_the_check(tuned_dir, dataset):
    assert check_every_row_trained_on(tuned_dir, dataset).passed
    (dataset / "data" / SECOND).unlink()
    verdict = judged(lambda: check_every_row_trained_on(tuned_dir, dataset))
    assert not verdict.passed and f"missing: ['{SECOND}']" in verdict.finding


@every_fault
def test_a_shard_that_goes_or_changes_in_mid_training_is_named_and_put_back_gone_on_with(
    fault, base_dir, dataset, prompts_dir, tuned_dir, tmp_path
):
    shutil.copytree(dataset, tmp_path / "spare")

    def spoil(step, _figures):
        if step == 3:
            fault(dataset / "data" / SECOND)

    settings = {"base_model": str(base_dir), **SETTINGS}
    with pytest.raises(
        ProvenanceError, match=f"{FAULTS[fault]}.*Put the shards back, or grow captioned_dataset"
    ):
        tune(dataset, prompts_dir, tmp_path / "out", **settings, on_step=spoil)
    assert not (tmp_path / "out/training.json").exists()
    assert (tmp_path / "out/.resume/step-00000004").exists(), "what was learnt before is kept"
    with pytest.raises(ProvenanceError, match=f"{FAULTS[fault]}.*To train anew on what is there, delete"):
        tune(dataset, prompts_dir, tmp_path / "out", **settings)
    shutil.copy(tmp_path / "spare/data" / SECOND, dataset / "data")
    lines = []
    tune(dataset, prompts_dir, tmp_path / "out", **settings, tell=lines.append)
    assert "training goes on from step 4 of 6" in lines
    assert hash_folder(tmp_path / "out") == hash_folder(tuned_dir)


@every_fault
def test_a_shard_that_goes_or_changes_amid_encoding_is_named(fault, base_dir, dataset, prompts_dir, tmp_path):
    def spoil(line):
        if line.startswith("encoding pictures (test)"):
            fault(dataset / "data" / SECOND)

    settings = {"base_model": str(base_dir), **SETTINGS}
    with pytest.raises(ProvenanceError, match=FAULTS[fault]):
        tune(dataset, prompts_dir, tmp_path / "out", **settings, tell=spoil)
    assert not (tmp_path / "out/.resume").exists(), "before a step is taken"


def test_a_shard_that_is_cut_off_from_the_first_is_named_and_leaves_no_note(
    base_dir, dataset, prompts_dir, tmp_path
):
    cut_off(dataset / "data" / SECOND)
    with pytest.raises(
        ProvenanceError, match=rf"{SECOND} \(\d+ bytes\) is no whole Parquet file: .*Grow the asset"
    ):
        tune(dataset, prompts_dir, tmp_path / "out", base_model=str(base_dir), **SETTINGS)
    assert not list((tmp_path / "out").glob(".shards*"))


def test_a_file_that_was_only_touched_is_read_again_and_found_to_be_the_same(dataset, tmp_path):
    manifest = Manifest.of(dataset / "data", tmp_path / "note.json")
    shutil.copy(dataset / "data" / SECOND, tmp_path / "copy")
    shutil.move(tmp_path / "copy", dataset / "data" / SECOND)
    manifest.hold()
    assert manifest.sha256 == hash_folder(dataset / "data")
