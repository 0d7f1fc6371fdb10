"""What collecting costs beside the tutorial's way, `datasets.map` and cleanvision; every ratio beside its bar.

Run: python benchmarks/collection.py [PART ...] [--pictures 80] [--rounds 3] [--few 1000] [--many 10000]

    preparation   four sizes of photographs of 3 megapixels, against open, crop and LANCZOS for each size
    features      EfficientNet-Lite0 by onnxruntime, against the same network and VGG16 (weights by chance) in torch
    admission     the looks at pictures of 512 px, against cleanvision's default issues
    growth        admission and preparation of few and of many small pictures, each in a process of its own

All is counted in CPU seconds of the process and its children, all threads together, and the sides of a ratio run in
turn in one process. Pictures are drawn: noise of 1/f in light and colour under plain forms. cleanvision is nobody's
dependency: pip install cleanvision==0.3.7
"""

import argparse
import gc
import hashlib
import io
import json
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

import numpy as np
from PIL import Image, ImageDraw
from scipy import fft
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from fungal_assets.collection import admission
from fungal_assets.collection.looking import Limits, look_at
from fungal_assets.collection.preparation import prepare_images
from fungal_assets.collection.sources import Candidate, SourceSize
from fungal_assets.profiles import get_profile
from fungal_assets.progress import Ticker, stay_silent
from fungal_assets.shards import read_rows

if TYPE_CHECKING:
    import torch

SIZES_PX, SMALL_SIZES_PX = (512, 256, 128, 64), (128, 64)
QUALITY, BATCH, SMALL_PX, WARMING = 95, 16, 128, 50
SMALL_PER_LARGE = 4
"""Pictures of 512 px for each large one; looking at a few would cost no more than opening the tables does."""
POCKET = get_profile("pocket").settings["raw_images"]
LIMITS = {name: value for name, value in POCKET.items() if name != "source"}
Way = Callable[[], object]


def cpu_s() -> float:
    """User and system seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def measure(ways: Mapping[str, Way], count: int, rounds: int) -> dict[str, float]:
    """CPU milliseconds a picture of each way: the median of rounds in which all run in turn; prints them."""
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            gc.collect()  # so that no way pays for what the one before left, nor for pages that its forks share
            start_s = cpu_s()
            way()
            spent[name].append((cpu_s() - start_s) / count * 1000)
    for name, found in spent.items():
        print(f"  {name:62s} {statistics.median(found):8.2f} CPU-ms ({min(found):.2f} to {max(found):.2f})")
    return {name: statistics.median(found) for name, found in spent.items()}


def compare(label: str, ratio: float, bar: float | None = None) -> None:
    """Print a ratio, and whether it holds its bar."""
    verdict = "" if bar is None else f"   bar {bar:g}: {'held' if ratio >= bar else 'MISSED'}"
    print(f"  {label:62s} {ratio:8.2f} times{verdict}", flush=True)


def draw_photograph(number: int, width_px: int, height_px: int) -> Image.Image:
    """Something as hard to decode as a photograph, always another one."""
    rng = np.random.default_rng(number)
    down, across = fft.fftfreq(height_px)[:, None], fft.rfftfreq(width_px)[None]
    falloff = 1 / np.maximum(np.hypot(down, across), 1 / max(width_px, height_px)).astype(np.float32)
    planes = []
    for spread in (20, 5, 5):
        waves = rng.standard_normal((2, *falloff.shape), np.float32)
        plane = fft.irfft2((waves[0] + 1j * waves[1]) * falloff, (height_px, width_px))
        planes.append(np.clip(plane / plane.std() * spread + 128, 0, 255).astype(np.uint8))
    image = Image.merge("YCbCr", [Image.fromarray(plane) for plane in planes]).convert("RGB")
    shapes = Image.new("RGBA", image.size)
    for _ in range(12):
        left, top = rng.integers(0, (width_px, height_px))
        wide, high = rng.integers(8, (width_px // 3, height_px // 3))
        colour = (*rng.integers(0, 256, 3).tolist(), 140)
        ImageDraw.Draw(shapes).ellipse((left, top, left + wide, top + high), fill=colour)
    return Image.alpha_composite(image.convert("RGBA"), shapes).convert("RGB")


def draw_folder(folder: Path, count: int, width_px: int, height_px: int) -> Path:
    """JPEG files as a camera writes them: quality 90, colour at half the resolution."""
    folder.mkdir()
    for number in range(count):
        picture = draw_photograph(number, width_px, height_px)
        picture.save(folder / f"{number:06d}.jpg", quality=90, subsampling=2)
    mean_kb = sum(path.stat().st_size for path in folder.iterdir()) / count / 1000
    print(f"  {count} JPEG pictures of {width_px} x {height_px} px, {mean_kb:.0f} KB each")
    return folder


def admit(folder: Path, source: Path) -> Path:
    """Raw images of a folder in which nothing is turned away."""
    folder.mkdir()
    lenient = {"min_sharpness": 0.0, "max_blockiness": 100.0, "max_pixelation": 1.0}
    admission.admit_images(folder, source=str(source), **(LIMITS | lenient))
    return folder


def made_anew(way: Callable[[Path], object], folder: Path) -> Way:
    """A way that begins with an empty folder each time."""

    def run() -> None:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        way(folder)

    return run


def cut(image: Image.Image, size_px: int) -> Image.Image:
    """The centre square, by LANCZOS."""
    side_px = min(image.size)
    left, top = (image.width - side_px) // 2, (image.height - side_px) // 2
    square = image.crop((left, top, left + side_px, top + side_px))
    return square.resize((size_px, size_px), Image.Resampling.LANCZOS)


def encode(image: Image.Image) -> bytes:
    """As JPEG of quality 95, colour at full resolution."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=QUALITY, subsampling=0)
    return buffer.getvalue()


