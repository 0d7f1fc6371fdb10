"""What the pocket model knows, in numbers: is the thing that was asked for the thing that is seen?

Two opinions. One only compares: things with real drawings (`galleries.judging`), fungi with the mean feature vector of
each morphotype, the main colour of the subject, the habitat of the ground. The other is the project's judge, which was
taught to read (`contrasting`). Neither has an eye that was trained beside the model. Each also looks at the generator's
own renders of the same fungi, never trained on: what it can't name there, no model can be blamed for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
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
from fungal_assets.pocket.autoencoding import from_signed, psnr_db, to_signed
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.corpus import IMAGE_PX, render_pixels
from fungal_assets.pocket.facts import word_fungus
from fungal_assets.pocket.fungarium import (
    MORPHOTYPE_TABLE,
    MORPHOTYPES,
    Traits,
    caption_words,
    sample_portrait,
    sample_traits,
    views_of,
)
from fungal_assets.pocket.fungarium.palette import COLORS
from fungal_assets.pocket.world import CONTROLS, WORLD_CONCEPTS
from fungal_assets.previews import contact_sheet
from fungal_assets.progress import Tell, follow

if TYPE_CHECKING:
    from diffusers import AutoencoderKL, StableDiffusionPipeline

UNSEEN_SEED = 5_000_000
UNSEEN_PORTRAIT_SEED = 6_000_000
UNSEEN_VIEW_SEED = 7_000_000
STEPS, GUIDANCE_SCALE = 20, 2.0
OTHER_SIZES_PX = (IMAGE_PX // 2, 2 * IMAGE_PX)
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
    figures = judge_things(things, names, load_judge("pocket"))
    clip = ClipJudge.load(JUDGE_DIR / "clip")
    figures |= judge_things_by_clip(clip, things, names, concepts)
    sheets = {
        "things.webp": contact_sheet(things[::each], columns=20, labels=names[::each], tile_px=IMAGE_PX)
    }
    for kind, traits in unseen_fungi(fungi).items():
        prompts = [prompt_of(one, is_plain=kind == "portraits") for one in traits]
        painted = paint(pipeline, prompts, tell=tell)
        renders = np.stack([render_pixels(one) for one in follow(traits, tell, "rendering", len(traits))])
        figures[f"{kind}_vae_psnr_db"] = psnr_db(pipeline.vae, renders)
        if kind == "portraits":
            sheets["autoencoder.webp"] = show_autoencoder(pipeline.vae, renders[::fungi])
        for suffix, images in (("", painted), ("_of_renders", [Image.fromarray(one) for one in renders])):
            found = judge_fungi(images, traits) | judge_fungi_by_clip(clip, images, traits)
            figures |= {f"{kind}_{name}{suffix}": value for name, value in found.items()}
        sheets[f"{kind}.webp"] = contact_sheet(painted, columns=2 * fungi, labels=prompts, tile_px=IMAGE_PX)
    painted_by_size = {}
    for size_px in OTHER_SIZES_PX:
        found, painted_by_size[size_px] = score_size(pipeline, clip, concepts, size_px=size_px, tell=tell)
        figures |= {f"{name}_at_{size_px}_px": value for name, value in found.items()}
    sheets["sizes.webp"] = show_sizes(painted_by_size, things=len(concepts))
    return Scores(figures, sheets)


def score_size(
    pipeline: StableDiffusionPipeline,
    clip: ClipJudge,
    concepts: Sequence[str],
    *,
    size_px: int,
    tell: Tell,
    each: int = 2,
) -> tuple[dict[str, float], list[Image.Image]]:
    """What the project's judge finds at another size than the model's own.

    Returns:
        Shares of one picture of each thing and of `each` portraits of every morphotype, those of as large renders
        beside them; and the pictures, things first.
    """
    traits = unseen_fungi(each)["portraits"]
    prompts = [*concepts, *(prompt_of(one, is_plain=True) for one in traits)]
    painted = paint(pipeline, prompts, size_px=size_px, tell=tell)
    things, fungi = painted[: len(concepts)], painted[len(concepts) :]
    figures = judge_things_by_clip(clip, things, concepts, concepts)
    renders = [Image.fromarray(render_pixels(one, size_px=size_px)) for one in traits]
    for suffix, images in (("", fungi), ("_of_renders", renders)):
        found = judge_fungi_by_clip(clip, images, traits)
        figures |= {f"portraits_{name}{suffix}": value for name, value in found.items()}
    return figures, painted


def show_sizes(painted: Mapping[int, Sequence[Image.Image]], *, things: int, columns: int = 8) -> Image.Image:
    """A sheet with two rows of each size in pixels: some things, of which there are `things`, and some fungi."""
    tiles: list[Image.Image] = []
    labels: list[str] = []
    for size_px, images in painted.items():
        fungi = images[things:]
        tiles += [*images[:columns], *fungi[:: max(1, len(fungi) // columns)][:columns]]
        labels += [f"{size_px} px"] * (len(tiles) - len(labels))
    return contact_sheet(tiles, columns=columns, labels=labels, tile_px=max(painted))


def show_autoencoder(vae: AutoencoderKL, renders: np.ndarray) -> Image.Image:
    """A sheet of renders, uint8 (N, H, W, 3), in rows of eight, below each row what the autoencoder makes of it."""
    import torch

    with torch.inference_mode():
        restored = from_signed(vae(to_signed(renders).to(vae.device)).sample)
    starts = range(0, len(renders), 8)
    rows = [row for start in starts for images in (renders, restored) for row in images[start : start + 8]]
    return contact_sheet([Image.fromarray(image) for image in rows], columns=8, tile_px=IMAGE_PX)


def unseen_fungi(each: int) -> dict[str, list[Traits]]:
    """Lone fungi that no training picture shows, by what is asked for, `each` of every morphotype.

    `portraits` are what a plain prompt means, `fungi` are seen from any side at any distance, `views` are portraits
    from every side that there is of each, a quarter as many from each side.
    """
    portraits = [
        sample_portrait(UNSEEN_PORTRAIT_SEED + row * each + column, morphotype=name)
        for row, name in enumerate(MORPHOTYPES)
        for column in range(each)
    ]
    sides = [
        (name, view) for name in MORPHOTYPES for view in views_of(name) for _ in range(max(1, each // 4))
    ]
    views = [
        sample_portrait(UNSEEN_VIEW_SEED + index, morphotype=name, view=view)
        for index, (name, view) in enumerate(sides)
    ]
    return {"portraits": portraits, "fungi": unseen_traits(each), "views": views}


def unseen_traits(each: int) -> list[Traits]:
    """`each` lone fungi of every morphotype that no training picture shows."""
    return [
        sample_traits(UNSEEN_SEED + row * each + column, morphotype=name, count=1)
        for row, name in enumerate(MORPHOTYPES)
        for column in range(each)
    ]


def prompt_of(traits: Traits, *, is_plain: bool = False) -> str:
    """The prompt for a fungus: colour, morphotype, place, view, and closeness where it is not the middle one.

    Plain, it leaves the view to the model.
    """
    words = caption_words(traits)
    view = None if is_plain else words["view"]
    text = word_fungus(str(words["morphotype"]), color=words["color"], place=words["place"], view=view)
    return f"{text}, {words['closeness']}" if words["closeness"] and not is_plain else text


def paint(
    pipeline: StableDiffusionPipeline,
    prompts: Sequence[str],
    *,
    size_px: int = IMAGE_PX,
    steps: int = STEPS,
    guidance_scale: float = GUIDANCE_SCALE,
    tell: Tell,
) -> list[Image.Image]:
    """One picture of `size_px` per prompt, its seed its place in the list."""
    import torch

    pipeline.set_progress_bar_config(disable=True)
    starts = range(0, len(prompts), _BATCH)
    images: list[Image.Image] = []
    for start in follow(starts, tell, "painting", len(starts)):
        batch = list(prompts[start : start + _BATCH])
        generators = [torch.Generator().manual_seed(start + index) for index in range(len(batch))]
        images += pipeline(
            batch,
            num_inference_steps=steps,
            guidance_scale=guidance_scale,
            generator=generators,
            height=size_px,
            width=size_px,
        ).images
    return images


def judge_things(images: Sequence[Image.Image], names: Sequence[str], judge: Judge) -> dict[str, float]:
    """The share of pictures whose nearest concept is the one asked for, and that of the artist's controls."""
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


