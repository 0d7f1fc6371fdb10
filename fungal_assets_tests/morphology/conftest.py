"""One small collection of drawn specimens of three planted kinds, with its vectors and clusters."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw
from threadpoolctl import threadpool_limits

from fungal_assets.collection.admission import admit_images
from fungal_assets.morphology.clusters import find_clusters
from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.morphology.features import extract_features
from fungal_assets_tests.collection.drawing import LENIENT, encode

KINDS = ("disc", "bars", "star")
PER_KIND = 10


def draw_specimen(kind: str, seed: int) -> Image.Image:
    """A thing of a kind, in any colour, at any place of a soft ground."""
    rng = np.random.default_rng([KINDS.index(kind), seed])
    ground = Image.fromarray(rng.integers(90, 160, (3, 3, 3), np.uint8)).resize(
        (128, 128), Image.Resampling.BICUBIC
    )
    draw, colour = ImageDraw.Draw(ground), tuple(int(value) for value in rng.choice([20, 240], 3))
    x, y, r = (int(value) for value in rng.integers((54, 54, 34), (74, 74, 46)))
    if kind == "disc":
        draw.ellipse((x - r, y - r, x + r, y + r), colour)
    elif kind == "bars":
        for left in range(-r, r, 12):
            draw.rectangle((x + left, y - r, x + left + 5, y + r), colour)
    else:
        turns = np.linspace(0, 2 * np.pi, 15)[:-1] + rng.random()
        reach = np.where(np.arange(14) % 2, r * 0.3, r * 1.2)
        draw.polygon(
            [(x + d * np.cos(t), y + d * np.sin(t)) for t, d in zip(turns, reach, strict=True)], colour
        )
    return ground


@pytest.fixture(autouse=True, scope="session")
def _one_thread():
    """As `find_clusters` fits: the same sums each time, and no threads that wait for each other on a busy machine."""
    with threadpool_limits(1):
        yield


@pytest.fixture(scope="session")
def extractor(tmp_path_factory):
    """The network, its ONNX file made once for all tests."""
    return EfficientNetLite0(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def collection(tmp_path_factory, extractor):
    """Folders raw_images, feature_vectors and clusters of thirty specimens whose label is their kind."""
    root = tmp_path_factory.mktemp("collection")
    source = root / "source"
    source.mkdir()
    rows = ["file_name,label"]
    for kind in KINDS:
        for seed in range(PER_KIND):
            (source / f"{kind}{seed}.png").write_bytes(encode(draw_specimen(kind, seed)))
            rows.append(f"{kind}{seed}.png,{kind}")
    (source / "metadata.csv").write_text("\n".join(rows))
    raw_images, feature_vectors, clusters = (
        root / name for name in ("raw_images", "feature_vectors", "clusters")
    )
    for folder in (raw_images, feature_vectors, clusters):
        folder.mkdir()
    admit_images(raw_images, source=str(source), **LENIENT | {"min_side_px": 64})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fungal_assets.morphology.efficientnet._user_cache_dir", lambda: extractor._cache_dir)
        extract_features(raw_images, feature_vectors, extractor="efficientnet-lite0", batch_size=8)
    find_clusters(
        feature_vectors, raw_images, clusters, algorithm="kmeans", min_clusters=2, max_clusters=5, seed=0
    )
    return root
