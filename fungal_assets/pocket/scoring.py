"""What the pocket model knows, in numbers: is the thing that was asked for the thing that is seen?

Things beside fungi are judged by `galleries.judging`, fungi by form, colour and habitat: the morphotype whose mean
feature vector is nearest, the main colour of the subject, the habitat of the ground. None of these eyes was trained
beside the model. Each also looks at the generator's own renders of the same fungi, never trained on: what it can't
name there, no model can be blamed for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from fungal_assets.galleries.judging import Judge, common_of, judge_vectors, load_judge
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.nomenclature.attributes import measure
from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.nomenclature.morphotypes import likeness_to_morphotypes
from fungal_assets.pocket import JUDGE_DIR
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.corpus import IMAGE_PX, render_pixels
from fungal_assets.pocket.fungarium import MORPHOTYPES, Traits, caption_words, sample_traits
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, follow

if TYPE_CHECKING:
    from diffusers import StableDiffusionPipeline

UNSEEN_SEED = 5_000_000
STEPS, GUIDANCE_SCALE = 20, 2.0
_BATCH = 8
_HABITATS = {"dark_room": "dark"}


@dataclass(frozen=True)
class Scores:
    """Figures of a model and the sheets that they were taken from.

    Args:
        figures: Shares from 0 to 1 by name.
        sheets: Contact sheets by file name.
    """

    figures: Mapping[str, float]
    sheets: Mapping[str, Image.Image]


def score_model(
    pipeline: StableDiffusionPipeline, *, concepts: Sequence[str], each: int, fungi: int, tell: Tell
) -> Scores:
    """Sample and judge.

    Args:
        pipeline: The model.
        concepts: Things beside fungi, of those that the judge knows; asked for by their bare names.
        each: Pictures per thing.
        fungi: Pictures per morphotype.
        tell: Told of progress.
    """
    names = [name for name in concepts for _ in range(each)]
    things = paint(pipeline, names, tell=tell)
    traits = unseen_traits(fungi)
    painted = paint(pipeline, [prompt_of(one) for one in traits], tell=tell)
    rendered = [Image.fromarray(render_pixels(one)) for one in follow(traits, tell, "rendering", len(traits))]
    figures = judge_things(things, names, load_judge("pocket"))
    figures |= judge_fungi(painted, traits)
    figures |= {f"{name}_of_renders": value for name, value in judge_fungi(rendered, traits).items()}
    if (JUDGE_DIR / "clip").exists():
        clip = ClipJudge(JUDGE_DIR / "clip")
        figures |= judge_by_clip(clip, things, names, concepts, painted, traits)
        of_renders = judge_by_clip(clip, things, names, concepts, rendered, traits)
        figures |= {
            f"{name}_of_renders": value for name, value in of_renders.items() if name != "things_by_clip"
        }
    sheets = {
        "things.webp": contact_sheet(things[::each], columns=20, labels=names[::each], tile_px=IMAGE_PX),
        "fungi.webp": contact_sheet(
            painted, columns=2 * fungi, labels=[prompt_of(one) for one in traits], tile_px=IMAGE_PX
        ),
    }
    return Scores(figures, sheets)


def unseen_traits(each: int) -> list[Traits]:
    """`each` lone fungi of every morphotype that no training picture shows."""
    return [
        sample_traits(UNSEEN_SEED + row * each + column, morphotype=name, count=1)
        for row, name in enumerate(MORPHOTYPES)
        for column in range(each)
    ]


def prompt_of(traits: Traits) -> str:
    """The prompt for a fungus: colour, morphotype, place, view, and closeness where it is not the middle one."""
    words = caption_words(traits)
    article = "an" if traits.cap_color[0] in "aeiou" else "a"
    said = [words[slot] for slot in ("place", "view", "closeness")]
    return ", ".join(
        [f"a photo of {article} {words['color']} {words['morphotype']}", *(word for word in said if word)]
    )


def paint(pipeline: StableDiffusionPipeline, prompts: Sequence[str], *, tell: Tell) -> list[Image.Image]:
    """One picture per prompt, its seed its place in the list."""
    import torch

    pipeline.set_progress_bar_config(disable=True)
    starts = range(0, len(prompts), _BATCH)
    images: list[Image.Image] = []
    for start in follow(starts, tell, "painting", len(starts)):
        batch = list(prompts[start : start + _BATCH])
        generators = [torch.Generator().manual_seed(start + index) for index in range(len(batch))]
        images += pipeline(
            batch, num_inference_steps=STEPS, guidance_scale=GUIDANCE_SCALE, generator=generators
        ).images
    return images


def judge_things(images: Sequence[Image.Image], names: Sequence[str], judge: Judge) -> dict[str, float]:
    """The share of pictures whose nearest concept is the one asked for, and that of the artist's controls."""
    from fungal_assets.pocket.world import CONTROLS

    vectors = EfficientNetLite0().embed(images)
    found = judge_vectors(judge, vectors, names, common=common_of(vectors, names))
    is_right = np.array([one is not None and one.is_recognised for one in found])
    is_control = np.isin(names, [concept.name for concept in CONTROLS])
    return {
        "things_recognised": float(is_right.mean()),
        "controls_recognised": float(is_right[is_control].mean()) if is_control.any() else 0.0,
    }


