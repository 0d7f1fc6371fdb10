"""Gallery sampling against a plain pipeline called prompt by prompt, and how memory grows with a gallery.

Run: python benchmarks/galleries.py speed [WEIGHTS] [PICTURES] [ROUNDS]
     python benchmarks/galleries.py memory [PICTURES]

`speed`: each prompt has two pictures, both ways make the same (prompt, seed) pairs with the same settings, and write
PNG; rounds take turns, CPU seconds of this process count beside wall seconds, and the ratio of the sums is the
claim. The pictures of the two ways are compared: the largest difference of a channel, in grey levels. `memory`: a
gallery of a tiny model of random weights, whose peak is read as it grows.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from fungal_assets.galleries.batches import load_sampler, make_pictures
from fungal_assets.galleries.planning import Picture
from fungal_assets.pocket import MODEL_DIR

SETTINGS: dict[str, Any] = {
    "negative_prompt": "",
    "num_inference_steps": 10,
    "guidance_scale": 2.0,
    "scheduler": "DPMSolverMultistepScheduler",
    "batch_size": 8,
    "width": 128,
    "height": 128,
}
MEMORY_SETTINGS = SETTINGS | {"num_inference_steps": 1, "width": 64, "height": 64}
COLOURS = ("red", "brown", "white", "yellow", "orange", "grey")


def plan(count: int) -> list[Picture]:
    """So many pictures, two of each prompt."""
    texts = [f"a photo of a {COLOURS[number % 6]} mushroom, number {number}" for number in range(count)]
    return [
        Picture(f"p{at // 2}", "species", None, texts[at // 2], None, None, "tuned", at % 2, 1000 + at)
        for at in range(count)
    ]


def make_plainly(pipeline: Any, pictures: list[Picture], folder: Path) -> None:
    """One call of the pipeline for each picture, as its documentation shows it."""
    for each in pictures:
        image = pipeline(
            each.text,
            negative_prompt="",
            generator=torch.Generator().manual_seed(each.seed),
            **{name: SETTINGS[name] for name in ("num_inference_steps", "guidance_scale", "width", "height")},
        ).images[0]
        path = folder / each.path
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path)


def timed(work: Callable[[], object]) -> np.ndarray:
    """CPU and wall seconds of some work."""
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    work()
    return np.array([time.process_time() - cpu_s, time.perf_counter() - wall_s])


def difference(first: Path, second: Path) -> int:
    """Greatest difference of a channel between two pictures."""
    pixels = [np.asarray(Image.open(path).convert("RGB"), int) for path in (first, second)]
    return int(np.abs(pixels[0] - pixels[1]).max())


def measure_speed(weights: Path, count: int = 16, rounds: int = 2) -> None:
    """Both ways in turn, the loading of the model left out of both."""
    pictures, pipeline = plan(count), load_sampler(weights, SETTINGS["scheduler"])
    spent = {"plain": np.zeros(2), "gallery": np.zeros(2)}
    with tempfile.TemporaryDirectory() as root:
        plain, gallery = Path(root) / "plain", Path(root) / "gallery"
        for _ in range(rounds):
            spent["plain"] += timed(lambda: make_plainly(pipeline, pictures, plain))
            spent["gallery"] += timed(
                lambda: list(make_pictures(pictures, weights, "", gallery, SETTINGS, pipeline=pipeline))
            )
        worst = max(difference(plain / each.path, gallery / each.path) for each in pictures)
    for name, (cpu_s, wall_s) in spent.items():
        made = count * rounds
        print(f"{name:8s} {cpu_s / made:.3f} CPU-s and {wall_s / made:.3f} s a picture, {made} pictures")
    cpu, wall = spent["plain"] / spent["gallery"]
    print(f"ratio {cpu:.2f} by CPU time, {wall:.2f} by wall time; greatest difference {worst} of 255")


def measure_memory(count: int = 1000) -> None:
    """The peak of this process after every tenth of a gallery."""
    from fungal_assets.pocket.architecture import build_pipeline

    with tempfile.TemporaryDirectory() as root:
        weights = Path(root) / "tiny"
        build_pipeline("tiny", seed=0).save_pretrained(weights)
        for done, _ in enumerate(
            make_pictures(plan(count), weights, "", Path(root) / "gallery", MEMORY_SETTINGS), 1
        ):
            if done % (count // 10) == 0:
                peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
                print(f"{done:6d} pictures: peak {peak_mb:.1f} MB", flush=True)


def main() -> None:
    """Measure what is asked for."""
    what, *rest = sys.argv[1:]
    if what == "memory":
        measure_memory(*map(int, rest))
    else:
        weights = Path(rest[0]) if rest else MODEL_DIR
        measure_speed(weights, *map(int, rest[1:]))


if __name__ == "__main__":
    main()
