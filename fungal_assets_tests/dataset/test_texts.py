"""Captions are read as they stand in their table, and few of them lie in memory at once."""

import tracemalloc

import pytest

from fungal_assets.dataset.contents import CaptionStatistics
from fungal_assets.dataset.texts import map_texts, read_captions
from fungal_assets.shards import read_table, write_table

COUNT = 4000


@pytest.fixture(scope="module")
def captions(tmp_path_factory):
    """More rows than are read at once, each with texts of its own; the ids are in no order."""
    folder = tmp_path_factory.mktemp("captions")
    rows = (
        {
            "image_id": f"{number * 7919 % COUNT:016x}",
            "species_id": f"species-{number % 3}",
            "caption": f"a photo of a cap, number {number}",
            "wordings": [f"a photo of a cap, number {number}, wording {at}" for at in range(5)],
            "class_wordings": [f"a mushroom, number {number}"] * (number % 3),
            "habitat": "in moss" if number % 2 else None,
            "is_cluttered": False,
        }
        for number in range(COUNT)
    )
    write_table(folder / "captions.parquet", rows)
    return folder


def test_every_picture_has_its_own_texts_in_any_order(captions, tmp_path):
    rows = read_table(captions / "captions.parquet")
    with map_texts(captions, tmp_path) as texts:
        for row in sorted(rows, key=lambda row: row["image_id"]):
            told = {"texts": row["wordings"], "class_texts": row["class_wordings"]}
            assert texts.of(row["image_id"]) == told
    assert not list(tmp_path.iterdir())


def test_all_rows_are_read_in_their_order_and_without_the_lists(captions):
    rows = read_table(captions / "captions.parquet")
    lists = ("wordings", "class_wordings")
    told = [{name: value for name, value in row.items() if name not in lists} for row in rows]
    assert list(read_captions(captions)) == told
    few = ("image_id", "caption")
    assert list(read_captions(captions, few)) == [{name: row[name] for name in few} for row in rows]


def peak_of(action):
    """The most megabytes of Python objects while something is done."""
    tracemalloc.start()
    try:
        action()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_texts_are_not_held_as_objects(captions, tmp_path):
    def look():
        with map_texts(captions, tmp_path) as texts:
            for number in range(COUNT):
                texts.of(f"{number:016x}")

    assert peak_of(lambda: read_table(captions / "captions.parquet")) > 5 * peak_of(look)


def test_counting_holds_the_captions_and_little_else(captions):
    all_rows = peak_of(lambda: list(read_captions(captions)))
    assert peak_of(lambda: CaptionStatistics.of(read_captions(captions))) < 0.85 * all_rows
