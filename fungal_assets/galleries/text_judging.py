"""The second judge: which of all names a picture fits best, by the judge that the project taught beside the model.

It saw the model's own world, so that it sees through a soft painting what an eye of ImageNet takes for something else,
and flatters a model of that world. Hence it stands beside the judge by references (`judging`), which was taught
nothing, and never in its place. Both look with the same eye, so pictures are embedded once.
Belongs here: names and vectors to judgements. How that judge learns is in `pocket.contrasting`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fungal_assets.errors import InputError
from fungal_assets.galleries.judging import Judge, Judgement, judge_vectors
from fungal_assets.store import hash_folder

# Where a judge lies in the package, by the name that a profile gives.
TEXT_JUDGES = {"pocket": "clip"}


@dataclass(frozen=True)
class TextJudge:
    """A judge by names.

    Args:
        names: The concepts, and as their prototypes the vectors of their names.
        see: Takes vectors of the judge by references, float32 (n, d), into the space of the names, float32 (n, e).
    """

    names: Judge
    see: Callable[[np.ndarray], np.ndarray]

    def judge(self, vectors: np.ndarray, expected: Sequence[str | None]) -> list[Judgement | None]:
        """Judge pictures by their EfficientNet-Lite0 vectors; None where it does not know the concept."""
        return judge_vectors(self.names, self.see(vectors), expected)


def hash_text_judge(text_judge: str) -> str:
    """SHA-256 of a judge's folder; empty for none.

    Raises:
        InputError: There is no such folder.
    """
    if not text_judge:
        return ""
    folder = _folder_of(text_judge)
    if not (folder / "config.json").is_file():
        raise InputError(
            f"text_judge {text_judge!r} is not at {folder}. Give one of {', '.join(TEXT_JUDGES)}, the folder of a "
            "judge that pocket.contrasting wrote, or '' for none."
        )
    return hash_folder(folder)


def load_text_judge(text_judge: str, concepts: Sequence[str]) -> TextJudge | None:
    """Read a judge, and let it choose among these concepts; None for the name `""`.

    Raises:
        InputError: There is no such judge.
    """
    sha256 = hash_text_judge(text_judge)
    if not sha256:
        return None
    import torch

    from fungal_assets.pocket.contrasting import ClipJudge
    from fungal_assets.pocket.world import WORLD_CONCEPTS

    taught = ClipJudge.load(_folder_of(text_judge))
    phrases = {concept.name: concept.phrase for concept in WORLD_CONCEPTS}
    vectors = taught.embed_names([phrases.get(name, f"a {name}") for name in concepts]).numpy()
    names = Judge(Path(text_judge).name, tuple(concepts), vectors, 0, sha256)
    return TextJudge(names, lambda seen: taught.embed_seen(torch.from_numpy(seen)).numpy())


def _folder_of(text_judge: str) -> Path:
    from fungal_assets.pocket import JUDGE_DIR

    return JUDGE_DIR / TEXT_JUDGES[text_judge] if text_judge in TEXT_JUDGES else Path(text_judge)
