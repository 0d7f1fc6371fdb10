"""The two ways of training a DCGAN, as rows of values: the tutorial's, and one for a few hundred pictures.

`tutorial` has the published settings of PyTorch's DCGAN tutorial, which the artist began with: made for two hundred
thousand faces. `small-data` adds what keeps a discriminator from learning few pictures by heart: it sees them changed,
mirrored and in small batches, and what is kept is the average of a narrower generator. Spectral norm and the hinge loss
are settings of their own, as they measured no better in the minutes that a laptop has (docs/log.md, 2026-11-29).
Belongs here: settings and what they mean. Loads no torch, so that settings can be checked without it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fungal_assets.errors import InputError

LOSSES = ("logistic", "hinge")
AUGMENTATIONS = ("colour", "translation", "cutout")
MIN_VARIETY = 0.5
"""Drawn pictures with less of the variety of real ones are a collapse: the generator draws a few things only."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How the two networks are trained.

    Args:
        max_steps: Steps of each network.
        batch_size: Real pictures in a step, and as many drawn ones.
        latent_size: Numbers of noise that a picture is drawn from (the tutorial's nz).
        width: Channels beside the picture, of both networks (its ngf and ndf).
        learning_rate: Of the generator (Adam, betas 0.5 and 0.999).
        discriminator_rate: Of the discriminator.
        loss: `logistic`, binary cross entropy with the generator's non-saturating half, or `hinge`.
        has_spectral_norm: Whether the discriminator has spectral norm beside batch normalisation.
        augmentation: What the discriminator sees changed: names of `AUGMENTATIONS` between commas, or nothing.
        flips: Whether real pictures are mirrored by chance.
        ema_decay: Share of the averaged generator that stays at each step, less in the first ones; 0 for no average.
        watch_every_steps: Steps from one look at the pictures to the next.
        watched_pictures: How many are drawn for a look.
        patience_looks: Training ends when so many looks bring no smaller distance to the pictures held out; 0 for
            never.
        held_out_share: Share of the pictures that is not trained on, 0 to 0.5.
        seed: Decides everything drawn.
    """

    max_steps: int
    batch_size: int
    latent_size: int
    width: int
    learning_rate: float
    discriminator_rate: float
    loss: str
    has_spectral_norm: bool
    augmentation: str
    flips: bool
    ema_decay: float
    watch_every_steps: int
    watched_pictures: int
    patience_looks: int
    held_out_share: float
    seed: int

    def refuse_impossible(self) -> None:
        """Refuse names that mean nothing.

        Raises:
            InputError: All of them are named.
        """
        faults = [] if self.loss in LOSSES else [f"loss is {self.loss!r}, one of {LOSSES!r} expected"]
        unknown = [name for name in self.augmentation.split(",") if name and name not in AUGMENTATIONS]
        if unknown:
            faults.append(f"augmentation has {unknown!r}, of {AUGMENTATIONS!r} expected, between commas")
        if faults:
            raise InputError(f"dcgan_weights cannot be trained so: {'; '.join(faults)}.")


_TUTORIAL: Mapping[str, Any] = {
    "max_steps": 7900,
    "batch_size": 128,
    "latent_size": 100,
    "width": 64,
    "learning_rate": 2e-4,
    "discriminator_rate": 2e-4,
    "loss": "logistic",
    "has_spectral_norm": False,
    "augmentation": "",
    "flips": False,
    "ema_decay": 0.0,
}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tutorial": _TUTORIAL,
    "small-data": {
        **_TUTORIAL,
        "max_steps": 1000,
        "batch_size": 16,
        "width": 32,
        "augmentation": ",".join(AUGMENTATIONS),
        "flips": True,
        "ema_decay": 0.99,
    },
}


def fill_preset(preset: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings given, and the preset's value for each that is None.

    Raises:
        InputError: There is no such preset.
    """
    if preset not in PRESETS:
        raise InputError(f"dcgan_weights.preset is {preset!r}, one of {list(PRESETS)!r} expected.")
    row = PRESETS[preset]
    return {name: row[name] if value is None else value for name, value in given.items()}