def judge_fungi(images: Sequence[Image.Image], traits: Sequence[Traits]) -> dict[str, float]:
    """Shares of pictures of the right morphotype, main colour and habitat; morphotypes are to be equally many."""
    names, likeness = likeness_to_morphotypes(EfficientNetLite0().embed(images))
    found = [measure(image) for image in images]
    habitats = [HABITAT_WORDS[_HABITATS.get(one.habitat, one.habitat)] for one in traits]
    rights = {
        "morphotypes": [
            names[row.argmax()] == one.morphotype for row, one in zip(likeness, traits, strict=True)
        ],
        "colours": [one.cap_color in own.colour_names for own, one in zip(found, traits, strict=True)],
        "habitats": [own.habitat == place for own, place in zip(found, habitats, strict=True)],
    }
    return {f"{name}_right": float(np.mean(values)) for name, values in rights.items()}


def judge_by_clip(
    judge: ClipJudge,
    things: Sequence[Image.Image],
    names: Sequence[str],
    concepts: Sequence[str],
    painted: Sequence[Image.Image],
    traits: Sequence[Traits],
) -> dict[str, float]:
    """Shares of pictures that the project's own judge names right: things, and the views, forms and places of fungi.

    A fungus is asked for with all else known: "a photo of a morel mushroom, side view" against the other views.

    Args:
        judge: The judge.
        things: Pictures of things beside fungi, and `names` what each was to be.
        names: One of `concepts` each.
        concepts: What a thing may be taken for.
        painted: Pictures of fungi, and `traits` what each was to show.
        traits: One per picture.
    """
    found = judge.name(things, concepts)
    words = [caption_words(one) for one in traits]
    slots = {
        "views": [(f"a photo of a {own['morphotype']}, {{}}", own["view"]) for own in words],
        "morphotypes": [("a photo of a {}", own["morphotype"]) for own in words],
        "habitats": [(f"a photo of a {own['morphotype']} {{}}", own["place"]) for own in words],
    }
    vectors = judge.embed_images(painted)
    figures = {
        "things_by_clip": float(np.mean([concepts[i] == name for i, name in zip(found, names, strict=True)]))
    }
    for slot, asked in slots.items():
        rivals = sorted({str(word) for _, word in asked})
        rights = []
        for vector, (text, word) in zip(vectors, asked, strict=True):
            likeness = judge.embed_texts([text.format(rival) for rival in rivals]) @ vector
            rights.append(rivals[int(likeness.argmax())] == word)
        figures[f"{slot}_by_clip"] = float(np.mean(rights))
    return figures


def write_scores(
    model: Path, folder: Path, *, concepts: int, each: int, fungi: int, tell: Tell
) -> dict[str, float]:
    """Score a diffusers folder and write its sheets; returns the figures."""
    import torch
    from diffusers import StableDiffusionPipeline

    from fungal_assets.pocket.world import WORLD_CONCEPTS

    pipeline = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, dtype=torch.float32)
    names = [concept.name for concept in WORLD_CONCEPTS[:concepts]]
    scores = score_model(pipeline, concepts=names, each=each, fungi=fungi, tell=tell)
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in scores.sheets.items():
        sheet.save(folder / name, quality=82)
    return dict(scores.figures)
