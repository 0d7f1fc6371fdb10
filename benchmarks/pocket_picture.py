"""One picture of the pocket model, 20 steps with guidance: by a plain call of diffusers, and as a gallery makes it.

Run: python benchmarks/pocket_picture.py [RUNS]. Both sides run in turn in one process. Bar: the plain call takes at
most 1.5 s on two cores; the ratio says what the gallery's batches save on top. The gallery's side counts the writing of
the PNG too, neither side the loading of the model.
"""

import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch
from diffusers import StableDiffusionPipeline

from fungal_assets.galleries.batches import load_sampler, make_pictures
from fungal_assets.galleries.planning import Picture
from fungal_assets.pocket import MODEL_DIR

BATCH, SIZE_PX = 8, 128
PICTURE = Picture(
    prompt_id="toadstool",
    kind="species",
    species_id=None,
    text="a photo of a red fly agaric mushroom with white spots, in moss",
    expected=None,
    group=None,
    model="base",
    index=0,
    seed=0,
)
SETTINGS = {
    "negative_prompt": "",
    "num_inference_steps": 20,
    "guidance_scale": 2.0,
    "scheduler": "DDIMScheduler",
    "batch_size": BATCH,
    "width": SIZE_PX,
    "height": SIZE_PX,
}


def plain_s(pipeline: StableDiffusionPipeline, seed: int) -> float:
    """Wall seconds of one picture by a plain call."""
    start_s = time.perf_counter()
    pipeline(
        PICTURE.text,
        generator=torch.Generator().manual_seed(seed),
        num_inference_steps=SETTINGS["num_inference_steps"],
        guidance_scale=SETTINGS["guidance_scale"],
    )
    return time.perf_counter() - start_s


def gallery_s(pipeline: StableDiffusionPipeline, seed: int) -> float:
    """Wall seconds per picture of one batch of a gallery."""
    pictures = [replace(PICTURE, index=index, seed=seed + index) for index in range(BATCH)]
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.perf_counter()
        made = list(make_pictures(pictures, MODEL_DIR, "0" * 64, Path(folder), SETTINGS, pipeline=pipeline))
        return (time.perf_counter() - start_s) / len(made)


def main() -> None:
    """Print the median of each side and their ratio."""
    runs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    pipeline = load_sampler(MODEL_DIR, SETTINGS["scheduler"])
    pipeline.set_progress_bar_config(disable=True)
    pairs = [(plain_s(pipeline, seed), gallery_s(pipeline, seed)) for seed in range(runs + 1)][1:]
    theirs_s, ours_s = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(
        f"plain call {theirs_s:.2f} s, in a gallery {ours_s:.2f} s a picture, ratio {theirs_s / ours_s:.2f} "
        f"({SIZE_PX} px, {torch.get_num_threads()} threads, batch {BATCH}, median of {runs} pairs)"
    )


if __name__ == "__main__":
    main()
