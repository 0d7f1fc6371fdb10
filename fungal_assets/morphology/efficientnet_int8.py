"""EfficientNet-Lite0 in whole numbers of 8 bits: the default extractor's vectors, nearly, for less than half the cost.

    x = s (q - z),    q of 8 bits; s and z of each channel of the weights, and of each sum between two layers

Belongs here: what is other than in `efficientnet`. The file is made and measured by `benchmarks/int8.py`; what it is
and whose, is in `efficientnet_lite0_int8.md`.

It is worth it on processors with instructions for such sums (VNNI on x86, since 2019); on others sums are taken in
halves, which gives the same vectors and takes as long as the default. Vectors are at a cosine of 0.99 to the default's,
but they are another extractor's: what the package ships of vectors is the default's.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from fungal_assets.collection.parallel import open_network
from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.store import hash_file

if TYPE_CHECKING:
    import onnxruntime

WEIGHTS_PATH = Path(__file__).with_name("efficientnet_lite0_int8.onnx")


class EfficientNetLite0Int8(EfficientNetLite0):
    """EfficientNet-Lite0 in 8 bits, as an `extractors.Extractor`."""

    name = "efficientnet-lite0-int8"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file: it decides the vectors."""
        return hash_file(WEIGHTS_PATH)

    @cached_property
    def _made_session(self) -> onnxruntime.InferenceSession:
        return open_network(WEIGHTS_PATH, is_quick=has_vnni())


def has_vnni() -> bool:
    """Whether this processor is known to sum products of 8 bits without overflow."""
    from numpy._core._multiarray_umath import __cpu_features__

    return bool(__cpu_features__.get("AVX512VNNI") or __cpu_features__.get("AVX512_ICL"))
