"""What the pocket judge sees in forms: whether it still calls them fungi, and how well they fit words.

The judge reads (`pocket.contrasting`): it is asked which of all things that it knows a view shows, the sixteen fungi
among them. A form is called a fungus in so many of its views, taken all round on the plain grey ground of
`forms.recognition`. It had no part in growing a form unless `fitness` is `words`.
Belongs here: views of forms and that question. Heavy libraries: import this module inside functions only.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from itertools import islice

import numpy as np
from PIL import Image

from fungal_assets.forms.lighting import shine
from fungal_assets.forms.recognition import GROUND
from fungal_assets.forms.shooting import turn
from fungal_assets.forms.volume import Volume
from fungal_assets.words import with_article

VIEWS, VIEW_PX = 4, 128
_ELEVATION_DEG = 15.0


def photograph(
    volume: Volume, *, views: int = VIEWS, first: int = VIEWS, size_px: int = VIEW_PX, finer: int = 1
) -> list[Image.Image]:
    """The first of some views all round a form, lit, on a plain grey ground."""
    shown = turn(
        shine(volume), views, size_px, size_px, elevation_deg=_ELEVATION_DEG, finer=finer, ground=GROUND
    )
    return [Image.fromarray(picture) for picture in islice(shown, first)]


class FungusJudge:
    """The pocket judge, asked about fungi."""

    def __init__(self) -> None:
        from fungal_assets.pocket import JUDGE_DIR
        from fungal_assets.pocket.contrasting import ClipJudge

        self._judge = ClipJudge.load(JUDGE_DIR / "clip")

    @cached_property
    def names(self) -> list[str]:
        """All that it may call a thing, the fungi first."""
        from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE
        from fungal_assets.pocket.world import WORLD_CONCEPTS

        fungi = [with_article(kind.words[0]) for kind in MORPHOTYPE_TABLE.values()]
        return fungi + [concept.phrase for concept in WORLD_CONCEPTS if concept.phrase not in fungi]

    @property
    def fungi(self) -> int:
        """How many of the names are fungi's."""
        from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE

        return len(MORPHOTYPE_TABLE)

    @cached_property
    def _embedded(self) -> np.ndarray:
        return self._judge.embed_names(self.names).numpy()

    def liken(self, images: Sequence[Image.Image]) -> np.ndarray:
        """How like each name each picture is to it: float32, shape (n, names), cosines."""
        return self._judge.embed_images(images).numpy() @ self._embedded.T

    def call(self, images: Sequence[Image.Image]) -> list[str]:
        """What each picture shows, of all that it knows."""
        return [self.names[number] for number in self.liken(images).argmax(1)]

    def is_fungus(self, images: Sequence[Image.Image]) -> np.ndarray:
        """Whether each picture is called a fungus: bool, shape (n,)."""
        return np.array([self.is_name_of_fungus(name) for name in self.call(images)])

    def is_name_of_fungus(self, name: str) -> bool:
        """Whether a name that the judge gave is a fungus's."""
        return name in self.names[: self.fungi]

    def fit(self, images: Sequence[Image.Image], words: str) -> np.ndarray:
        """How well pictures fit words, against all other things: float, shape (n,), 0 to 1, 0.5 as well as the best."""
        own = self._judge.embed_texts([words]).numpy()[0]
        seen = self._judge.embed_images(images).numpy()
        others = (seen @ self._embedded[self.fungi :].T).max(1)
        return 1 / (1 + np.exp(-12 * (seen @ own - others)))
