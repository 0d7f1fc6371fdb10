"""Prompts: what the tuned model is asked for.

Species by name and main colours, subspecies (a name with one more word), mutants (words of several names recombined),
species in a habitat, and control prompts, which have nothing to do with fungi and show what was forgotten. Others like
them are rehearsed while a model is tuned; none is both, for a model that practised the questions proves nothing by
answering them. Both stand in `controls.csv`, the artist's three first; that file is edited without code. Belongs here:
the texts. Pictures of them do not.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import Any

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.nomenclature.lexicon import Lexicon, read_lexicon
from fungal_assets.nomenclature.novelty import nearest_known
from fungal_assets.nomenclature.species import Species, read_species, slug_of
from fungal_assets.nomenclature.tables import read_csv, stopwords
from fungal_assets.nomenclature.wordings import depict
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, write_atomically

CONTROLS_PATH = Path(__file__).with_name("controls.csv")
ARTISTS_CONTROLS = ("hamburger", "girl holding a basket", "flower")
USES = {"measured": "control", "rehearsed": "rehearsal"}
"""What a row of `controls.csv` is used for, and the kind of prompt that this makes it."""
VIEWS = ("front", "side", "back", "angled", "above", "below")
_TRIES = 200

Prompt = dict[str, Any]


def write_prompts(
    species: Path,
    name_lexicon: Path,
    folder: Path,
    *,
    class_noun: str,
    mutants: int,
    view_words: Mapping[str, str],
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Write `prompts.json`.

    Args:
        species: A `species` output.
        name_lexicon: A `name_lexicon` output.
        folder: Where the file goes.
        class_noun: What every species is, as in its captions; empty to say the name alone.
        mutants: How many mutants to make, 0 or more; fewer come out where the names have too few words.
        view_words: What the base model calls the views 'front', 'side', 'back', 'angled' (from halfway up), 'above'
            and 'below'; one that is left out has no word.
        seed: Decides the words of subspecies, mutants and contexts.
        tell: Progress.

    Raises:
        InputError: `view_words` names a view that there is not.
    """
    unknown = sorted(set(view_words) - set(VIEWS))
    if unknown:
        raise InputError(f"view_words names {unknown!r}; the views are {', '.join(VIEWS)}.")
    kinds, lexicon, rng = read_species(species), read_lexicon(name_lexicon), Random(seed)
    prompts = [
        *(_prompt("species", one.common_name, one, class_noun) for one in kinds),
        *_subspecies(kinds, lexicon, class_noun, rng),
        *_mutants(kinds, lexicon, mutants, class_noun, rng),
        *_contexts(kinds, class_noun, rng),
        *read_controls(CONTROLS_PATH),
    ]
    document = {"prompts": prompts, "view_words": dict(view_words), "negative_prompt": ""}
    write_atomically(folder / "prompts.json", json.dumps(document, indent=1))
    tell(f"prompts: {len(prompts)}")
    counts = {
        kind: sum(one["kind"] == kind for one in prompts) for kind in ("species", "subspecies", "mutant")
    }
    return {"prompts": len(prompts), "controls": sum(one["kind"] == "control" for one in prompts), **counts}


def read_controls(path: Path) -> list[Prompt]:
    """Prompts of the kinds control and rehearsal, of a CSV with the columns text, expected, group and use.

    Raises:
        InputError: Rows lack a value, say a text twice or have an unknown use; each is named by its line.
    """
    rows = read_csv(path, ("text", "expected", "group", "use"))
    faults = [
        f"line {line}: {name} is empty"
        for line, row in rows
        for name in ("text", "expected", "group")
        if not row[name]
    ]
    texts = [row["text"] for _, row in rows]
    faults += [
        f"line {line}: {row['text']!r} is there twice" for line, row in rows if texts.count(row["text"]) > 1
    ]
    faults += [
        f"line {line}: use {row['use']!r} is none of {', '.join(USES)}"
        for line, row in rows
        if row["use"] not in USES
    ]
    if faults:
        raise InputError(f"{path} has {len(faults)} faults: {'; '.join(faults)}. Mend those lines.")
    return [_control(**row) for _, row in rows]


def _control(*, text: str, expected: str, group: str, use: str) -> Prompt:
    kind = USES[use]
    named = {"prompt_id": f"{kind}-{slug_of(text)}", "kind": kind, "species_id": None}
    return named | {"text": text, "expected": expected, "group": group}


def _prompt(kind: str, words: str, species: Species | None, class_noun: str, *, place: str = "") -> Prompt:
    colours = " and ".join(species.colour_names) if species else ""
    text = ", ".join(filter(None, (depict(words, class_noun), colours, place)))
    species_id = species.species_id if species else None
    return {
        "prompt_id": f"{kind}-{slug_of(f'{words} {place}')}",
        "kind": kind,
        "species_id": species_id,
        "text": text,
    }


def _subspecies(kinds: Sequence[Species], lexicon: Lexicon, class_noun: str, rng: Random) -> Iterator[Prompt]:
    """Each species with one more word in front, such as `dwarf amber hollow bonnet`."""
    qualities = [
        word.word for word in lexicon.of_part("quality") if not word.colours and word.word not in stopwords()
    ]
    for one in kinds:
        fresh = [word for word in qualities if word not in one.common_name.split()]
        yield _prompt("subspecies", f"{rng.choice(fresh)} {one.common_name}", one, class_noun)


def _mutants(
    kinds: Sequence[Species], lexicon: Lexicon, count: int, class_noun: str, rng: Random
) -> Iterator[Prompt]:
    """New names out of the describing words and head nouns of two or three species."""
    taken = [name.common_name for name in lexicon.names] + [one.common_name for one in kinds]
    made: list[str] = []
    for _ in range(_TRIES * count if len(kinds) > 1 else 0):
        if len(made) == count:
            break
        first, last = rng.sample(range(len(kinds)), 2)
        middle = rng.randrange(len(kinds))
        words = [kinds[first].common_name.split()[0], *kinds[middle].common_name.split()[1:-1]]
        name = " ".join([*words, kinds[last].common_name.split()[-1]])
        if len(set(name.split())) == len(name.split()) and not nearest_known(name, [*taken, *made]):
            made.append(name)
            yield _prompt("mutant", name, None, class_noun)


def _contexts(kinds: Sequence[Species], class_noun: str, rng: Random) -> Iterator[Prompt]:
    """Each species in one habitat, the habitats dealt out in turn."""
    places = list(HABITAT_WORDS.values())
    rng.shuffle(places)
    for index, one in enumerate(kinds):
        yield _prompt("context", one.common_name, one, class_noun, place=places[index % len(places)])
