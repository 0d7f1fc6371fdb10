"""Pictures as a session breeds them: descended from evolved ones, or from chance, saved as `picture_keeping` says.

That a person goes on with what others have bred is Picbreeder's branching (J. Secretan and others, 2008). Belongs here:
what `breeding` asks of pictures. Heavy libraries: import them inside functions only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.ancestors.breeding import GRID, PICTURE_NOTES, Beginning

if TYPE_CHECKING:
    import neat

    from fungal_assets.ancestors.genomes import Stock
    from fungal_assets.ancestors.keeping import Descendant

_SHOWN_PX, _SAVED_PX = 144, 512


class BredPictures:
    """A `breeding.Subject`.

    Args:
        begun: What `read_beginning` gave.
    """

    noun, title, name, notes_name = "picture", "pictures", "picture", PICTURE_NOTES

    def __init__(self, begun: Mapping[str, Any]):
        self._begun = begun

    @property
    def stock(self) -> Stock:
        """Of pictures."""
        from fungal_assets.ancestors.picture_drawing import picture_stock

        return picture_stock()

    def begin(self, seed: int) -> Beginning:
        """The evolved pictures, or some by chance."""
        if self._begun:
            return Beginning(self._begun["descents"], self._begun["counters"])
        return Beginning.of_first(self.stock, GRID, seed)

    def select(
        self, founders: Sequence[neat.DefaultGenome], brood: Sequence[neat.DefaultGenome], count: int
    ) -> tuple[list[int], list[str]]:
        """Numbers of the children to show, unlike each other, and the words for all that is shown."""
        from fungal_assets.ancestors.describing import describe_picture
        from fungal_assets.ancestors.novelty import choose_apart
        from fungal_assets.ancestors.picture_drawing import ask, place_points, sense
        from fungal_assets.ancestors.picture_fitness import SIZE_PX, describe, measure_presence

        drawn = ask([*founders, *brood], sense(place_points(SIZE_PX)))
        worth = 0.3 + 0.7 * measure_presence(drawn)[len(founders) :]
        chosen = choose_apart(describe(drawn)[len(founders) :], worth, count)
        shown = [*range(len(founders)), *(index + len(founders) for index in chosen)]
        return chosen, [describe_picture(drawn.rgb[index], drawn.figure[index]) for index in shown]

    def show(self, genome: neat.DefaultGenome, path: Path) -> None:
        """Write a picture as WebP."""
        from fungal_assets.ancestors.picture_drawing import draw

        draw(genome, _SHOWN_PX).save(path, "WEBP", quality=85)

    def keep(self, folder: Path, descendant: Descendant, notes: Mapping[str, Any]) -> None:
        """Keep a picture."""
        from fungal_assets.ancestors.picture_keeping import keep_picture

        keep_picture(folder, descendant, notes, size_px=_SAVED_PX)


def read_beginning(cppn_pictures: Path | None) -> dict[str, Any]:
    """What pictures of a new session descend from, JSON-able: those of an output, or nothing."""
    from fungal_assets.ancestors.keeping import GENOME_NAME, read_genome, read_list
    from fungal_assets.ancestors.picture_keeping import LIST_NAME

    if cppn_pictures is None:
        return {}
    kept = read_list(cppn_pictures / LIST_NAME)
    evolved = [one["slug"] for one in kept["pictures"] if one["bred_by"] == "evolution"]
    descents = [read_genome(cppn_pictures / slug / GENOME_NAME)[0].descent for slug in evolved]
    return {"descents": [list(descent) for descent in descents], "counters": kept["counters"]}