def judge_things_by_clip(
    judge: ClipJudge, images: Sequence[Image.Image], names: Sequence[str], concepts: Sequence[str]
) -> dict[str, float]:
    """The share of pictures that the project's own judge gives the right one of `concepts`."""
    phrases = {concept.name: concept.phrase for concept in WORLD_CONCEPTS}
    found = judge.name(images, [phrases[concept] for concept in concepts])
    return {
        "things_by_clip": float(np.mean([concepts[i] == name for i, name in zip(found, names, strict=True)]))
    }


def judge_fungi_by_clip(
    judge: ClipJudge, images: Sequence[Image.Image], traits: Sequence[Traits]
) -> dict[str, float]:
    """Shares of pictures that the project's own judge finds right in form, colour, place and view.

    Each is asked for with only the form known: "a photo of a bolete mushroom, in moss" against the other places where
    such a form may grow, "side view" against the other views that there are of it. Views at an angle are not asked for.
    """
    words = [caption_words(one) for one in traits]
    forms = [str(own["morphotype"]) for own in words]
    places: dict[bool, list[str]] = {True: [], False: []}
    for own, one in zip(words, traits, strict=True):
        places[MORPHOTYPE_TABLE[one.morphotype].is_shelf].append(str(own["place"]))
    embed = cache(judge.embed_texts)
    rights: dict[str, list[bool]] = {"morphotypes": [], "colours": [], "habitats": [], "views": []}
    for vector, own, form, one in zip(judge.embed_images(images), words, forms, traits, strict=True):
        rivals = {
            "morphotypes": {name: word_fungus(name) for name in sorted(set(forms))},
            "colours": {color: word_fungus(form, color=color) for color in COLORS},
            "habitats": {
                place: word_fungus(form, place=place)
                for place in sorted(set(places[MORPHOTYPE_TABLE[one.morphotype].is_shelf]))
            },
            "views": {view: word_fungus(form, view=view) for view in views_of(one.morphotype)},
        }
        truth = {"morphotypes": form, "colours": own["color"], "habitats": own["place"], "views": own["view"]}
        for slot, texts in rivals.items():
            if truth[slot] in texts:
                likeness = embed(tuple(texts.values())) @ vector
                rights[slot].append(list(texts)[int(likeness.argmax())] == truth[slot])
    return {f"{slot}_by_clip": float(np.mean(values)) for slot, values in rights.items() if values}


def score_judge_on_renders(judge: ClipJudge, *, each: int = 8) -> dict[str, float]:
    """How often the judge is right of renders that neither it nor the model was taught, by kind of picture."""
    figures: dict[str, float] = {}
    for kind, traits in unseen_fungi(each).items():
        images = [Image.fromarray(render_pixels(one)) for one in traits]
        figures |= {
            f"{kind}_{name}": value for name, value in judge_fungi_by_clip(judge, images, traits).items()
        }
    return figures


def write_scores(
    model: Path, folder: Path, *, concepts: int, each: int, fungi: int, tell: Tell
) -> dict[str, float]:
    """Score a diffusers folder and write its sheets; returns the figures."""
    import torch
    from diffusers import StableDiffusionPipeline

    pipeline = StableDiffusionPipeline.from_pretrained(model, safety_checker=None, dtype=torch.float32)
    names = [concept.name for concept in WORLD_CONCEPTS[:concepts]]
    scores = score_model(pipeline, concepts=names, each=each, fungi=fungi, tell=tell)
    folder.mkdir(parents=True, exist_ok=True)
    for name, sheet in scores.sheets.items():
        sheet.save(folder / name, quality=82)
    return dict(scores.figures)
