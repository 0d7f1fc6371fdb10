"""The judge: what a picture shows, by its likeness to real art of everything that the base model knows.

A picture's EfficientNet-Lite0 vector is compared with the mean vector of each concept's reference pictures;
the nearest concept is what it shows. The network is ImageNet's, not trained beside the model, so it does not
flatter it.
Belongs here: the references and the comparison. What is concluded from it is in `forgetting`.

Measured on 156 drawings of a style that no reference has, among 160 concepts (chance 0.6 %): the right
concept is nearest for 77 %, among the nearest five for 96 %; blurred as by 32 px, 69 and 92 %. The nearest
single reference finds 74 and 62 %, the mean after centring 76 and 64 %: so means. A small model paints so softly
that all of its pictures are nearest to one concept; what its base pictures have in common is therefore taken away
first, which found 23 % instead of 2 % of 48 such pictures among 101 concepts (docs/log.md).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from fungal_assets.errors import InputError
from fungal_assets.store import hash_file

# Where the references of a judge lie in the package, by the name that a profile gives.
JUDGES = {"pocket": "judge/references.npz"}
FUNGUS = "mushroom"
LEAST_CONCEPTS = 8


@dataclass(frozen=True)
class Judge:
    """Concepts and what their real pictures look like to the feature extractor.

    Args:
        name: Name of the judge, or its file's.
        concepts: The concepts, sorted.
        prototypes: float32, shape (k, d), unit rows: mean direction of each concept's references.
        references: How many reference pictures there are in all.
        sha256: Hash of the reference file.
    """

    name: str
    concepts: tuple[str, ...]
    prototypes: np.ndarray
    references: int
    sha256: str

    @cached_property
    def number_of(self) -> dict[str, int]:
        """Row of `prototypes` by concept."""
        return {concept: number for number, concept in enumerate(self.concepts)}

    @property
    def chance(self) -> float:
        """Share of pictures that guessing would recognise."""
        return 1 / len(self.concepts)


@dataclass(frozen=True)
class Judgement:
    """What the judge finds in one picture.

    Args:
        nearest: The concept that it is most like.
        rank: How many concepts it is more like than the expected one; 0 is recognised.
        similarity: Cosine to the expected concept, -1 to 1.
    """

    nearest: str
    rank: int
    similarity: float

    @property
    def is_recognised(self) -> bool:
        """Whether the expected concept is the nearest."""
        return self.rank == 0


def describe_judgement(judgement: Judgement | None) -> dict[str, Any]:
    """A judgement as tables hold it: `nearest`, `recognised`, `rank` and `similarity`, all None where there is none."""
    if judgement is None:
        return dict.fromkeys(("nearest", "recognised", "rank", "similarity"))
    return {
        "nearest": judgement.nearest,
        "recognised": judgement.is_recognised,
        "rank": judgement.rank,
        "similarity": judgement.similarity,
    }


def references_of(judge: str) -> Path:
    """The reference file of a judge: of a known name, or the path of a file of one's own."""
    from fungal_assets.pocket import MODEL_DIR

    return MODEL_DIR.parent / JUDGES[judge] if judge in JUDGES else Path(judge)


def hash_references(judge: str) -> str:
    """SHA-256 of a judge's reference file: it decides every verdict.

    Raises:
        InputError: There is no such file.
    """
    path = references_of(judge)
    if not path.is_file():
        raise InputError(
            f"judge {judge!r} has no references at {path}. Give one of {', '.join(JUDGES)}, or an .npz file "
            f"with 'vectors' and 'concept'; the pocket one is made by python -m fungal_assets.pocket references"
        )
    return hash_file(path)


def load_judge(judge: str) -> Judge:
    """Read a judge's references.

    Args:
        judge: A key of `JUDGES`, or the path of an npz file with `vectors` (float32, shape (n, d)) and
            `concept` (str, shape (n,)).

    Raises:
        InputError: There is no such file, or it is not of that form.
    """
    path, sha256 = references_of(judge), hash_references(judge)
    with np.load(path, allow_pickle=False) as arrays:
        if not {"vectors", "concept"} <= set(arrays.files):
            raise InputError(
                f"{path} holds {arrays.files!r}; the arrays 'vectors' and 'concept' were expected."
            )
        vectors, concept = arrays["vectors"].astype(np.float32), arrays["concept"]
    if vectors.ndim != 2 or concept.shape != vectors.shape[:1] or len(np.unique(concept)) < 2:
        raise InputError(
            f"{path}: vectors have shape {vectors.shape} and concepts {concept.shape}; (n, d) and (n,) with "
            f"two concepts or more were expected. Make the file again."
        )
    return build_judge(Path(judge).stem, vectors, concept, sha256=sha256)


def build_judge(name: str, vectors: np.ndarray, concept: np.ndarray, *, sha256: str) -> Judge:
    """A judge from reference vectors (float, shape (n, d)) and their concepts (str, shape (n,))."""
    concepts = np.unique(concept)
    means = np.stack([_to_unit(vectors[concept == each]).mean(axis=0) for each in concepts])
    return Judge(name, tuple(concepts.tolist()), _to_unit(means), len(vectors), sha256)


def judge_vectors(
    judge: Judge, vectors: np.ndarray, expected: Sequence[str | None], *, common: np.ndarray | None = None
) -> list[Judgement | None]:
    """Judge pictures by their feature vectors.

    Args:
        judge: The judge.
        vectors: float32, shape (n, d).
        expected: The concept asked for, of each picture.
        common: What all pictures of a model have in common (see `common_of`), float32, shape (d,). It is taken
            away from them, and from the references what is common to those.

    Returns:
        One judgement per picture; None where the judge does not know the concept.
    """
    units, prototypes = _to_unit(vectors), judge.prototypes
    if common is not None:
        units, prototypes = _to_unit(units - common), _to_unit(prototypes - prototypes.mean(axis=0))
    similarity = units @ prototypes.T
    return [
        _judge(judge, row, judge.number_of[concept]) if concept in judge.number_of else None
        for row, concept in zip(similarity, expected, strict=True)
    ]


def common_of(vectors: np.ndarray, expected: Sequence[str | None]) -> np.ndarray | None:
    """What pictures of many things have in common: how soft a model paints, not what.

    Args:
        vectors: float32, shape (n, d).
        expected: The concept asked for, of each picture.

    Returns:
        The mean direction over the concepts, float32, shape (d,); None of fewer than `LEAST_CONCEPTS`, where the
        mean would be of the things themselves.
    """
    concepts = sorted({concept for concept in expected if concept is not None})
    if len(concepts) < LEAST_CONCEPTS:
        return None
    names, units = np.array(expected, dtype=object), _to_unit(vectors)
    return np.mean([units[names == concept].mean(axis=0) for concept in concepts], axis=0)


def _judge(judge: Judge, similarity: np.ndarray, expected: int) -> Judgement:
    own = float(similarity[expected])
    return Judgement(judge.concepts[int(similarity.argmax())], int((similarity > own).sum()), round(own, 4))


def _to_unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
