"""The stage `cppn_forms`: ancestors read and mended, generations bred, the best that differ grown whole and kept.

    ancestors.json   the ancestors: where they are from, what was mended, how well they were reproduced at generation 0
    lineage.json     everyone that ever lived: key, generation, parents, mutations, fitness, measures
    forms.json       the forms that are kept, as their own notes say
    forms.webp, lineage.webp, <slug>/..., ancestors/...    as `picturing` and `keeping` say

What was bred by a person and saved (`breeding`) is kept beside them. Belongs here: the order of the work. Heavy
libraries: import this module inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch  # noqa: TID253

from fungal_assets.ancestors.evolution import Generation, descend, evolve, list_everyone
from fungal_assets.ancestors.expression import express, grow_form
from fungal_assets.ancestors.fields import Field, measure_field
from fungal_assets.ancestors.fitness import Fitness
from fungal_assets.ancestors.genomes import form_stock, to_json
from fungal_assets.ancestors.judging import FungusJudge, photograph
from fungal_assets.ancestors.keeping import (
    LIST_NAME,
    NOTES_NAME,
    Descendant,
    adopt,
    keep_form,
    read_genome,
    save_ancestor,
)
from fungal_assets.ancestors.novelty import choose_apart, describe, variety
from fungal_assets.ancestors.origins import read_origin
from fungal_assets.ancestors.picturing import draw_forms, draw_lineage, show_stage
from fungal_assets.ancestors.reproduction import measure_faithfully
from fungal_assets.errors import InputError
from fungal_assets.forms.keeping import load_volume
from fungal_assets.previews import save_sheet
from fungal_assets.progress import Tell, follow, stay_silent
from fungal_assets.store import Figures, write_atomically

LEAST_VIABILITY = 0.5
CANDIDATES = 16
_LATE_SHARE = 0.5
_CANDIDATE_GRID, _DESCRIBED_GRID = 40, 24


class _Chosen(NamedTuple):
    """A genome to keep: its key, the share of its views that are called fungi, and what the first is called."""

    key: int
    called_fungus: float
    called: str


def evolve_forms(
    forms_3d: Path | None,
    saved: Sequence[Path],
    folder: Path,
    *,
    ancestors: Sequence[str],
    population: int,
    generations: int,
    fitness: str,
    target: str,
    words: str,
    forms: int,
    grid_size: int,
    form_grid_size: int,
    max_faces: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Evolve forms from ancestors, or go on where a killed run stopped.

    Args:
        forms_3d: The complete output `forms_3d`, where there is one.
        saved: Folders of forms that a person bred and saved.
        folder: Filled as the module says.
        ancestors: Addresses, as `origins` reads them; genomes are told of all of them, so that chimeras come.
        population: Genomes of a generation.
        generations: To breed.
        fitness: `novelty`, `target` or `words`.
        target: Address of the object to be matched by `target`.
        words: What `words` fits forms to, such as "a morel mushroom".
        forms: How many are kept.
        grid_size: Samples along a side of the grid that forms are bred on.
        form_grid_size: The same of the forms that are kept.
        max_faces: Budget of a mesh.
        seed: Of all chance.
        tell: Told of progress.

    Raises:
        InputError: An ancestor is not found or cannot be mended, a setting lacks another one, or nothing viable came.
    """
    if fitness == "target" and not target:
        raise InputError("fitness is 'target', but there is no target; set cppn_forms.target to an object.")
    if fitness == "words" and not words:
        raise InputError(
            "fitness is 'words', but there are no words; set cppn_forms.words, to 'a morel mushroom' say."
        )
    fields, notes = _read_ancestors(ancestors, forms_3d, folder, tell)
    judge = FungusJudge()
    wanted = measure_field(*read_origin(target, forms_3d)) if fitness == "target" else None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    score = Fitness(fields, fitness, grid_size, target=wanted, words=words, judge=judge, device=device)
    history = evolve(
        form_stock(len(fields)),
        score,
        folder / ".evolution",
        population=population,
        generations=generations,
        seed=seed,
        tell=tell,
    )
    paths = [note["path"] for note in notes]
    chosen, called = _choose(history, fields, judge, forms, is_free=fitness == "novelty")
    kept = [
        _keep(folder, history, one, fields, paths, form_grid_size=form_grid_size, max_faces=max_faces)
        for one in follow(chosen, tell, "growing forms", len(chosen))
    ]
    bred = [adopt(path, folder, NOTES_NAME) for path in saved]
    _write_tables(folder, history, notes, [*kept, *bred])
    _draw(folder, [*kept, *bred], kept, fields)
    return {
        "forms": len(kept) + len(bred),
        "bred_by_a_person": len(bred),
        "ancestors": len(fields),
        "generations": generations,
        "reproduced": min(note["reproduced"] for note in notes),
        "viable_share": round(_viable_share(history[-1]), 4),
        "called_fungi": round(called, 4),
        "kept_called_fungi": round(float(np.mean([form["called_fungus"] for form in kept])), 4),
        "nearest_to_ancestor": round(max(form["overlap"] for form in kept), 4),
    }


def _read_ancestors(
    addresses: Sequence[str], forms_3d: Path | None, folder: Path, tell: Tell
) -> tuple[list[Field], list[dict[str, Any]]]:
    fields, notes = [], []
    for address in addresses:
        field, reproduced = measure_faithfully(*read_origin(address, forms_3d))
        fields.append(field)
        note: dict[str, Any] = {
            "name": field.name,
            "address": address,
            "path": save_ancestor(folder, field),
            "sha256": field.sha256,
            "repairs": list(field.body.repairs),
            "faces": len(field.body.faces),
            "reproduced": round(reproduced, 5),
        }
        notes.append(note)
        mended = f", {'; '.join(note['repairs'])}" if note["repairs"] else ""
        tell(f"ancestor {field.name}: reproduced with an overlap of {note['reproduced']:.4f}{mended}")
    return fields, notes


