"""Forms as a session breeds them: descended from ancestors, shown turning, saved as `keeping` says.

Belongs here: what `breeding` asks of forms. Heavy libraries: import them inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.ancestors.breeding import FORM_NOTES, Beginning
from fungal_assets.ancestors.genomes import Stock, form_stock

if TYPE_CHECKING:
    import neat

    from fungal_assets.ancestors.fields import Field
    from fungal_assets.ancestors.keeping import Descendant

_SIZE, _FRAMES, _FRAME_PX, _FRAMES_PER_S = 36, 12, 144, 8
_SAVED_SIZE, _MAX_FACES = 64, 12_000
_LEAST_CELLS = 60


class BredForms:
    """A `breeding.Subject`.

    Args:
        folder: Of the session.
        ancestors: `name` and `path` of each, as `save_ancestor` gave it.
    """

    noun, notes_name = "creature", FORM_NOTES

    def __init__(self, folder: Path, ancestors: Sequence[Mapping[str, str]]):
        self._folder, self._ancestors = folder, ancestors
        self.title = " × ".join(one["name"] for one in ancestors)
        self.name = " and ".join(one["name"] for one in ancestors)

    @property
    def stock(self) -> Stock:
        """Of forms with these ancestors."""
        return form_stock(len(self._ancestors))

    @cached_property
    def fields(self) -> list[Field]:
        """Of the ancestors."""
        from fungal_assets.ancestors.keeping import load_ancestor

        return [load_ancestor(self._folder / one["path"]) for one in self._ancestors]

    def begin(self, seed: int) -> Beginning:
        """The ancestors themselves, and their means and unions."""
        founders = len(self.stock.founders)
        first = Beginning.of_first(self.stock, max(founders, 2), seed)
        return replace(first, descents=first.descents[:founders])

    def select(
        self, founders: Sequence[neat.DefaultGenome], brood: Sequence[neat.DefaultGenome], count: int
    ) -> tuple[list[int], list[str]]:
        """Numbers of the children to show, alive and unlike each other, and the words for all that is shown."""
        import numpy as np

        from fungal_assets.ancestors.describing import describe_form
        from fungal_assets.ancestors.expression import express
        from fungal_assets.ancestors.fitness import matter_of
        from fungal_assets.ancestors.living import Kin, measure_viability
        from fungal_assets.ancestors.novelty import choose_apart, describe

        grown = express([*founders, *brood], self.fields, _SIZE)
        kin = Kin.of(matter_of(self.fields, _SIZE))
        viability, _, pieces = measure_viability(grown.density > 0, kin)
        alive = np.array([one.wholeness * one.air * one.volume * one.texture for one in viability])
        alive = np.maximum(alive, 1e-3 * (pieces.flatten(1).sum(1).numpy() > _LEAST_CELLS))[len(founders) :]
        chosen = choose_apart(describe(pieces, grown.colour)[len(founders) :], alive, count)
        shown = [*range(len(founders)), *(index + len(founders) for index in chosen)]
        return chosen, [describe_form(pieces[index].numpy(), grown.colour[index]) for index in shown]

    def show(self, genome: neat.DefaultGenome, path: Path) -> None:
        """Write a creature turning, as an animated WebP."""
        from fungal_assets.ancestors.expression import grow_form
        from fungal_assets.forms.lighting import shine
        from fungal_assets.forms.shooting import turn
        from fungal_assets.forms.video import write_preview

        volume = shine(grow_form(genome, self.fields, _SIZE))
        frames = list(turn(volume, _FRAMES, _FRAME_PX, _FRAME_PX, finer=1))
        write_preview(path, frames, frames_per_s=_FRAMES_PER_S, side_px=_FRAME_PX)

    def keep(self, folder: Path, descendant: Descendant, notes: Mapping[str, Any]) -> None:
        """Keep a creature as a form."""
        from fungal_assets.ancestors.keeping import keep_form

        paths = [one["path"] for one in self._ancestors]
        keep_form(folder, descendant, self.fields, paths, notes, grid_size=_SAVED_SIZE, max_faces=_MAX_FACES)
