"""Image captioners: models that say in their own words what a picture shows, behind one small interface.

They see what no measurement here does (a hand, a slug, a view from below), know no invented name, and err. So what one
says is a wording of its own behind the name, never a part of the measured ones. Any model of the `transformers` library
that turns a picture into text serves, such as BLIP (Li et al. 2022, arXiv:2201.12086). Belongs here: finding one by its
name, and cleaning what it says.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from PIL import Image

from fungal_assets.diffusion.cards import cards_of, find_card
from fungal_assets.diffusion.devices import pick_device
from fungal_assets.errors import InputError
from fungal_assets.store import hash_folder

_MOST_TOKENS = 24
_MOST_CHARACTERS = 120
_HUB_PATTERNS = ["*.json", "*.txt", "model*.safetensors"]
_CLOSE = r"close[ -]?up(?: (?:photo|picture|view|shot))?"
_OPENING = re.compile(rf"^(?:there (?:is|are) |(?:an? )?(?:{_CLOSE}|photo|picture|image|view) of )+")


class Captioner(Protocol):
    """Says what pictures show."""

    @property
    def sha256(self) -> str:
        """Hash of all that decides what it says."""

    def describe(self, images: Sequence[Image.Image]) -> list[str | None]:
        """A plain phrase for each RGB picture, such as "a mushroom on a tree stump"; None where it says nothing."""


def find_captioner(name: str) -> Captioner:
    """A captioner by its name; one of the hub's is fetched.

    Args:
        name: A card's name, a folder that `save_pretrained` wrote (model and processor), or a hub id.

    Raises:
        InputError: It is none of these, the hub did not give it, or its folder holds no captioner.
    """
    if Path(name).is_dir():
        return TransformersCaptioner(Path(name))
    card = find_card(name, role="captioner")
    hub_id = card.hub_id if card is not None else name
    if not hub_id or hub_id.count("/") != 1:
        known = ", ".join(one.name for one in cards_of("captioner"))
        raise InputError(
            f"captioner {name!r} is not a folder, not a card ({known}) and not a hub id such as owner/name. Give one "
            "of these, or leave captions.captioner empty for none."
        )
    return TransformersCaptioner(_fetch(hub_id, card.revision if card else None))


def licences_of(name: str) -> list[str]:
    """The licence of a captioner that has a card; another brings none that we know."""
    card = find_card(name, role="captioner") if name else None
    return [card.licence] if card else []


def _fetch(hub_id: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(hub_id, revision=revision, allow_patterns=_HUB_PATTERNS))
    except (OSError, ValueError) as error:
        raise InputError(
            f"captioner {hub_id!r} could not be fetched from the hub: {error}. Check the id and the network, give a "
            "folder that holds its files, or leave captions.captioner empty for none."
        ) from error


class TransformersCaptioner:
    """A model of the `transformers` library that turns a picture into text.

    Args:
        folder: Where its config, weights (safetensors) and processor lie.
    """

    def __init__(self, folder: Path):
        self._folder = folder

    @cached_property
    def sha256(self) -> str:
        """`hash_folder` over its files."""
        return hash_folder(self._folder)

    def describe(self, images: Sequence[Image.Image]) -> list[str | None]:
        """Greedy search: the same picture gets the same phrase."""
        import torch

        processor, model = self._loaded
        pixels = processor(images=[image.convert("RGB") for image in images], return_tensors="pt")
        with torch.no_grad():
            ids = model.generate(
                pixel_values=pixels["pixel_values"].to(model.device),
                max_new_tokens=_MOST_TOKENS,
                do_sample=False,
                num_beams=1,
            )
        return [clean_phrase(text) for text in processor.batch_decode(ids, skip_special_tokens=True)]

    @cached_property
    def _loaded(self) -> tuple[Any, Any]:
        """The processor and the model, on the best device there is."""
        import transformers

        given: dict[str, Any] = {"local_files_only": True}
        try:
            processor = transformers.AutoProcessor.from_pretrained(self._folder, **given)
            model = transformers.AutoModelForImageTextToText.from_pretrained(
                self._folder, use_safetensors=True, **given
            )
        except (OSError, ValueError) as error:
            raise InputError(
                f"{self._folder} holds no captioner that can be read: {error}. Expected what save_pretrained wrote of "
                "a model that turns pictures into text and of its processor, the weights as safetensors."
            ) from error
        return processor, model.eval().to(pick_device())


def clean_phrase(text: str) -> str | None:
    """What a captioner says without "a close up of", in plain words; None where nothing or far too much is left."""
    words = " ".join(re.sub(r"[^A-Za-z' -]", " ", text).lower().split())
    phrase = _OPENING.sub("", words).strip()
    return phrase if phrase and len(phrase) <= _MOST_CHARACTERS else None
