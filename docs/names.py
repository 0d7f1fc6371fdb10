"""Invented names without a growth: `python docs/names.py` draws the table of names.md beside it.

Traits are drawn by chance in place of measured ones; the naming is that of the asset `species`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random

from fungal_assets.nomenclature.colours import COLOUR_TERMS
from fungal_assets.nomenclature.grammar import coin_common_name
from fungal_assets.nomenclature.latin import coin_binomial
from fungal_assets.nomenclature.lexicon import Lexicon, tag_words
from fungal_assets.nomenclature.species import RealNames
from fungal_assets.nomenclature.tables import shipped_names

PAGE = Path(__file__).with_name("names.md")
SHOWN, SEED = 20, 7
MARKS = ("<!-- drawn by docs/names.py -->", "<!-- to here -->")


@dataclass(frozen=True)
class Drawn:
    """One species that was drawn."""

    morphotype: str
    colours: tuple[str, ...]
    common_name: str
    scientific_name: str


@dataclass(frozen=True)
class Namer:
    """What all growths draw from."""

    lexicon: Lexicon
    real: RealNames

    @classmethod
    def shipped(cls) -> Namer:
        """Of the shipped tables."""
        names = shipped_names()
        lexicon = Lexicon(tag_words(names), names)
        return cls(lexicon, RealNames.of(lexicon))

    def draw_growth(self, seed: int, count: int) -> Iterator[Drawn]:
        """A growth of so many species, of chance forms and up to two chance colours."""
        forms = sorted({form for word in self.lexicon.words.values() for form in word.morphotypes})
        common: list[str] = []
        scientific: list[str] = []
        for index in range(count):
            rng = Random(f"{seed}:{index}")
            form, colours = rng.choice(forms), tuple(rng.sample(COLOUR_TERMS, rng.choice((0, 1, 1, 2))))
            common.append(
                coin_common_name(
                    rng,
                    self.lexicon,
                    fitting_colours=colours,
                    morphotype=form,
                    used_names=common,
                    known=self.real.common,
                )
            )
            scientific.append(
                coin_binomial(rng, measured_colours=colours, genera=self.real.genera, used=scientific)
            )
            yield Drawn(form, colours, common[-1], scientific[-1])


def write_page(page: str) -> str:
    """The page with the table between its marks drawn anew."""
    rows = ["| Form | Colours | Common name | Binomial |", "|---|---|---|---|"]
    rows += [
        f"| {one.morphotype.replace('_', ' ')} | {', '.join(one.colours) or 'many'} | {one.common_name} "
        f"| *{one.scientific_name}* |"
        for one in Namer.shipped().draw_growth(SEED, SHOWN)
    ]
    before, rest = page.split(MARKS[0])
    return "\n".join([before + MARKS[0], "", *rows, "", MARKS[1] + rest.split(MARKS[1])[1]])


if __name__ == "__main__":
    PAGE.write_text(write_page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
