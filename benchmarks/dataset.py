"""What writing a dataset costs beside `datasets`' own writer: seconds and memory, every ratio beside its bar.

Run: python benchmarks/dataset.py [--rows 100000] [--rounds 3] [--size-px 96] [--parts writers whole]

    writers   the same rows through `ShardWriter`; through `Dataset.from_generator` and `to_parquet`, a shard
              at a time; and through the bare `ParquetWriter` inside `datasets`
    whole     `build_dataset` from synthetic outputs of as many pictures, with split, card, Croissant and attributions

Every way runs in a process of its own, so that its peak of memory is its own; the ways of a round run in turn. Rows are
JPEGs of noise under plain forms, each with other bytes, made from a few hundred that are drawn once; what making them
costs is measured by a way that only makes them, and taken off both sides for the second ratio.
"""

import argparse
import hashlib
import io
import itertools
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from fungal_assets.dataset.building import SCHEMA, build_dataset
from fungal_assets.dataset.texts import LISTS
from fungal_assets.morphology.twins import TWINS
from fungal_assets.shards import ShardWriter, count_rows, image_schema, shard_count, write_table

DRAWN, SPECIES = 256, 16
MOST_MB, LEAST_RATIO = 1000, 1.5
SHARD_MB = 256.0
Row = dict[str, Any]