def prepare_as_tutorial(out: Path, *, source: Path) -> None:
    """Open, crop, scale and save, size by size."""
    for size_px in SIZES_PX:
        (out / str(size_px)).mkdir()
        for path in sorted(source.iterdir()):
            (out / str(size_px) / path.name).write_bytes(encode(cut(Image.open(path), size_px)))


def prepare_by_map(out: Path, *, source: Path) -> None:
    """`datasets.map` in two processes; each picture is decoded once, all four squares are columns."""
    from datasets import Dataset, Features, Value, disable_progress_bars
    from datasets import Image as ImageFeature

    disable_progress_bars()
    names = [str(size_px) for size_px in SIZES_PX]
    dataset = Dataset.from_dict({"image": [str(path) for path in sorted(source.iterdir())]})
    dataset.cast_column("image", ImageFeature()).map(
        lambda row: {name: encode(cut(row["image"], int(name))) for name in names},
        num_proc=2,
        remove_columns=["image"],
        features=Features({name: Value("binary") for name in names}),
        load_from_cache_file=False,
        cache_file_name=str(out / "squares.arrow"),
    )


def prepare_here(out: Path, *, raw_images: Path, sizes_px: tuple[int, ...] = SIZES_PX) -> None:
    """The project's way: the largest from the originals, each other from the next larger."""
    larger: Path | None = None
    for size_px in sizes_px:
        folder = out / str(size_px)
        folder.mkdir()
        prepare_images(
            raw_images, folder, size_px=size_px, jpeg_quality=QUALITY, shape="square", larger=larger
        )
        larger = folder


def show_preparation(root: Path, count: int, rounds: int) -> None:
    """Four sizes of every photograph; all sides write JPEG of quality 95 without subsampling."""
    source = draw_folder(root / "photographs", count, 2000, 1500)
    ways = {
        "the tutorial's way: files": partial(prepare_as_tutorial, source=source),
        "datasets.map, 2 processes, decoded once: Arrow": partial(prepare_by_map, source=source),
        "prepare_images: Parquet and contact sheets": partial(
            prepare_here, raw_images=admit(root / "raw", source)
        ),
    }
    (root / "out").mkdir()
    ways["prepare_images: Parquet and contact sheets"](root / "out")  # loads torch, once a process
    found = measure({name: made_anew(way, root / "out") for name, way in ways.items()}, count, rounds)
    theirs, mapped, ours = found.values()
    compare("prepare_images against the tutorial's way", theirs / ours, 6)
    compare("prepare_images against datasets.map", mapped / ours)
    compare("datasets.map against the tutorial's way", theirs / mapped)
    show_likeness(source, root / "out")


