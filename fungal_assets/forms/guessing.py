"""What a form begins as: the guide paints its species, and one of the pictures becomes a first volume.

Belongs here: painting, choosing, and which road is taken from a picture to a volume. The roads themselves are
`lifting` and `revolving`. Torch kernel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch  # noqa: TID253
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.forms import showing
from fungal_assets.forms.guidance import DiffusionGuide
from fungal_assets.forms.lifting import best_lifted, load_lifter
from fungal_assets.forms.planning import Growth
from fungal_assets.forms.recognition import GROUND
from fungal_assets.forms.revolving import (
    LEAST_MERIT,
    Silhouette,
    best_silhouette,
    find_backdrop,
    revolve,
)
from fungal_assets.forms.silhouettes import proportions
from fungal_assets.forms.solid import tidy, whole_share
from fungal_assets.forms.views import orbit
from fungal_assets.forms.volume import Volume
from fungal_assets.pocket import JUDGE_DIR
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.facts import word_fungus
from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE, MORPHOTYPES

_LEAST_AGREEMENT = 0.7
_LEAST_WHOLE = 0.85
"""Share of a lifted body's matter that hangs together: a neck of two cells may be cut, and the stem falls off."""
_SIDES, _ELEVATION_DEG, _VIEW_PX = 4, 15.0, 128
_TEMPERATURE = 0.05
"""Of the judge's cosines; at its own, which is lower, one text would take all."""


@dataclass(frozen=True)
class Guess:
    """What a form begins as.

    Args:
        road: How the picture became a volume.
        picture: uint8, shape (128, 128, 3), sRGB.
        volume: What it became.
        shift: How far the subject's middle lies below the picture's, as a share of the picture's side.
        proportions: Height over width of the subject in the picture.
    """

    road: Literal["lifted", "revolved"]
    picture: np.ndarray
    volume: Volume
    shift: float
    proportions: float


def find_guess(guide: DiffusionGuide, growth: Growth, path: Path) -> tuple[Guess | None, list[torch.Tensor]]:
    """The best guess out of the guide's own pictures of the species, and what is behind them.

    It is sought on the first ground, and on the next only where there is none: in light a cast shadow is easily taken
    for a foot. The pictures are kept at `path`, so that a growth which is gone on with has the same guess.

    Returns:
        The guess, or None; and the backdrop of every ground, none at all where no pictures were asked for.
    """
    if not growth.first_guesses:
        return None, []
    pictures = _paint(guide, growth, path)
    guesses = (_guess(list(part), growth) for part in pictures)
    guess = None if growth.first_guess == "egg" else next((one for one in guesses if one), None)
    lightness, shift = growth.recipe["grounds"], guess.shift if guess else 0.0
    return guess, [
        find_backdrop(list(part), lightness=light, shift=shift)
        for part, light in zip(pictures, lightness, strict=True)
    ]


def _guess(pictures: Sequence[np.ndarray], growth: Growth) -> Guess | None:
    """The best guess out of pictures on one ground, or None where none shows a free subject.

    What lost a part in being lifted, as a thin stem, is turned instead if it is even enough for that.
    """
    grid_size = growth.recipe["grid_size"]
    if growth.first_guess == "lifted":
        lifter, appraise = load_lifter(Path(growth.lifter)), _appraiser(growth.species.get("morphotype"))
        if found := best_lifted(lifter, pictures, appraise, grid_size=grid_size):
            shape, lifted, volume = found
            is_whole = lifted.agreement >= _LEAST_AGREEMENT and whole_share(volume) >= _LEAST_WHOLE
            if is_whole or shape.merit < LEAST_MERIT:
                return _guess_of("lifted", shape, volume)
            return _guess_of("revolved", shape, revolve(shape, grid_size))
    if growth.first_guess == "revolved" and (turned := best_silhouette(pictures)):
        return _guess_of("revolved", turned, revolve(turned, grid_size))
    return None


def _guess_of(road: Literal["lifted", "revolved"], shape: Silhouette, volume: Volume) -> Guess:
    return Guess(road, shape.picture, volume, shape.middle_shift, proportions(shape.mask))


def _appraiser(morphotype: str | None) -> Callable[[Volume], float]:
    """How much a volume, made one body, is a fungus of that form from all sides, and of no other, 0 to 1.

    The pocket model's judge says so, of what cameras all round see: a picture may show what its body is not. Where the
    form is none of those that the judge knows, 1 for all.
    """
    if morphotype not in MORPHOTYPES:
        return lambda _: 1.0
    judge = ClipJudge.load(JUDGE_DIR / "clip")
    texts = judge.embed_texts([word_fungus(kind.words[0]) for kind in MORPHOTYPE_TABLE.values()])

    def appraise(volume: Volume) -> float:
        try:
            body = tidy(volume)
        except InputError:
            return 0.0
        cameras = orbit(_SIDES, elevation_deg=_ELEVATION_DEG)
        seen = showing.pictures(body, cameras, _VIEW_PX, ground=GROUND, finer=1)
        shares = texts @ judge.embed_images([Image.fromarray(view) for view in seen]).T / _TEMPERATURE
        return float(shares.softmax(0)[MORPHOTYPES.index(morphotype)].mean())

    return appraise


def _paint(guide: DiffusionGuide, growth: Growth, path: Path) -> list[np.ndarray]:
    """Pictures on each ground, uint8, each (first_guesses, H, W, 3), painted where `path` does not keep them.

    What is turned is asked for from its side; what is lifted as the model likes it best, a shelf from in front.
    """
    if path.exists():
        with np.load(path, allow_pickle=False) as kept:
            return [kept[f"ground_{index}"] for index in range(len(growth.grounds))]
    view = None if growth.first_guess == "lifted" else growth.view_words.get("side")
    first = growth.recipe["seed"]
    seeds = range(first, first + growth.first_guesses)
    texts = [", ".join(filter(None, (growth.prompt, ground, view))) for ground in growth.grounds]
    pictures = [
        np.stack(guide.paint(text, seeds, guidance_scale=growth.guess_guidance_scale)) for text in texts
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}")
    kept_parts: dict[str, Any] = {f"ground_{index}": part for index, part in enumerate(pictures)}
    np.savez(temporary, **kept_parts)
    temporary.replace(path)
    return pictures
