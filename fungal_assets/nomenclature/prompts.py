"""Prompts: what the tuned model is asked for.

Species by name, main colours and place, their forms without the place, subspecies (a name with one more word), mutants
(words of several names recombined), species in a context, and control prompts, which have nothing to do with fungi and
show what was forgotten. Others like them are rehearsed while a model is tuned; none is both, for a model that
practised the questions proves nothing by answering them. Both stand in `controls.csv`, the artist's three first and
then one of each kind in turn, since a gallery asks the first few; the sentences of the others stand in `templates.csv`;
these files are edited without code. Every prompt says what it is for.
Belongs here: the texts. Pictures of them do not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import cycle
from pathlib import Path
from random import Random
from typing import Any

from fungal_assets.errors import InputError
from fungal_assets.nomenclature.bad_lines import BadLine, keep_bad_lines, refuse_if_none_is_good
from fungal_assets.nomenclature.grammar import reads_well
from fungal_assets.nomenclature.lexicon import Lexicon, read_lexicon
from fungal_assets.nomenclature.novelty import KnownNames
from fungal_assets.nomenclature.species import Species, read_species, slug_of
from fungal_assets.nomenclature.tables import read_csv, stopwords
from fungal_assets.nomenclature.templates import (
    TEMPLATES_PATH,
    Template,
    groups_of,
    of_groups,
    of_kind,
    read_templates,
)
from fungal_assets.nomenclature.wordings import depict
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, write_atomically

CONTROLS_PATH = Path(__file__).with_name("controls.csv")
ARTISTS_CONTROLS = ("hamburger", "girl holding a basket", "flower")
USES = {"measured": "control", "rehearsed": "rehearsal"}
"""What a row of `controls.csv` is used for, and the kind of prompt that this makes it."""
PURPOSES = {
    "control": "whether the tuned model still knows things that are no fungi; never practised",
    "rehearsal": "what the base model knows, practised while the tuned one learns fungi; never measured",
    "view_words": "from which side a 3D form is asked for while it grows",
}
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
    context_groups: Sequence[str],
    templates: str,
    extra_controls: str,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Write `prompts.json`, and `bad_lines.json` with what was left out of a person's own files.

    Args:
        species: A `species` output.
        name_lexicon: A `name_lexicon` output.
        folder: Where the file goes.
        class_noun: What every species is whose form is not sure, as in its captions; empty to say the name alone.
        mutants: How many mutants to make, 0 or more; fewer come out where the names have too few words.
        view_words: What the base model calls the views 'front', 'side', 'back', 'angled' (from halfway up), 'above'
            and 'below'; one that is left out has no word.
        context_groups: Groups of the context lines that species are dealt out to; none for no contexts. Of a person's
            own templates those are used that the file has.
        templates: Path of a file of templates in place of the shipped one; empty for that.
        extra_controls: Path of a table of control prompts that come before the shipped ones, the artist's three
            aside; empty for none.
        seed: Decides the words of subspecies, mutants and contexts.
        tell: Progress.

    Raises:
        InputError: `view_words` or `context_groups` names what there is not, or a file cannot be read or has no good
            line.
    """
    _refuse_unknown_views(view_words)
    kinds, lexicon, rng = read_species(species), read_lexicon(name_lexicon), Random(seed)
    lines, contexts, bad = _read_lines(templates, context_groups, tell)
    controls, bad_controls = read_all_controls(extra_controls)
    write = _Writer(lines, class_noun)
    prompts = [
        *(write.of("species", one.common_name, one) for one in kinds),
        *(write.of("form", one.common_name, one) for one in kinds if of_kind(lines, "form")),
        *(write.of("subspecies", name, one) for name, one in _subspecies(kinds, lexicon, rng, lines)),
        *(
            write.of("mutant", name, one, is_mutant=True)
            for name, one in _mutants(kinds, lexicon, mutants, rng, lines)
        ),
        *(write.in_context(line, one) for line, one in _contexts(kinds, contexts, rng)),
        *controls,
    ]
    document = {
        "prompts": prompts,
        "purposes": PURPOSES,
        "view_words": dict(view_words),
        "negative_prompt": "",
    }
    write_atomically(folder / "prompts.json", json.dumps(document, indent=1))
    told = keep_bad_lines(folder, [*bad, *bad_controls], tell)
    tell(f"prompts: {len(prompts)}")
    counts = {
        kind: sum(one["kind"] == kind for one in prompts)
        for kind in ("species", "form", "subspecies", "mutant", "context", "rehearsal")
    }
    controls_count = sum(one["kind"] == "control" for one in prompts)
    return {"prompts": len(prompts), "controls": controls_count, **counts, **told}


def _refuse_unknown_views(view_words: Mapping[str, str]) -> None:
    unknown = sorted(set(view_words) - set(VIEWS))
    if unknown:
        raise InputError(f"view_words names {unknown!r}; the views are {', '.join(VIEWS)}.")


def _read_lines(
    templates: str, context_groups: Sequence[str], tell: Tell
) -> tuple[list[Template], list[Template], list[BadLine]]:
    """All good lines of the templates, the context lines that are used, and the bad lines.

    A person's own file need not have all groups that are asked for, for the profile asks too; what it lacks is told.
    One that has context lines of which none is asked for is refused.
    """
    lines, bad = read_templates(Path(templates) if templates else TEMPLATES_PATH)
    known = groups_of(lines)
    there = [group for group in context_groups if group in known]
    may_lack = bool(templates) and bool(there or not known)
    contexts = of_groups(lines, there if may_lack else context_groups, bad=bad)
    for group in sorted(set(context_groups) - set(known)):
        tell(f"{templates} has no context line about {group}; no prompt is of it")
    return lines, contexts, bad