def show_likeness(source: Path, out: Path) -> None:
    """How like the squares of `prepare_here`, and the tutorial's own, are to what the tutorial saves as JPEG."""
    originals = {hashlib.sha256(path.read_bytes()).hexdigest()[:16]: path for path in source.iterdir()}
    for size_px in SIZES_PX:
        found = []
        for row in read_rows(out / str(size_px)):
            wanted = cut(Image.open(originals[row["image_id"]]), size_px)
            found.append([*_compare(row["image"]["bytes"], wanted), *_compare(encode(wanted), wanted)])
        ours_db, ours, theirs_db, theirs = np.median(found, axis=0)
        told = f"PSNR {ours_db:.1f} dB, SSIM {ours:.4f}; the tutorial's own JPEG {theirs_db:.1f} dB, {theirs:.4f}"
        print(f"  squares of {size_px} px against LANCZOS of the whole picture: {told}")


def _compare(data: bytes, wanted: Image.Image) -> tuple[float, float]:
    """PSNR, decibels, and SSIM of the luma, of an encoded picture."""
    found = Image.open(io.BytesIO(data)).convert("RGB")
    psnr_db = peak_signal_noise_ratio(np.asarray(wanted), np.asarray(found))
    return psnr_db, structural_similarity(np.asarray(wanted.convert("L")), np.asarray(found.convert("L")))


def show_features(root: Path, count: int, rounds: int) -> None:
    """Feature vectors from JPEG files of 512 px; every side decodes them."""
    import torch

    from fungal_assets.morphology.efficientnet import EfficientNetLite0, _torch_network
    from fungal_assets.morphology.efficientnet_int8 import EfficientNetLite0Int8
    from fungal_assets.morphology.features import extract_features
    from fungal_assets.morphology.vgg import _prepare, compute_fc2

    source = draw_folder(root / "squares", count, 512, 512)
    raw_images, files = admit(root / "raw", source), sorted(source.iterdir())
    network, weights = _torch_network(), random_vgg16()
    onnx, int8 = EfficientNetLite0(), EfficientNetLite0Int8()
    torch.set_num_threads(1)  # kinder to torch: a second thread spins while it waits

    def batches(side_px: int) -> Iterator[list[Image.Image]]:
        for start in range(0, count, BATCH):
            yield [cut(Image.open(path), side_px) for path in files[start : start + BATCH]]

    def scale(squares: list[Image.Image]) -> "torch.Tensor":
        pixels = np.stack([np.asarray(square, np.float32) for square in squares])
        return torch.from_numpy(np.ascontiguousarray(((pixels - 127) / 128).transpose(0, 3, 1, 2)))

    def by_torch(passes: int) -> None:
        with torch.inference_mode():
            for squares in batches(224):
                network(scale(squares))
                if passes == 2:
                    network(scale([square.convert("L").convert("RGB") for square in squares]))

    def by_vgg() -> None:
        with torch.inference_mode():
            for squares in batches(224):
                compute_fc2(torch.from_numpy(_prepare(squares)), weights)

    def by_onnx(extractor: EfficientNetLite0) -> None:
        for squares in batches(224):
            extractor.judge(squares)

    def by_us(extractor: EfficientNetLite0) -> Way:
        def extract(out: Path) -> None:
            extract_features(raw_images, out, extractor=extractor.name, batch_size=BATCH)

        return made_anew(extract, root / "out")

    by_onnx(onnx), by_onnx(int8), by_torch(1)
    ways: dict[str, Way] = {
        "VGG16 fc2 in torch": by_vgg,
        "EfficientNet-Lite0 in torch, one pass": partial(by_torch, 1),
        "EfficientNet-Lite0 in torch, colour and grey": partial(by_torch, 2),
        "EfficientNet-Lite0 by onnxruntime, one pass": partial(by_onnx, onnx),
        "the same in 8 bits, one pass": partial(by_onnx, int8),
        "extract_features: colour and grey, twins, tables": by_us(onnx),
        "extract_features in 8 bits": by_us(int8),
    }
    vgg, torch_once, torch_twice, *ours = measure(ways, count, rounds).values()
    for name, once, whole in zip(("", " in 8 bits"), ours[:2], ours[2:], strict=True):
        compare(f"one pass{name} against one pass in torch", torch_once / once, 6)
        compare(f"extract_features{name} against two passes in torch", torch_twice / whole, 6)
        compare(f"extract_features{name}, two passes, against one pass in torch", torch_once / whole)
        compare(f"one pass{name} against VGG16 fc2", vgg / once, 25)
        compare(f"extract_features{name}, two passes, against VGG16 fc2", vgg / whole, 25)


