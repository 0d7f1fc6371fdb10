"""How much a loaded model still knows and how well it draws the species: one number each, from the same few pictures.

Whoever changes a model and wants to see what that did asks here: the choice of a strength, a look during training. The
pictures are those that a gallery of the same seed holds, the judge and the arithmetic are the forgetting report's, so
the numbers are theirs too.
Belongs here: pictures and numbers of one loaded model. What is concluded from them does not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.galleries.batches import paint
from fungal_assets.galleries.judging import Judge, Judgement, common_of, judge_vectors
from fungal_assets.galleries.planning import TUNED, Picture, plan_gallery
from fungal_assets.galleries.reading import embed_images
from fungal_assets.galleries.recognition import recognise_vectors
from fungal_assets.galleries.retention import Pair, measure_retention

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline
    from PIL import Image


@dataclass(frozen=True)
class Measured:
    """One model.

    Args:
        retention: Share of control pictures recognised over the base model's, or None where that is 0.
        interval: Its 95 % interval, or None.
        base_recognised: Share of the base model's control pictures that are recognised, 0 to 1.
        tuned_recognised: Share of this model's.
        species_recognised: Mean share over the species of pictures that are nearest to their own cluster, 0 to 1.
        species_likeness: Mean cosine to the own cluster's centre, -1 to 1.
    """

    retention: float | None
    interval: tuple[float, float] | None
    base_recognised: float
    tuned_recognised: float
    species_recognised: float
    species_likeness: float


@dataclass(frozen=True)
class Yardstick:
    """What models are measured by.

    Args:
        species: Pictures of the species prompts.
        controls: Pictures of the control prompts.
        settings: How they are painted, as `batches.paint` takes it.
        judge: Judges the control pictures.
        clusters: Folder of the clusters that species are recognised by.
    """

    species: Sequence[Picture]
    controls: Sequence[Picture]
    settings: Mapping[str, Any]
    judge: Judge
    clusters: Path

    @classmethod
    def of(
        cls,
        prompts: Mapping[str, Any],
        *,
        images_per_prompt: int,
        controls: int,
        seed: int,
        settings: Mapping[str, Any],
        judge: Judge,
        clusters: Path,
    ) -> Yardstick:
        """The pictures that a gallery with these settings has of species and controls.

        Args:
            prompts: Content of `prompts.json`.
            images_per_prompt: Pictures per prompt.
            controls: How many control prompts.
            seed: Seed of the run.
            settings: Of `batches.paint`, without the negative prompt.
            judge: As of the class.
            clusters: As of the class.
        """
        plan = plan_gallery(
            prompts["prompts"], images_per_prompt=images_per_prompt, controls=controls, seed=seed
        )
        by_kind = {
            kind: [each for each in plan if each.kind == kind and each.model == TUNED]
            for kind in ("species", "control")
        }
        whole = {"negative_prompt": prompts.get("negative_prompt", ""), **settings}
        return cls(by_kind["species"], by_kind["control"], whole, judge, clusters)


def draw_controls(pipeline: DiffusionPipeline, by: Yardstick) -> tuple[list[Image.Image], np.ndarray]:
    """A model's control pictures, and their vectors for the judge, float32, shape (n, d)."""
    images = [image for _, image in paint(pipeline, by.controls, by.settings)]
    return images, embed_controls(images)


def draw_species(pipeline: DiffusionPipeline, by: Yardstick) -> tuple[list[Image.Image], np.ndarray]:
    """A model's pictures of the species, and their vectors by the extractor that made the clusters."""
    images = [image for _, image in paint(pipeline, by.species, by.settings)]
    return images, embed_species(images, by.clusters)


def embed_controls(images: Sequence[Image.Image]) -> np.ndarray:
    """Vectors of control pictures for the judge, float32, shape (n, d)."""
    from fungal_assets.morphology.extractors import EfficientNetLite0

    return embed_images(images, EfficientNetLite0())


def embed_species(images: Sequence[Image.Image], clusters: Path) -> np.ndarray:
    """Vectors of pictures of species by the extractor that made the clusters, float32, shape (n, d)."""
    from fungal_assets.morphology.extractors import recorded_extractor

    return embed_images(images, recorded_extractor(clusters))


def measure(by: Yardstick, *, base: np.ndarray, controls: np.ndarray, species: np.ndarray) -> Measured:
    """What the vectors of a model's pictures say of it.

    Args:
        by: Whose pictures they are of.
        base: The base model's control pictures, float32, shape (n, d).
        controls: This model's, of the same shape.
        species: This model's pictures of the species.

    Raises:
        InputError: The judge knows none of the concepts, or there is no control picture.
    """
    kept = measure_retention(pair_controls(by.controls, by.judge, base=base, tuned=controls))
    recognised, likeness = recognise_pictures(by.species, species, by.clusters)
    return Measured(
        kept.retention,
        kept.interval,
        kept.base_recognised,
        kept.tuned_recognised,
        recognised,
        likeness,
    )


def pair_controls(
    controls: Sequence[Picture], judge: Judge, *, base: np.ndarray, tuned: np.ndarray
) -> list[Pair]:
    """What the judge finds in two models' control pictures, as `judge_controls`, those that it can judge."""
    of_base, of_tuned = (judge_controls(controls, judge, base=base, vectors=each) for each in (base, tuned))
    return [Pair.of(one, other) for one, other in zip(of_base, of_tuned, strict=True) if one and other]


def judge_controls(
    controls: Sequence[Picture], judge: Judge, *, base: np.ndarray, vectors: np.ndarray
) -> list[Judgement | None]:
    """What the judge finds in a model's control pictures; None where it does not know the concept.

    What the base model's have in common is taken away from them, as always.

    Args:
        controls: What was drawn.
        judge: Whose references they are held to.
        base: Vectors of the base model's pictures, float32, shape (n, d).
        vectors: Those of the model's, of the same shape.
    """
    expected = [picture.expected for picture in controls]
    common = common_of(base, expected) if len(base) else None
    return judge_vectors(judge, vectors, expected, common=common)


def recognise_pictures(
    species: Sequence[Picture], vectors: np.ndarray, clusters: Path
) -> tuple[float, float]:
    """Mean share over the species that is nearest to its own cluster, and mean cosine to that one's centre."""
    found = recognise_vectors([asdict(picture) for picture in species], vectors, clusters)
    likeness = float(np.mean([entry["similarity"] for entry in found["species"]]))
    return found["species_recognised"], round(likeness, 4)
