"""What a growth of a folder costs of which most is known: seconds and peak memory, a process for each.

python benchmarks/only_new.py [COUNT] [NEW] [SIDE_PX]   drawn JPEG pictures, different from each other
"""

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

LENIENT = {"min_sharpness": 0.0, "max_blockiness": 100.0, "max_pixelation": 1.0}
"""What is drawn is no photograph; all else is as the profile has it."""


def draw(folder: Path, numbers: range, side_px: int) -> None:
    """Coarse random colours under noise, each picture its own."""
    folder.mkdir(exist_ok=True)
    for number in numbers:
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((side_px, side_px))
        noisy = np.asarray(coarse, np.int16) + rng.integers(-20, 20, (side_px, side_px, 1))
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(folder / f"{number:06d}.jpg", quality=90)


def admit(source: Path, out: Path, known: Path | None) -> None:
    """One run in this process; prints its figures, its time and its peak."""
    from fungal_assets.collection.admission import admit_images
    from fungal_assets.profiles import get_profile

    settings = get_profile("pocket").settings["raw_images"] | LENIENT | {"source": str(source)}
    out.mkdir()
    start_s = time.monotonic()
    figures = admit_images(out, known=known, **settings)
    peak_kb = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    print(
        f"{out.name}: looked at {figures['looked_at']}, known {figures['known']}, "
        f"{time.monotonic() - start_s:.1f} s, peak {int(peak_kb[1]) / 1024 if peak_kb else 0:.0f} MB"
    )


def main() -> None:
    """Draw the folder, admit it, add to it, admit it with and without what is known."""
    count, new, side_px = [int(text) for text in sys.argv[1:]] + [2000, 5, 1024][len(sys.argv) - 1 :]
    with tempfile.TemporaryDirectory() as root:
        source, first = Path(root) / "source", Path(root) / "first"

        def run(name: str, known: str) -> None:
            subprocess.run(
                [sys.executable, __file__, "--admit", source, Path(root) / name, known], check=True
            )

        draw(source, range(count), side_px)
        run("first", "")
        draw(source, range(count, count + new), side_px)
        run("grown", str(first))
        run("fresh", "")


if __name__ == "__main__":
    if sys.argv[1:2] == ["--admit"]:
        admit(Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]) if sys.argv[4] else None)
    else:
        main()