def random_vgg16() -> "dict[str, torch.Tensor]":
    """Weights by chance of a true VGG16's shapes: they cost as much as trained ones."""
    import torch

    from fungal_assets.morphology.vgg import _BLOCKS, _CONVOLUTIONS

    generator, weights, channels = torch.Generator().manual_seed(0), {}, 3
    widths = [
        width for width, many in zip((64, 128, 256, 512, 512), _BLOCKS, strict=True) for _ in range(many)
    ]
    shapes = [(f"features.{n}", width, 3) for n, width in zip(_CONVOLUTIONS, widths, strict=True)]
    for name, width, kernel in [*shapes, ("pre_logits.fc1", 4096, 7), ("pre_logits.fc2", 4096, 1)]:
        spread = (2 / (channels * kernel * kernel)) ** 0.5
        weights[f"{name}.weight"] = spread * torch.randn(width, channels, kernel, kernel, generator=generator)
        weights[f"{name}.bias"], channels = torch.zeros(width), width
    return weights


def show_admission(root: Path, count: int, rounds: int) -> None:
    """Every check of a picture of 512 px, copies found among all of them; neither side writes pictures."""
    try:
        from cleanvision import Imagelab
    except ImportError:
        sys.exit("cleanvision is missing: pip install cleanvision==0.3.7")
    source = draw_folder(root / "squares", count, 512, 512)

    def clean() -> None:
        Imagelab(data_path=str(source), verbose=False).find_issues(n_jobs=1, verbose=False)

    limits = Limits(**LIMITS)
    candidates = list(admission.find_source(str(source)).candidates())

    def look_at_each() -> None:
        for candidate in candidates:
            look_at(candidate, limits)

    def look_at_folder(out: Path) -> None:
        origin = admission.find_source(str(source))
        journal = admission.look_at_all(origin, out / "looks", limits, Ticker(stay_silent, "", count))
        admission.find_best(journal, out / "marks")

    look_at_each(), clean()
    ways = {
        "cleanvision, all default issues, one process": clean,
        "look_at, one thread": look_at_each,
        "look_at_all and find_best: journal and copies, 2 threads": made_anew(look_at_folder, root / "out"),
    }
    theirs, alone, whole = measure(ways, count, rounds).values()
    compare("look_at against cleanvision", theirs / alone, 4)
    compare("looks, journal and copies against cleanvision", theirs / whole, 4)


class DrawnSource:
    """Small pictures drawn when they are asked for, each its own: coarse colours under noise.

    Args:
        count: How many.
        padding_kb: Bytes by chance behind each picture, which no decoder reads: originals of the size of photographs.
    """

    def __init__(self, count: int, padding_kb: int):
        self._count, self._padding_bytes = count, padding_kb * 1000
        self._noise = np.random.default_rng(0).integers(-20, 20, (4 * SMALL_PX, 4 * SMALL_PX, 1), np.int16)
        self.drawing_s = 0.0

    def candidates(self) -> Iterator[Candidate]:
        """All pictures; the time that drawing takes is kept."""
        for number in range(self._count):
            start_s = time.thread_time()
            data = self._draw(number)
            self.drawing_s += time.thread_time() - start_s
            yield Candidate(data, f"{number:06d}.jpg")

    def _draw(self, number: int) -> bytes:
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (8, 8, 3), np.uint8)).resize((SMALL_PX, SMALL_PX))
        top, left = rng.integers(0, 3 * SMALL_PX, 2)
        noisy = np.asarray(coarse, np.int16) + self._noise[top : top + SMALL_PX, left : left + SMALL_PX]
        buffer = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
        return buffer.getvalue() + rng.bytes(self._padding_bytes)

    def measure(self) -> SourceSize:
        """Its size."""
        return SourceSize(self._count, self._count * (8000 + self._padding_bytes))

    def fingerprint(self) -> str:
        """Of its size."""
        return hashlib.sha256(str(self.measure()).encode()).hexdigest()


