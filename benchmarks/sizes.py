"""The pocket model's pictures at 64, 128 and 256 px, as galleries of these partitions have them, of the same words.

Run: python benchmarks/sizes.py SHEET [PICTURES]. PICTURES (100) of things by their bare names, and as many of fungi by
plain prompts, are drawn at 128 px with the profile's settings, and brought to 64 and 256 px. Told of each size: the
shares that EfficientNet's references and the project's judge recognise, and CPU seconds of a picture, at other sizes
those on top of drawing it at 128 px. Told of the fungi at 256 px: how fine they are, redrawn and merely enlarged, as
power in waves shorter than four pixels over that of renders. SHEET, a WebP, gets some of both. Pictures are painted in
bfloat16 where the CPU has units for it.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from fungal_assets.diffusion.devices import mixed_precision
from fungal_assets.galleries.batches import load_sampler, make_pictures
from fungal_assets.galleries.judging import load_judge
from fungal_assets.galleries.planning import BASE, Picture, picture_seed
from fungal_assets.galleries.redrawing import first_at
from fungal_assets.galleries.sampling import SCHEDULERS
from fungal_assets.galleries.sizes import TWO_PASSES, SizedPicture
from fungal_assets.pocket import JUDGE_DIR, MODEL_DIR
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.corpus import IMAGE_PX, render_pixels
from fungal_assets.pocket.fungarium import MORPHOTYPES, Traits
from fungal_assets.pocket.scoring import (
    judge_fungi,
    judge_fungi_by_clip,
    judge_things,
    judge_things_by_clip,
    prompt_of,
    unseen_fungi,
)
from fungal_assets.pocket.world import WORLD_CONCEPTS
from fungal_assets.profiles import get_profile

SIZES_PX = (IMAGE_PX // 2, IMAGE_PX, 2 * IMAGE_PX)
SHOWN, RENDERED = 8, 32
THINGS = ("hamburger", "cat", "strawberry")


def main() -> None:
    """Print a line per size and write the sheet."""
    sheet, pictures = Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100
    names = [concept.name for concept in WORLD_CONCEPTS][:pictures]
    each = -(-pictures // len(MORPHOTYPES))
    traits = unseen_fungi(each)["portraits"]
    texts = [*names, *(prompt_of(one, is_plain=True) for one in traits)]
    clip = ClipJudge.load(JUDGE_DIR / "clip")
    with tempfile.TemporaryDirectory() as folder, mixed_precision(torch.device("cpu"), on_cpu=True):
        by_size = {
            size_px: draw(texts, size_px, Path(folder)) for size_px in (IMAGE_PX, SIZES_PX[0], SIZES_PX[-1])
        }
    for size_px in SIZES_PX:
        images, cpu_s = by_size[size_px]
        things, fungi = images[: len(names)], images[len(names) :]
        found = judge_things(things, names, load_judge("pocket")) | judge_fungi(fungi, traits)
        found |= judge_things_by_clip(clip, things, names, [concept.name for concept in WORLD_CONCEPTS[:100]])
        found |= judge_fungi_by_clip(clip, fungi, traits)
        told = ", ".join(f"{name} {value:.2f}" for name, value in found.items())
        print(f"{size_px} px: {cpu_s:.2f} CPU s a picture, {told}", flush=True)
    tell_fineness(by_size[IMAGE_PX][0][len(names) :], by_size[SIZES_PX[-1]][0][len(names) :], traits)
    numbers = [names.index(name) for name in THINGS if name in names]
    numbers += list(range(len(names), len(texts), max(1, len(traits) // (SHOWN - len(numbers)))))
    lay_out([[by_size[size_px][0][number] for number in numbers[:SHOWN]] for size_px in SIZES_PX]).save(
        sheet, quality=80, method=6
    )


def draw(texts: Sequence[str], size_px: int, folder: Path) -> tuple[list[Image.Image], float]:
    """A picture of each text at a size, of those of the native size that lie in the folder, and CPU seconds of each."""
    how = get_profile("pocket").settings["sample_galleries"]
    settings = {name: how[name] for name in ("num_inference_steps", "guidance_scale", "batch_size")}
    settings |= {"negative_prompt": "", "scheduler": SCHEDULERS[how["scheduler"]]}
    settings = first_at({**settings, "width": size_px, "height": size_px}, IMAGE_PX)
    plan = [
        Picture(f"{number:04d}", "control", None, text, None, None, BASE, 0, picture_seed(0, text, number))
        for number, text in enumerate(texts)
    ]
    sized = [SizedPicture(**vars(each), size_px=size_px, way=TWO_PASSES, first=each.path) for each in plan]
    is_native = size_px == IMAGE_PX
    pictures, begun = (plan, None) if is_native else (sized, folder)
    pipeline = load_sampler(MODEL_DIR, settings["scheduler"])
    start_s = time.process_time()
    for _ in make_pictures(pictures, MODEL_DIR, "", folder, settings, pipeline=pipeline, begun=begun):
        pass
    cpu_s = (time.process_time() - start_s) / len(pictures)
    return [Image.open(folder / each.path).convert("RGB") for each in pictures], cpu_s


def tell_fineness(
    native: Sequence[Image.Image], large: Sequence[Image.Image], traits: Sequence[Traits]
) -> None:
    """Print how fine redrawn and plainly enlarged pictures are beside renders."""
    side = large[0].size[0]
    enlarged = [image.resize((side, side), Image.Resampling.LANCZOS) for image in native]
    spread = traits[:: max(1, len(traits) // RENDERED)]
    real = fineness([Image.fromarray(render_pixels(one, size_px=side)) for one in spread])
    redrawn, plain = (fineness(images) / real for images in (large, enlarged))
    print(f"{side} px, of the renders' fineness: redrawn {redrawn:.3f}, enlarged {plain:.3f}")


def fineness(images: Sequence[Image.Image]) -> float:
    """Mean power of grey pictures in waves shorter than four pixels, edges faded out."""
    side = images[0].size[0]
    window = np.outer(np.hanning(side), np.hanning(side))
    waves = np.hypot(*np.meshgrid(np.fft.fftfreq(side), np.fft.fftfreq(side)))
    is_fine = (waves > 0.25) & (waves <= 0.5)
    grey = [np.asarray(image.convert("L"), np.float64) / 255 for image in images]
    power = [np.abs(np.fft.fft2((one - one.mean()) * window)) ** 2 for one in grey]
    return float(np.mean([one[is_fine].sum() for one in power]) / (window**2).sum() / side**2)


def lay_out(rows: Sequence[Sequence[Image.Image]], gap_px: int = 4) -> Image.Image:
    """Rows of pictures of each size below each other, each picture as large as it is, in the middle of its column."""
    column = max(row[0].size[0] for row in rows) + gap_px
    height = sum(row[0].size[1] + gap_px for row in rows) + gap_px
    sheet, top = Image.new("RGB", (column * len(rows[0]) + gap_px, height), "white"), gap_px
    for row in rows:
        for number, image in enumerate(row):
            sheet.paste(image, (gap_px + number * column + (column - gap_px - image.size[0]) // 2, top))
        top += row[0].size[1] + gap_px
    return sheet


if __name__ == "__main__":
    main()
