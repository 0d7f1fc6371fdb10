"""The model cards: what is known of each model that a setting may name, and of the judge; from `cards.yaml`.

Licences, revisions and native sizes live in that one data file and nowhere else. Finding a model's files is
in `base_models` and `morphology.extractors`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PACKAGE_DIR = Path(__file__).parent.parent
CARDS_PATH = PACKAGE_DIR / "cards.yaml"


@dataclass(frozen=True)
class Card:
    """What is known of one model.

    Args:
        name: The card's key, such as `"pocket"`.
        role: `"base"`, `"judge"` of one that paints nothing, `"lifter"` of one that makes volumes of pictures,
            `"extractor"` of one that makes feature vectors, or `"captioner"` of one that describes pictures.
        hub_id: Its repository on the Hugging Face hub, or None.
        path: Its folder inside the package, POSIX, or None.
        revision: Pinned commit of the hub repository, or None.
        licence: SPDX id or the hub's licence tag.
        family: Architecture, `"sd1"`, `"sdxl"`, `"clip"`, `"vrn"`, `"dinov2"`, `"vgg16"` or `"blip"`.
        native_px: Side of the pictures that it was trained on, or looks at, pixels.
    """

    name: str
    role: str
    hub_id: str | None
    path: str | None
    revision: str | None
    licence: str
    family: str
    native_px: int


def read_cards(path: Path = CARDS_PATH) -> dict[str, Card]:
    """All cards by name, in the file's order."""
    import yaml

    rows = yaml.safe_load(path.read_text(encoding="utf-8"))
    return {name: Card(name=name, **row) for name, row in rows.items()}


def find_card(name: str, *, role: str = "base") -> Card | None:
    """The card of that role whose name or hub id is `name`, or None."""
    return next((card for card in cards_of(role) if name in (card.name, card.hub_id)), None)


def cards_of(role: str) -> list[Card]:
    """All cards of a role, in the file's order."""
    return [card for card in read_cards().values() if card.role == role]


def licences_of(base_model: str) -> list[str]:
    """The licence of a base model that has a card; a folder or a hub id without one brings none that we know."""
    card = find_card(base_model)
    return [card.licence] if card else []