def grow(root: Path, count: int, padding_kb: int, has_features: bool) -> dict[str, float]:
    """Admit and prepare in this process; CPU milliseconds a picture of each step, drawing taken away."""
    source, spent, figures = DrawnSource(count, padding_kb), {}, {}

    def timed(name: str, step: Callable[[Path], object]) -> Path:
        folder = root / name
        folder.mkdir(parents=True)
        start_s, drawn_s = cpu_s(), source.drawing_s
        figures[name] = step(folder)
        spent[name] = (cpu_s() - start_s - (source.drawing_s - drawn_s)) / count * 1000
        return folder

    with mock.patch.object(admission, "find_source", return_value=source):
        raw_images = timed("admission", lambda out: admission.admit_images(out, source="drawn", **LIMITS))
    assert figures["admission"]["admitted"] == count, figures
    timed("preparation", lambda out: prepare_here(out, raw_images=raw_images, sizes_px=SMALL_SIZES_PX))
    if has_features:
        from fungal_assets.morphology.efficientnet import EfficientNetLite0
        from fungal_assets.morphology.features import extract_features

        name = EfficientNetLite0.name
        timed("features", lambda out: extract_features(raw_images, out, extractor=name, batch_size=BATCH))
    return spent


def grow_alone(root: Path, count: int, padding_kb: int, has_features: bool) -> None:
    """`grow` after a small run that loads everything; prints the figures and the peak of memory as JSON."""
    grow(root / "warm", WARMING, 0, has_features)
    spent = grow(root / "run", count, padding_kb, has_features)
    status = Path("/proc/self/status").read_text().splitlines()
    (peak_kb,) = (int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps(spent | {"peak_mb": peak_kb / 1024}))


def show_growth(root: Path, counts: list[int], padding_kb: int, has_features: bool) -> None:
    """Few and many pictures, each in a fresh process."""
    totals, peaks = [], []
    for count in counts:
        given = [str(root / str(count)), str(count), str(padding_kb), str(int(has_features))]
        called = [sys.executable, __file__, "--grow", *given]
        found = json.loads(subprocess.run(called, check=True, stdout=subprocess.PIPE, text=True).stdout)
        shutil.rmtree(root / str(count))
        peaks.append(found.pop("peak_mb"))
        totals.append(sum(found.values()))
        steps = ", ".join(f"{name} {found[name]:.2f}" for name in found)
        print(
            f"  {count:7d} pictures: {totals[-1]:.2f} CPU-ms each ({steps}), peak {peaks[-1]:.0f} MB",
            flush=True,
        )
    for label, found in (("a picture", totals), ("the peak ", peaks)):
        growth = found[-1] / found[0]
        print(f"  {label} of many against that of few   {growth:.3f}   bar 1.1: {_word(growth <= 1.1)}")
    peak_mb = max(peaks)
    print(
        f"  peak                                    {peak_mb:.0f} MB   bar 1000: {_word(peak_mb < 1000)}",
        flush=True,
    )


def _word(is_held: bool) -> str:
    return "held" if is_held else "MISSED"


PARTS: dict[str, Callable[[Path, argparse.Namespace], None]] = {
    "preparation": lambda root, given: show_preparation(root, given.pictures, given.rounds),
    "features": lambda root, given: show_features(root, given.pictures, given.rounds),
    "admission": lambda root, given: show_admission(root, given.pictures * SMALL_PER_LARGE, given.rounds),
    "growth": lambda root, given: show_growth(
        root, [given.few, given.many], given.padding_kb, given.with_features
    ),
}


def main() -> None:
    """Show all parts or some."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    for name, default, about in (
        ("pictures", 80, "how many are drawn"),
        ("rounds", 3, "how often all sides run"),
        ("few", 1000, "pictures of the small growth"),
        ("many", 10_000, "pictures of the large one"),
        ("padding-kb", 0, "kilobytes behind each picture of a growth"),
    ):
        parser.add_argument(f"--{name}", type=int, default=default, help=f"{about} ({default})")
    parser.add_argument("--with-features", action="store_true", help="a growth makes feature vectors too")
    given = parser.parse_args()
    for name in given.parts or PARTS:
        print(f"{name}:", flush=True)
        with tempfile.TemporaryDirectory(prefix="collection-") as root:
            PARTS[name](Path(root), given)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--grow"]:
        grow_alone(Path(sys.argv[2]), *(int(text) for text in sys.argv[3:5]), sys.argv[5] == "1")
    else:
        main()