def _choose(
    history: Sequence[Generation],
    fields: Sequence[Field],
    judge: FungusJudge,
    count: int,
    *,
    is_free: bool,
) -> tuple[list[_Chosen], float]:
    """The forms to keep, and the share of the candidates' views that the judge calls fungi.

    Candidates are the viable ones of the later half of the generations that are furthest from each other; of them those
    are kept that the judge calls fungi in most of their views. Without a goal (`is_free`) viable ones of several
    colours go before, with one those that came nearest to it, and to be viable they need be no kin of an ancestor.
    """
    late = history[int(len(history) * _LATE_SHARE) :]
    genomes = {
        key: genome
        for generation in late
        for key, genome in generation.genomes.items()
        if _could_live(generation.measures[key], is_free) and generation.lineage[key].generation > 0
    }
    if not genomes:
        raise InputError(
            f"none of the {len(late)} last generations has a viable form. Evolve with another seed, fewer generations "
            "or other ancestors."
        )
    keys = list(genomes)
    grown = express([genomes[key] for key in keys], fields, _DESCRIBED_GRID)
    described = describe(grown.density > 0, grown.colour)
    latest = {
        key: generation.measures[key] for generation in late for key in genomes if key in generation.genomes
    }
    if is_free:
        worth = np.array([latest[key]["viability"] for key in keys]) * (0.4 + 0.6 * variety(described))
    else:
        worth = np.array([genomes[key].fitness for key in keys]) ** 2
    candidates = choose_apart(described, worth, CANDIDATES)
    seen = [
        judge.call(photograph(grow_form(genomes[keys[number]], fields, _CANDIDATE_GRID)))
        for number in candidates
    ]
    shares = np.array([np.mean([judge.is_name_of_fungus(name) for name in names]) for names in seen])
    picked = choose_apart(described[candidates], worth[candidates] * (0.05 + shares), count)
    chosen = [_Chosen(keys[candidates[each]], float(shares[each]), seen[each][0]) for each in picked]
    return chosen, float(shares.mean())


def _could_live(measures: Mapping[str, float], is_free: bool) -> bool:
    share = (
        measures["viability"] if is_free else measures["wholeness"] * measures["standing"] * measures["air"]
    )
    return share >= LEAST_VIABILITY


def _keep(
    folder: Path,
    history: Sequence[Generation],
    chosen: _Chosen,
    fields: Sequence[Field],
    paths: Sequence[str],
    *,
    form_grid_size: int,
    max_faces: int,
) -> dict[str, Any]:
    key = chosen.key
    generation = next(each for each in reversed(history) if key in each.genomes)
    genome, lineage = generation.genomes[key], generation.lineage[key]
    slug = f"form-{key:05d}"
    named = _name(genome, fields)
    notes = {
        "slug": slug,
        "common_name": f"{named} {key}",
        "key": key,
        "generation": lineage.generation,
        "parents": list(lineage.parents),
        "bred_by": "evolution",
        "called_fungus": chosen.called_fungus,
        "called": chosen.called,
        **generation.measures[key],
    }
    descent = [to_json(*each) for each in descend(history, key)]
    descendant = Descendant(genome, lineage, descent)
    return keep_form(
        folder / slug, descendant, fields, paths, notes, grid_size=form_grid_size, max_faces=max_faces
    )


def _name(genome: Any, fields: Sequence[Field]) -> str:
    """The ancestors whose distance reaches the genome's density, joined by "and"."""
    from fungal_assets.ancestors.genomes import PLACES, SENSES

    links = [key for key, gene in genome.connections.items() if gene.enabled]
    needed, grew = {0}, True
    while grew:
        before = len(needed)
        needed |= {start for start, end in links if end in needed}
        grew = len(needed) > before
    names = [
        field.name
        for number, field in enumerate(fields)
        if -1 - (len(PLACES) + len(SENSES) * number) in needed
    ]
    return " and ".join(names) or "free form"


def _write_tables(
    folder: Path,
    history: Sequence[Generation],
    notes: Sequence[Mapping[str, Any]],
    forms: Sequence[Mapping[str, Any]],
) -> None:
    write_atomically(folder / "ancestors.json", json.dumps({"ancestors": list(notes)}, indent=1))
    write_atomically(folder / "lineage.json", json.dumps({"genomes": list_everyone(history)}))
    write_atomically(folder / LIST_NAME, json.dumps({"forms": list(forms)}, indent=1))


def _draw(
    folder: Path,
    forms: Sequence[Mapping[str, Any]],
    kept: Sequence[Mapping[str, Any]],
    fields: Sequence[Field],
) -> None:
    volumes = [load_volume(folder / form["slug"] / "form.npz") for form in forms]
    labels = [f"{form['common_name']}\ngeneration {form['generation']}" for form in forms]
    save_sheet(draw_forms(volumes, labels), folder / "forms.webp")
    lines = []
    for form in kept:
        descendant, _ = read_genome(folder / form["slug"] / "genome.json")
        lines.append((form["common_name"], descendant.descent))
    save_sheet(draw_lineage(lines, partial(show_stage, fields=fields)), folder / "lineage.webp")


def _viable_share(generation: Generation) -> float:
    return float(np.mean([one["viability"] >= LEAST_VIABILITY for one in generation.measures.values()]))