def read_all_controls(extra_controls: str) -> tuple[list[Prompt], list[BadLine]]:
    """All prompts of the kinds control and rehearsal, and the bad lines of a person's own table.

    The artist's come first, then a person's own, then the other shipped ones: a gallery measures, and a training
    rehearses, the first so many.

    Raises:
        InputError: The table cannot be read or has no good line.
    """
    shipped, _ = read_controls(CONTROLS_PATH)
    if not extra_controls:
        return shipped, []
    extra, bad = read_controls(Path(extra_controls), taken=shipped)
    artists = [one for one in shipped if one["text"] in ARTISTS_CONTROLS]
    return [*artists, *extra, *(one for one in shipped if one not in artists)], bad


def read_controls(path: Path, *, taken: Sequence[Prompt] = ()) -> tuple[list[Prompt], list[BadLine]]:
    """Prompts of a CSV with the columns text, expected, group and use, and its bad lines with all that is wrong.

    Args:
        path: The table.
        taken: Prompts that are there already.

    Raises:
        InputError: The table cannot be read or has no good line.
    """
    good: list[Prompt] = []
    bad = []
    texts, ids = ({one[key].casefold() for one in taken} for key in ("text", "prompt_id"))
    for line, row in read_csv(path, ("text", "expected", "group", "use")):
        faults = [f"{name} is empty" for name in ("text", "expected", "group") if not row[name]]
        if row["text"].casefold() in texts:
            faults.append(f"{row['text']!r} is there twice")
        if row["use"] not in USES:
            faults.append(f"use {row['use']!r} is none of {', '.join(USES)}")
        if faults:
            bad.append(BadLine(path.name, line, "; ".join(faults)))
        else:
            good.append(_control(row, ids))
            texts.add(row["text"].casefold())
            ids.add(good[-1]["prompt_id"])
    refuse_if_none_is_good(path, good, bad)
    return good, bad


def _control(row: Mapping[str, str], taken_ids: Container[str]) -> Prompt:
    kind, slug = USES[row["use"]], slug_of(row["text"])
    prompt_id = f"{kind}-{slug}"
    if not slug or prompt_id in taken_ids:
        prompt_id = f"{kind}-{hashlib.sha256(row['text'].encode()).hexdigest()[:16]}"
    return {
        "prompt_id": prompt_id,
        "kind": kind,
        "species_id": None,
        "text": row["text"],
        "purpose": PURPOSES[kind],
        "expected": row["expected"],
        "group": row["group"],
    }


class _Writer:
    """Fills templates.

    Args:
        templates: The lines.
        class_noun: What every species is whose form is not sure.
    """

    def __init__(self, templates: Sequence[Template], class_noun: str):
        self._templates, self._class_noun = templates, class_noun

    def of(self, kind: str, name: str, species: Species, *, is_mutant: bool = False) -> Prompt:
        """The prompt of a kind that has one template; a mutant is what the species is, and none of its own."""
        template = of_kind(self._templates, kind)
        assert template is not None, kind
        return self._fill(template, name, species, name, is_mutant=is_mutant)

    def in_context(self, template: Template, species: Species) -> Prompt:
        """A species in a context."""
        name = species.common_name
        return self._fill(template, name, species, f"{name} {template.ending or template.group}")

    def _fill(
        self, template: Template, name: str, species: Species, told: str, *, is_mutant: bool = False
    ) -> Prompt:
        colours, place = (" and ".join(species.colour_names), species.habitat or "")
        subject = depict(name, species.class_noun(self._class_noun), opening="").strip()
        return {
            "prompt_id": f"{template.kind}-{slug_of(told)}",
            "kind": template.kind,
            "species_id": None if is_mutant else species.species_id,
            "text": template.fill(subject, *(("", "") if is_mutant else (colours, place))),
            "purpose": template.purpose,
        }


def _subspecies(
    kinds: Sequence[Species], lexicon: Lexicon, rng: Random, templates: Sequence[Template]
) -> Iterator[tuple[str, Species]]:
    """Each species with one more word in front, such as `dwarf amber hollow bonnet`."""
    qualities = [
        word.word for word in lexicon.of_part("quality") if not word.colours and word.word not in stopwords()
    ]
    for one in kinds if of_kind(templates, "subspecies") else ():
        fresh = [word for word in qualities if word not in one.common_name.split()]
        yield f"{rng.choice(fresh)} {one.common_name}", one


def _mutants(
    kinds: Sequence[Species], lexicon: Lexicon, count: int, rng: Random, templates: Sequence[Template]
) -> Iterator[tuple[str, Species]]:
    """New names out of the words of two or three species, each with the one that its head noun is of."""
    taken = KnownNames([*(name.common_name for name in lexicon.names), *(one.common_name for one in kinds)])
    made: list[str] = []
    own = KnownNames(made)
    is_asked = len(kinds) > 1 and of_kind(templates, "mutant") is not None
    for _ in range(_TRIES * count if is_asked else 0):
        if len(made) == count:
            break
        first, last = rng.sample(range(len(kinds)), 2)
        middle = rng.randrange(len(kinds))
        words = [kinds[first].common_name.split()[0], *kinds[middle].common_name.split()[1:-1]]
        name = " ".join([*words, kinds[last].common_name.split()[-1]])
        is_new = taken.nearest(name) is None and own.nearest(name) is None
        if is_new and reads_well(name.split()):
            made.append(name)
            own = KnownNames(made)
            yield name, kinds[last]


def _contexts(
    kinds: Sequence[Species], contexts: Sequence[Template], rng: Random
) -> Iterator[tuple[Template, Species]]:
    """Each species in one context, the lines dealt out in turn."""
    lines = list(contexts)
    rng.shuffle(lines)
    yield from zip(cycle(lines), kinds, strict=False)
