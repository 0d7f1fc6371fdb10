"""Makes EfficientNet-Lite0's form of 8 bits that the package ships, and holds it against the one of 32.

Run: python benchmarks/int8.py FOLDER [--make]     FOLDER of photographs, named as Genus_species_0.webp

    cosine        between both forms' vectors of the same picture
    genus         how often the nearest picture of another species is of the same genus, as the design's notes have it
    species       how often the nearest picture is of the same species
    fungus        how far the probability of a fungus moves, and which pictures are under 0.02
    CPU           milliseconds of one pass of the network

With --make the file is written anew: weights by channel, the ranges of what lies between layers as all but a hundred
thousandth of the values of a quarter of the photographs and a ninth of the specimens have them, in colour and in grey.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fungal_assets.collection.looking import Limits, look_at
from fungal_assets.collection.sources import Candidate
from fungal_assets.morphology.efficientnet import EfficientNetLite0, centre_square, scale_pixels
from fungal_assets.morphology.efficientnet_int8 import WEIGHTS_PATH, EfficientNetLite0Int8
from fungal_assets.pocket import SPECIMENS_DIR

LIMITS = Limits(96, 64.0, 0.002, 3.5, 0.9)
BATCH, CALIBRATED, PERCENTILE, UNLIKE_FUNGI = 8, 128, 99.999, 0.02


def read_pictures(folder: Path) -> dict[str, Image.Image]:
    """The pictures of a folder that the collection admits, RGB, by name; of equal bytes the first."""
    found: dict[bytes, tuple[str, Image.Image]] = {}
    for path in sorted(folder.glob("*.webp")):
        data = path.read_bytes()
        if look_at(Candidate(data, path.name), LIMITS).fault is None:
            found.setdefault(data, (path.name, Image.open(path).convert("RGB")))
    return dict(found.values())


def make_int8(photographs: Sequence[Image.Image]) -> None:
    """Write the network's form of 8 bits."""
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        quantize_static,
    )
    from onnxruntime.quantization.shape_inference import quant_pre_process

    specimens = list(read_pictures(SPECIMENS_DIR).values())
    squares = [centre_square(image, 224) for image in (*photographs[::4], *specimens[::9])]
    squares = squares[: CALIBRATED // 2]
    shown = [*squares, *(square.convert("L").convert("RGB") for square in squares)]

    class Shown(CalibrationDataReader):
        """The pictures of the calibration, those of one range at a time: what lies between layers takes memory."""

        def __len__(self) -> int:
            return len(shown)

        def set_range(self, start_index: int, end_index: int) -> None:
            self._batches = iter([shown[start_index:end_index]])

        def get_next(self) -> dict[str, np.ndarray] | None:
            batch = next(self._batches, None)
            return {"pixels": scale_pixels(batch)} if batch else None

    with tempfile.TemporaryDirectory() as folder:
        plain = Path(folder) / "plain.onnx"
        quant_pre_process(str(EfficientNetLite0()._onnx_path()), str(plain), skip_symbolic_shape=True)
        quantize_static(
            str(plain),
            str(WEIGHTS_PATH),
            Shown(),
            quant_format=QuantFormat.QDQ,
            nodes_to_exclude=["/ReduceMean", "/_fc/Gemm", "/Einsum"],  # what makes vectors and judges them
            per_channel=True,
            calibrate_method=CalibrationMethod.Percentile,
            extra_options={"CalibPercentile": PERCENTILE, "CalibStridedMinMax": BATCH},
        )
    narrow_classes(WEIGHTS_PATH)


def narrow_classes(path: Path) -> None:
    """Keep the weights of the thousand classes, a quarter of all, in 8 bits too; they are multiplied as floats."""
    import onnx
    from onnx import helper, numpy_helper

    graph = (model := onnx.load(path)).graph
    (place,) = (index for index, node in enumerate(graph.node) if node.op_type == "Gemm")
    (kept,) = (each for each in graph.initializer if each.name == graph.node[place].input[1])
    weights = numpy_helper.to_array(kept)
    scales = (np.abs(weights).max(axis=1) / 127).astype(np.float32)
    narrow = np.round(weights / scales[:, None]).astype(np.int8)
    parts = {"classes_8": narrow, "classes_scale": scales, "classes_zero": np.zeros(len(scales), np.int8)}
    graph.initializer.remove(kept)
    graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in parts.items())
    graph.node.insert(place, helper.make_node("DequantizeLinear", list(parts), [kept.name], axis=0))
    onnx.save(model, path)


def in_batches(images: Sequence[Image.Image]) -> Iterator[Sequence[Image.Image]]:
    """A few at a time."""
    return (images[start : start + BATCH] for start in range(0, len(images), BATCH))


def share_of_neighbours(vectors: np.ndarray, names: Sequence[str]) -> tuple[float, float]:
    """How often the nearest is of the same species; and the nearest of another species of the same genus."""
    species = np.array([name.rsplit("_", 1)[0] for name in names])
    genus = np.array([name.partition("_")[0] for name in names])
    cosines = vectors @ vectors.T
    np.fill_diagonal(cosines, -2)
    same = species[cosines.argmax(1)] == species
    cosines[species[:, None] == species] = -2
    return float(same.mean()), float((genus[cosines.argmax(1)] == genus).mean())


def time_pass(extractor: EfficientNetLite0, images: Sequence[Image.Image]) -> float:
    """CPU milliseconds a picture of the network alone: the median of nine passes."""
    pixels, spent = scale_pixels([centre_square(image, 224) for image in images]), []
    for _ in range(10):
        start_s = time.process_time()
        extractor._session.run(["features"], {"pixels": pixels})
        spent.append((time.process_time() - start_s) / len(images) * 1000)
    return float(np.median(spent[1:]))


def main() -> None:
    """Make it, or only hold it against the other."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folder", type=Path, help="photographs, named as Genus_species_0.webp")
    parser.add_argument("--make", action="store_true", help="write the form of 8 bits anew")
    given = parser.parse_args()
    pictures = read_pictures(given.folder)
    names, images = list(pictures), list(pictures.values())
    if given.make:
        make_int8(images)
    found = {}
    for extractor in (EfficientNetLite0(), EfficientNetLite0Int8()):
        looks = [extractor.look(batch) for batch in in_batches(images)]
        vectors, likely = (np.concatenate(part) for part in zip(*looks, strict=True))
        species, genus = share_of_neighbours(vectors, names)
        unlike = sorted(name for name, one in zip(names, likely, strict=True) if one < UNLIKE_FUNGI)
        linked = int((np.triu(vectors @ vectors.T, 1) >= 0.9).sum())
        spent_ms = time_pass(extractor, images[:BATCH])
        print(
            f"{extractor.name}: {len(names)} pictures, species {species:.3f}, genus {genus:.3f}, {linked} pairs over"
        )
        print(f"  0.9, {spent_ms:.2f} CPU-ms a pass; under {UNLIKE_FUNGI}: {', '.join(unlike)}", flush=True)
        found[extractor.name] = vectors, likely
    (one, likely), (other, moved) = found.values()
    cosines, apart = (one * other).sum(axis=1), np.abs(likely - moved)
    print(
        f"cosines {cosines.min():.4f} to {cosines.max():.4f}, mean {cosines.mean():.4f}; probability of a fungus"
    )
    print(f"  moves by {apart.mean():.3f} on the mean, {apart.max():.3f} at most")


if __name__ == "__main__":
    main()
