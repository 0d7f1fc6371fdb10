"""Where two photographs are so alike that they are one specimen's: cosines of pairs of which it is known.

python benchmarks/twins.py FOLDER     of pictures; with an ATTRIBUTION.csv as of mushroomobserver.org pairs are known
"""

import csv
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

from fungal_assets.collection.looking import Limits, look_at
from fungal_assets.collection.sources import Candidate
from fungal_assets.morphology.extractors import EfficientNetLite0

LIMITS = Limits(96, 64.0, 0.002, 3.5, 0.9)
THRESHOLDS = (0.8, 0.85, 0.88, 0.9, 0.92, 0.95)
NEAR_NUMBERS = 10


def variants(image: Image.Image) -> dict[str, Image.Image]:
    """What a second frame of the same thing, or an edit of the same picture, may be."""
    width, height = image.size
    cut = (width // 10, height // 10, width * 9 // 10, height * 9 // 10)
    return {
        "mirrored": ImageOps.mirror(image),
        "cropped to 0.8": image.crop(cut),
        "turned by 8 degrees": image.rotate(8, Image.Resampling.BICUBIC).crop(cut),
        "half as bright": ImageEnhance.Brightness(image).enhance(0.5),
        "in grey": image.convert("L").convert("RGB"),
        "moved by a tenth": image.crop((width // 10, 0, width, height * 9 // 10)),
    }


def shares(cosines: np.ndarray) -> str:
    """Quantiles, and the share over each threshold."""
    low, middle, high = np.percentile(cosines, [10, 50, 90])
    over = " ".join(f"{(cosines > one).mean():.4f}" for one in THRESHOLDS)
    return f"n {len(cosines):6d}  10 % {low:.2f}  50 % {middle:.2f}  90 % {high:.2f}  over: {over}"


def read_notes(folder: Path) -> dict[str, tuple[str, str, int]]:
    """Species, photographer and running number of each file, where its folder says."""
    path = folder / "ATTRIBUTION.csv"
    rows = csv.DictReader(path.read_text().splitlines()) if path.exists() else []
    return {
        row["file"]: (row["scientific_name"], row["photographer"], int(Path(row["source_url"]).stem))
        for row in rows
        if Path(row["source_url"]).stem.isdigit()
    }


def main() -> None:
    """Print the cosines of each kind of pair."""
    folder = Path(sys.argv[1])
    paths = sorted(path for path in folder.iterdir() if path.suffix in (".webp", ".jpg", ".png"))
    paths = [path for path in paths if look_at(Candidate(path.read_bytes(), path.name), LIMITS).fault is None]
    extractor, notes = EfficientNetLite0(), read_notes(folder)
    images = [Image.open(path).convert("RGB") for path in paths]
    vectors = np.concatenate([extractor.embed([image]) for image in images])
    print("over", *THRESHOLDS)
    changed = [variants(image) for image in images]
    for name in changed[0]:
        others = np.concatenate([extractor.embed([one[name]]) for one in changed])
        print(f"{name:32s}", shares((vectors * others).sum(axis=1)))
    cosines = vectors @ vectors.T
    first, second = np.triu_indices(len(paths), 1)
    kinds: dict[str, list[float]] = {"one observation": [], "one species": [], "any other": []}
    closest = []
    for one, other in zip(first.tolist(), second.tolist(), strict=True):
        a, b = notes.get(paths[one].name), notes.get(paths[other].name)
        kind = "any other"
        if a and b and a[0] == b[0]:
            is_near = a[1] == b[1] and abs(a[2] - b[2]) <= NEAR_NUMBERS
            kind = "one observation" if is_near else "one species"
        kinds[kind].append(cosines[one, other])
        closest.append((float(cosines[one, other]), kind, paths[one].name, paths[other].name))
    for name, found in kinds.items():
        if found:
            print(f"{name:32s}", shares(np.array(found)))
    for cosine, kind, one, other in sorted(closest, reverse=True)[:20]:
        print(f"{cosine:.3f}  {kind:16s} {one}  {other}")


if __name__ == "__main__":
    main()