def draw(number: int, size_px: int) -> bytes:
    """A JPEG of some kilobytes."""
    rng = np.random.default_rng(number)
    noise = rng.normal(0, 6, (size_px, size_px, 3)) + rng.integers(60, 200, 3)
    image = Image.fromarray(noise.clip(0, 255).astype(np.uint8))
    corner = rng.integers(0, size_px // 2, 2)
    ends = [*(int(at) for at in corner), *(int(at) + size_px // 3 for at in corner)]
    ImageDraw.Draw(image).ellipse(ends, tuple(int(level) for level in rng.integers(0, 255, 3)))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95, subsampling=0)
    return buffer.getvalue()


def make_rows(count: int, size_px: int) -> Iterator[Row]:
    """Rows as the dataset has them; behind the end of each JPEG stands its number, so that no two are equal."""
    drawn = [draw(number, size_px) for number in range(DRAWN)]
    for number in range(count):
        image_id = hashlib.sha256(number.to_bytes(8, "big")).hexdigest()[:16]
        yield {
            "image": {"bytes": drawn[number % DRAWN] + number.to_bytes(8, "big"), "path": f"{image_id}.jpg"},
            "image_id": image_id,
            "text": f"a photo of an amber hollow bonnet mushroom, brown and white, in moss, number {number}",
            **texts_of(number),
            "species": f"amber hollow bonnet {number % SPECIES}",
            "species_id": f"species-{number % SPECIES:02d}",
            "creator": f"creator {number % 500}",
            "licence": "CC-BY-4.0",
            "source": "benchmark",
        }


def texts_of(number: int) -> dict[str, list[str]]:
    """Five wordings and two without a name, each with words of its own, as long as those of a growth."""
    name, place = f"an amber hollow bonnet mushroom {number}", "in moss, up close, in soft light"
    starts = ("a photo of", "a picture of", "a close view of", "a large specimen of", "a photo, of")
    wordings = [f"{start} {name}, brown and white, {place}" for start in starts]
    return {
        "texts": wordings,
        "class_texts": [f"{start} a mushroom, brown {number}, {place}" for start in starts[:2]],
    }


def total_bytes(count: int, size_px: int) -> int:
    """About how many bytes the pictures have."""
    return count * sum(len(draw(number, size_px)) for number in range(16)) // 16


def make_only(folder: Path, count: int, size_px: int) -> None:
    """Make the rows and write none."""
    for _ in make_rows(count, size_px):
        pass


def write_ours(folder: Path, count: int, size_px: int) -> None:
    """`ShardWriter`, as the dataset is written."""
    shards = shard_count(total_bytes(count, size_px), max_shard_mb=SHARD_MB)
    with ShardWriter(folder / "data", SCHEMA, shards=shards) as writer:
        for row in make_rows(count, size_px):
            writer.write(row)


def write_theirs(folder: Path, count: int, size_px: int) -> None:
    """`datasets`: a generator with stated features into its cache, then each shard to Parquet."""
    from datasets import Dataset, Features, disable_progress_bars

    disable_progress_bars()
    features = Features.from_arrow_schema(SCHEMA)
    arguments = {"count": count, "size_px": size_px}
    whole = Dataset.from_generator(
        make_rows, features=features, gen_kwargs=arguments, cache_dir=str(folder / "cache")
    )
    shards = shard_count(total_bytes(count, size_px), max_shard_mb=SHARD_MB)
    (folder / "data").mkdir()
    for index in range(shards):
        path = folder / "data" / f"train-{index:05d}-of-{shards:05d}.parquet"
        whole.shard(shards, index, contiguous=True).to_parquet(str(path))


def write_bare(folder: Path, count: int, size_px: int) -> None:
    """`datasets.arrow_writer.ParquetWriter`, the inside of it, a shard at a time and with no cache between."""
    from datasets import Features
    from datasets.arrow_writer import ParquetWriter

    features = Features.from_arrow_schema(SCHEMA)
    shards = shard_count(total_bytes(count, size_px), max_shard_mb=SHARD_MB)
    rows = make_rows(count, size_px)
    (folder / "data").mkdir()
    for index in range(shards):
        path = folder / "data" / f"train-{index:05d}-of-{shards:05d}.parquet"
        with ParquetWriter(features=features, path=str(path)) as writer:
            for row in itertools.islice(rows, count // shards + (index < count % shards)):
                writer.write(features.encode_example(row))
            writer.finalize()


def make_inputs(folder: Path, count: int, size_px: int) -> None:
    """The inputs of `build_dataset`, as many pictures as rows; a tenth are twins."""
    strings = ("image_id", "creator", "licence", "source", "origin", "page")
    shards = shard_count(total_bytes(count, size_px), max_shard_mb=SHARD_MB)
    with (
        ShardWriter(folder / "prepared", image_schema({"image_id": pa.string()}), shards=shards) as prepared,
        ShardWriter(folder / "raw", image_schema(dict.fromkeys(strings, pa.string())), shards=shards) as raw,
    ):
        for number, row in enumerate(make_rows(count, size_px)):
            prepared.write({"image": row["image"], "image_id": row["image_id"]})
            place = {"origin": f"folder/picture-{number}.jpg", "page": f"https://pictures.example/{number}"}
            raw.write(
                {"image": {"bytes": b"", "path": None}} | {name: row[name] for name in strings[:4]} | place
            )
    _write_words(folder, count, size_px)


def _write_words(folder: Path, count: int, size_px: int) -> None:
    ids = [(row["image_id"], row["species_id"], row["text"]) for row in make_rows(count, size_px)]
    lists = [texts_of(number) for number in range(count)]
    for name in ("captions", "species", "vectors"):
        (folder / name).mkdir()
    measured = {"colour_names": ["brown", "white"], "size_in_frame": "large", "habitat": "in moss"}
    measured |= {"count": None, "closeness": "up close", "view": None}
    measured |= {"light": "in soft light", "is_cluttered": False}
    captions = (
        {"image_id": one, "species_id": two, "caption": text}
        | {column: said[name] for name, column in LISTS.items()}
        | measured
        for (one, two, text), said in zip(ids, lists, strict=True)
    )
    write_table(folder / "captions" / "captions.parquet", captions)
    species = [
        {
            "species_id": f"species-{number:02d}",
            "cluster_id": number,
            "common_name": f"amber bonnet {number}",
            "scientific_name": "Mycena ficta",
            "slug": f"amber-bonnet-{number}",
            "morphotype": "bonnet",
            "colour_names": ["brown"],
            "size": count // SPECIES,
        }
        for number in range(SPECIES)
    ]
    (folder / "species" / "species.json").write_text(json.dumps({"species": species}))
    write_table(folder / "vectors" / "vectors.parquet", ({"image_id": one} for one, _, _ in ids))
    twins = (
        {"image_id": ids[at][0], "twin_id": ids[at ^ 1][0], "cosine": 1.0, "group_id": ids[at & ~1][0]}
        for at in range(count // 10)
    )
    write_table(folder / "vectors" / "twins.parquet", twins, TWINS)


def build_whole(folder: Path, count: int, size_px: int) -> None:
    """`build_dataset` of inputs that lie there."""
    inputs = (
        folder.parent / "inputs" / name for name in ("prepared", "captions", "species", "raw", "vectors")
    )
    figures = build_dataset(
        *inputs, folder, max_shard_mb=SHARD_MB, has_imagefolder=False, held_out_share=0.05, records=[]
    )
    print(figures, file=sys.stderr)


WAYS: dict[str, Callable[[Path, int, int], None]] = {
    "make": make_only,
    "ours": write_ours,
    "theirs": write_theirs,
    "bare": write_bare,
    "inputs": make_inputs,
    "whole": build_whole,
}


def measure(way: str, folder: Path, count: int, size_px: int) -> dict[str, float]:
    """CPU and wall seconds and peak megabytes of one way in a process of its own."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder)]
    command += ["--rows", str(count), "--size-px", str(size_px)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def run_way(way: str, folder: Path, count: int, size_px: int) -> None:
    """Run one way here and print what it took; the imports (Arrow takes pandas along) count for memory only."""
    import_module("datasets" if way in ("theirs", "bare") else "pandas")
    folder.mkdir(parents=True, exist_ok=True)
    start_s, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF)
    WAYS[way](folder, count, size_px)
    after = resource.getrusage(resource.RUSAGE_SELF)
    if way in ("ours", "theirs", "bare", "whole"):
        assert count_rows(folder / "data") == count, (
            f"{way} lost rows: {count_rows(folder / 'data')} of {count}"
        )
    took = {
        "cpu_s": after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime,
        "wall_s": time.monotonic() - start_s,
        "peak_mb": after.ru_maxrss / 1000,
    }
    print(json.dumps(took))


def show(name: str, found: list[dict[str, float]], count: int) -> dict[str, float]:
    """Print the medians of a way, and return them."""
    medians = {key: statistics.median(one[key] for one in found) for key in found[0]}
    medians["peak_mb"] = max(one["peak_mb"] for one in found)
    print(
        f"  {name:8s} {medians['cpu_s']:8.2f} CPU-s  {medians['wall_s']:8.2f} s wall  "
        f"{count / medians['cpu_s']:9.0f} rows a CPU-s  peak {medians['peak_mb']:6.0f} MB",
        flush=True,
    )
    return medians


def compare(label: str, found: float, bar: float, *, is_most: bool = False) -> None:
    """Print a figure beside its bar."""
    is_held = found <= bar if is_most else found >= bar
    print(f"  {label:60s} {found:8.2f}   bar {bar:g}: {'held' if is_held else 'MISSED'}", flush=True)


def compare_writers(count: int, size_px: int, rounds: int) -> None:
    """Rounds of all ways in turn."""
    found: dict[str, list[dict[str, float]]] = {"make": [], "ours": [], "theirs": [], "bare": []}
    for _ in range(rounds):
        for way, taken in found.items():
            with tempfile.TemporaryDirectory() as place:
                taken.append(measure(way, Path(place) / way, count, size_px))
    make, ours, theirs, bare = (show(way, taken, count) for way, taken in found.items())
    for name, other in (("theirs", theirs), ("bare", bare)):
        for kind, unit in (("cpu_s", "CPU time"), ("wall_s", "wall time")):
            compare(f"{name} / ours, {unit}, making the rows included", other[kind] / ours[kind], LEAST_RATIO)
            net = (other[kind] - make[kind]) / (ours[kind] - make[kind])
            compare(f"{name} / ours, {unit}, without it", net, LEAST_RATIO)
    compare("peak of ours, MB", ours["peak_mb"], MOST_MB, is_most=True)


def measure_whole(count: int, size_px: int) -> None:
    """`build_dataset` of that many pictures."""
    with tempfile.TemporaryDirectory() as place:
        measure("inputs", Path(place) / "inputs", count, size_px)
        found = show("whole", [measure("whole", Path(place) / "out", count, size_px)], count)
    compare("peak of build_dataset, MB", found["peak_mb"], MOST_MB, is_most=True)


def main() -> None:
    """Read the command and print the figures."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--size-px", type=int, default=96)
    parser.add_argument("--parts", nargs="+", default=["writers", "whole"], choices=["writers", "whole"])
    parser.add_argument("--way", choices=WAYS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.way:
        run_way(asked.way, asked.folder, asked.rows, asked.size_px)
        return
    mean = total_bytes(asked.rows, asked.size_px) / asked.rows
    print(f"{asked.rows} rows, JPEGs of {asked.size_px} px, {mean / 1000:.1f} kB each")
    parts = {"writers": partial(compare_writers, rounds=asked.rounds), "whole": measure_whole}
    for part in asked.parts:
        print(part)
        parts[part](asked.rows, asked.size_px)


if __name__ == "__main__":
    main()
