import json
import shutil

import pytest
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.galleries import sizes
from fungal_assets.galleries.batches import load_sampler, read_parameters, save_picture
from fungal_assets.galleries.planning import plan_gallery
from fungal_assets.galleries.redrawing import AGAIN
from fungal_assets.galleries.sizes import PLAIN, TWO_PASSES, plan_sizes
from fungal_assets.shards import read_table
from fungal_assets.store import hash_file
from fungal_assets_tests.galleries.conftest import CLUSTERS, SIDE_PX, draw

HALF, DOUBLE = SIDE_PX // 2, 2 * SIDE_PX
WAYS = {(HALF, PLAIN), (DOUBLE, PLAIN), (DOUBLE, TWO_PASSES)}


def bytes_of(gallery, pattern="sizes"):
    return {str(path.relative_to(gallery)): hash_file(path) for path in (gallery / pattern).rglob("*.png")}


@pytest.fixture(scope="module")
def sized(sample, tmp_path_factory):
    folder = tmp_path_factory.mktemp("sized")
    sample(folder, sizes=[DOUBLE, SIDE_PX, HALF])
    return folder


def test_each_other_size_is_plain_and_the_larger_are_made_in_two_passes_too():
    rows = [
        {"prompt_id": kind, "kind": kind, "species_id": None, "text": kind}
        for kind in ("species", "mutant", "control")
    ]
    plan = plan_gallery(rows, images_per_prompt=2, controls=1, seed=0)
    sized = plan_sizes(plan, [256, 128, 64], 128)
    assert {(each.size_px, each.way) for each in sized} == {(64, PLAIN), (256, PLAIN), (256, TWO_PASSES)}
    assert {(each.kind, each.index, each.model) for each in sized} == {
        ("species", 0, "tuned"),
        ("control", 0, "tuned"),
    }
    assert {each.first for each in sized} < {each.path for each in plan}
    assert len({each.path for each in sized}) == len(sized) == 6
    assert plan_sizes(plan, [128], 128) == []


def test_pictures_have_their_size_and_tell_how_they_were_made(sized):
    rows = read_table(sized / "sizes.parquet")
    assert {(row["size_px"], row["way"]) for row in rows} == WAYS
    assert len(rows) == len(WAYS) * (CLUSTERS + 2)
    for row in rows:
        with Image.open(sized / row["path"]) as image:
            assert image.size == (row["size_px"],) * 2
        parameters = read_parameters(sized / row["path"])
        assert (parameters["width"], parameters["seed"]) == (row["size_px"], row["seed"])
        assert parameters.get("again") == (AGAIN if row["way"] == TWO_PASSES else None)


def test_two_passes_begin_as_the_gallerys_own_picture_and_plain_ones_do_not(sample, sized, tmp_path):
    shutil.copytree(sized, tmp_path / "again")
    shutil.rmtree(tmp_path / "again" / "sizes")
    row = next(row for row in read_table(sized / "sizes.parquet") if row["way"] == TWO_PASSES)
    own = tmp_path / "again" / "pictures" / row["prompt_id"] / f"tuned-{row['seed']}.png"
    save_picture(own, draw(3), read_parameters(own))
    sample(tmp_path / "again", sizes=[DOUBLE, HALF])
    before, after = bytes_of(sized), bytes_of(tmp_path / "again")
    assert {path for path in before if before[path] != after[path]} == {row["path"]}


def test_the_gallerys_own_pictures_are_the_same_with_other_sizes_beside_them(sized, sampled):
    assert bytes_of(sized, "pictures") == bytes_of(sampled, "pictures")
    assert not (sampled / "sizes.parquet").exists()
    assert (sized / "grids" / "sizes.webp").is_file()
    found = json.loads((sized / "sizes.json").read_text())["sizes"]
    assert {(each["size_px"], each["way"]) for each in found} == WAYS | {(SIDE_PX, PLAIN)}


def test_deleted_ones_come_back_with_the_same_bytes_whatever_is_beside_them(sample, sized, tmp_path):
    sample(tmp_path, sizes=[DOUBLE], controls=0)
    few, many = bytes_of(tmp_path), bytes_of(sized)
    assert few and few == {path: many[path] for path in few}


def test_the_model_is_loaded_once_for_all_sizes_and_not_where_nothing_is_missing(
    sample, sized, tmp_path, monkeypatch
):
    loaded = []

    def load(*given):
        loaded.append(given)
        return load_sampler(*given)

    monkeypatch.setattr(sizes, "load_sampler", load)
    shutil.copytree(sized, tmp_path / "again")
    sample(tmp_path / "again", sizes=[DOUBLE, HALF])
    assert loaded == []
    for path in (tmp_path / "again" / "sizes").rglob("*.png"):
        path.unlink()
    sample(tmp_path / "again", sizes=[DOUBLE, HALF])
    assert len(loaded) == 1
    assert bytes_of(tmp_path / "again") == bytes_of(sized)


def test_a_size_that_no_latents_have_is_refused(sample, tmp_path):
    with pytest.raises(InputError, match="size_px=100 must be a multiple of 8"):
        sample(tmp_path, sizes=[100])
