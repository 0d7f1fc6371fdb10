"""What the measures of quality say of good pictures and of the same ones made worse: where limits belong.

Run: python benchmarks/admission_thresholds.py FOLDER [FOLDER ...]. The shipped specimens are measured as well.
"""

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter, ImageOps

from fungal_assets.collection.quality import measure_quality
from fungal_assets.pocket import SPECIMENS_DIR

SIDE_PX = 512
MEASURES = ("sharpness", "blockiness", "pixelation")
Change = Callable[[Image.Image], Image.Image]


def saved(quality: int) -> Change:
    """A change: saved as JPEG of a quality."""

    def change(image: Image.Image) -> Image.Image:
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=quality)
        return Image.open(io.BytesIO(buffer.getvalue()))

    return change


def enlarged(times: int, how: Image.Resampling) -> Change:
    """A change: made small and large again."""
    return lambda image: image.resize((SIDE_PX // times, SIDE_PX // times), Image.Resampling.BOX).resize(
        image.size, how
    )


def blurred(radius_px: int) -> Change:
    """A change: out of focus."""
    return lambda image: image.filter(ImageFilter.GaussianBlur(radius_px))


CHANGES: dict[str, Change] = {
    "as they are": lambda image: image,
    **{f"JPEG {quality}": saved(quality) for quality in (50, 20, 10, 5)},
    **{f"squares {times}": enlarged(times, Image.Resampling.NEAREST) for times in (2, 3, 4, 8)},
    "squares 4, JPEG 75": lambda image: saved(75)(enlarged(4, Image.Resampling.NEAREST)(image)),
    **{f"enlarged {times}": enlarged(times, Image.Resampling.BICUBIC) for times in (2, 4, 8)},
    **{f"blur {radius_px}": blurred(radius_px) for radius_px in (1, 2, 4, 8)},
}


def read_squares(folder: Path) -> Iterator[Image.Image]:
    """Luma squares of all pictures of a folder."""
    for path in sorted(folder.iterdir()):
        try:
            yield ImageOps.fit(Image.open(path).convert("L"), (SIDE_PX, SIDE_PX))
        except OSError:
            continue


def main() -> None:
    """Print least, median and most of each measure."""
    for folder in [*map(Path, sys.argv[1:]), Path(SPECIMENS_DIR)]:
        images = list(read_squares(folder))
        print(f"{folder}: {len(images)} pictures")
        for name, change in CHANGES.items():
            found = [measure_quality(change(image)) for image in images]
            columns = [[getattr(one, measure) for one in found] for measure in MEASURES]
            told = [f"{min(c):8.4f} {np.median(c):8.4f} {max(c):8.4f}" for c in columns]
            print(f"{name:20s} " + " | ".join(told))


if __name__ == "__main__":
    main()
