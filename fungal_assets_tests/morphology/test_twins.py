"""Twins are found block by block as they would be at once, grouped as they hang together, and never dropped."""

from __future__ import annotations

import shutil
import tracemalloc
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageEnhance

from fungal_assets.collection.admission import admit_images
from fungal_assets.morphology import projection
from fungal_assets.morphology.clusters import _count_distinct
from fungal_assets.morphology.features import VECTORS, VectorBlocks, extract_features
from fungal_assets.morphology.twins import find_links, link_twins, read_groups
from fungal_assets.shards import count_rows, read_rows, read_table
from fungal_assets_tests.collection.drawing import LENIENT, encode
from fungal_assets_tests.morphology.conftest import draw_specimen


def _unit(vectors):
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def _planted(count, dimensions=32, seed=0):
    """Random unit rows, every fifth of which has a near copy seven rows further on."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, dimensions))
    for row in range(0, count - 7, 5):
        vectors[row + 7] = vectors[row] + rng.normal(size=dimensions) * 0.15
    return _unit(vectors)


def _by_hand(vectors, least):
    """Nearest rows and groups from the whole matrix, by walking."""
    cosines = vectors.astype(np.float64) @ vectors.T.astype(np.float64)
    np.fill_diagonal(cosines, -2)
    nearest = np.where(cosines.max(axis=1) >= least, cosines.argmax(axis=1), -1)
    groups = np.full(len(vectors), -1)
    for start in range(len(vectors)):
        open_rows = [start] if groups[start] < 0 else []
        while open_rows:
            row = open_rows.pop()
            if groups[row] < 0:
                groups[row] = start
                open_rows += np.flatnonzero(cosines[row] >= least).tolist()
    return nearest, groups


def _cut(vectors, block_rows):
    return [vectors[start : start + block_rows] for start in range(0, len(vectors), block_rows)]


@pytest.mark.parametrize("block_rows", [7, 64, 300, 5000])
def test_blocks_of_any_size_find_what_the_whole_matrix_holds(block_rows):
    vectors = _planted(300)
    links = find_links(_cut(vectors, block_rows), 0.8)
    nearest, groups = _by_hand(vectors, 0.8)
    assert (nearest >= 0).sum() > 80
    assert np.array_equal(links.nearest, nearest) and np.array_equal(links.groups, groups)


def test_a_chain_is_one_group_though_its_ends_are_far_apart():
    angles = np.deg2rad(np.arange(0, 181, 20))
    links = find_links([_unit(np.stack([np.cos(angles), np.sin(angles)], axis=1))], np.cos(np.deg2rad(21)))
    assert set(links.groups.tolist()) == {0} and (links.nearest >= 0).all()


def test_rows_without_a_twin_stand_alone():
    links = find_links([np.eye(6, dtype=np.float32)], 0.9)
    assert links.nearest.tolist() == [-1] * 6 and links.groups.tolist() == list(range(6))


def test_a_thousand_frames_of_one_thing_are_one_group():
    """Half a million pairs, of which none is held."""
    frames = _unit(np.random.default_rng(0).normal(size=(1, 64)) + np.zeros((1000, 1)))
    assert set(find_links([frames], 0.9).groups.tolist()) == {0}


def _trace(work):
    """The peak of bytes that numpy and Python hold in a call."""
    tracemalloc.start()
    work()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return peak


def test_memory_does_not_grow_with_the_square():
    vectors = _planted(3000, dimensions=16)
    find_links(_cut(vectors[:300], 128), 0.95)  # imports
    assert _trace(lambda: find_links(_cut(vectors, 128), 0.95)) < 3000 * 3000 * 4 / 20


def test_vectors_on_disk_are_never_all_in_memory(tmp_path):
    """Of twelve megabytes of vectors, in blocks of half a one, linking, counting and projecting hold four at most."""
    vectors = _planted(6000, dimensions=512)
    columns = [[f"{row:04d}" for row in range(6000)], list(vectors), [None] * 6000]
    table = pa.table(columns, schema=VECTORS)
    pq.write_table(table, tmp_path / "vectors.parquet", row_group_size=64, compression="NONE")
    blocks = VectorBlocks(tmp_path, 256)
    assert [len(block) for block in blocks] == [256] * 23 + [112]
    assert np.array_equal(np.concatenate(list(blocks)), vectors)
    expected = find_links(_cut(vectors, 1500), 0.9)

    def work():
        assert np.array_equal(find_links(blocks, 0.9).nearest, expected.nearest)
        assert _count_distinct(blocks) == 6000
        with mock.patch.object(projection, "MAX_FIT_IMAGES", 200):
            fitted = projection.fit_projection(projection.pick_rows(blocks, 6000, 0))
        assert len(np.concatenate([fitted.project(block) for block in blocks])) == 6000

    work()  # imports
    arrow_bytes = pa.total_allocated_bytes()
    for _ in blocks:  # Arrow's memory is not traced; its threads let go of a few blocks late
        assert pa.total_allocated_bytes() - arrow_bytes < vectors.nbytes / 3
    assert _trace(work) < vectors.nbytes / 3
    assert pa.total_allocated_bytes() - arrow_bytes < vectors.nbytes / 3


@pytest.fixture(scope="module")
def grown(tmp_path_factory, extractor):
    """Vectors of ten drawn specimens, two of which have a second frame: cut out and darker."""
    root = tmp_path_factory.mktemp("twins")
    source, raw_images, folder = (root / name for name in ("source", "raw", "vectors"))
    for path in (source, raw_images, folder):
        path.mkdir()
    for number in range(10):
        image = draw_specimen("star", number).resize((256, 256), Image.Resampling.BICUBIC)
        (source / f"{number}.png").write_bytes(encode(image))
        if number < 2:
            darker = ImageEnhance.Brightness(image.crop((12, 8, 248, 244))).enhance(0.8)
            (source / f"{number}-again.png").write_bytes(encode(darker))
    admit_images(raw_images, source=str(source), **LENIENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fungal_assets.morphology.efficientnet._user_cache_dir", lambda: extractor._cache_dir)
        figures = extract_features(raw_images, folder, extractor="efficientnet-lite0", batch_size=8)
    return raw_images, folder, figures


def test_a_second_frame_of_a_specimen_is_linked_and_kept(grown):
    raw_images, folder, figures = grown
    origins = {row["image_id"]: row["origin"] for row in read_rows(raw_images, ["image_id", "origin"])}
    assert count_rows(raw_images) == figures["images"] == 12
    linked = {
        (origins[row["image_id"]], origins[row["twin_id"]]) for row in read_table(folder / "twins.parquet")
    }
    assert {("0.png", "0-again.png"), ("0-again.png", "0.png"), ("1.png", "1-again.png")} <= linked
    rows = read_table(folder / "twins.parquet")
    assert all(row["cosine"] >= 0.9 for row in rows) and figures["twins"] == len(rows)
    assert figures["twin_groups"] == len({row["group_id"] for row in rows})
    assert Image.open(folder / "twins.webp").width > 100


def test_every_picture_has_a_group_and_twins_share_theirs(grown):
    raw_images, folder, _ = grown
    groups = read_groups(folder)
    assert set(groups) == {row["image_id"] for row in read_rows(raw_images, ["image_id"])}
    assert set(groups.values()) <= set(groups)
    for row in read_table(folder / "twins.parquet"):
        assert groups[row["image_id"]] == groups[row["twin_id"]] == row["group_id"]
    assert len(set(groups.values())) < len(groups)


def test_the_same_vectors_give_the_same_files(grown, tmp_path):
    raw_images, folder, figures = grown
    shutil.copytree(folder, tmp_path / "again")
    told = link_twins(raw_images, tmp_path / "again")
    assert told == {name: figures[name] for name in told}
    for name in ("twins.parquet", "twins.webp"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()


def test_without_twins_there_is_an_empty_table_and_no_sheet(grown, tmp_path):
    raw_images, folder, _ = grown
    shutil.copytree(folder, tmp_path / "alone")
    table = pq.read_table(folder / "vectors.parquet")
    apart = pa.array(list(np.eye(len(table), 1280, dtype=np.float32)), pa.list_(pa.float32()))
    pq.write_table(table.set_column(1, "vector", apart), tmp_path / "alone" / "vectors.parquet")
    assert link_twins(raw_images, tmp_path / "alone") == {"twins": 0, "twin_groups": 0}
    assert read_table(tmp_path / "alone" / "twins.parquet") == []
    assert not (tmp_path / "alone" / "twins.webp").exists()
    groups = read_groups(tmp_path / "alone")
    assert len(groups) == 12 and all(image_id == group for image_id, group in groups.items())
