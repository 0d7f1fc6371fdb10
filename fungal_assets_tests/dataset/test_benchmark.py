"""The benchmark's synthetic collection is one that the dataset is built of."""

import runpy
from pathlib import Path

import fungal_assets
from fungal_assets.shards import read_rows

BENCHMARK = Path(fungal_assets.__file__).parents[1] / "benchmarks/dataset.py"


def test_the_benchmark_builds_a_whole_dataset_with_texts_of_every_picture(tmp_path):
    benchmark = runpy.run_path(str(BENCHMARK))
    benchmark["make_inputs"](tmp_path / "inputs", 60, 32)
    (tmp_path / "out").mkdir()
    benchmark["build_whole"](tmp_path / "out", 60, 32)
    made = {row["image_id"]: row for row in benchmark["make_rows"](60, 32)}
    built = list(read_rows(tmp_path / "out/data"))
    assert {row["image_id"] for row in built} == made.keys() and len(built) == 60
    for row in built:
        told = made[row["image_id"]]
        assert row["texts"] == told["texts"] and row["class_texts"] == told["class_texts"]
