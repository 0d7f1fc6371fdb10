"""The stage `cppn_pictures`: generations of pictures bred, and of each goal the best that differ drawn large and kept.

    pictures.json    the pictures that are kept, as their own notes say, and where the counters of genes stand
    lineage.json     everyone that ever lived: key, generation, parents, mutations, fitness, measures
    pictures.webp    the pictures
    lineage.webp     the way of each, from its first genome on
    <slug>/...       as `picture_keeping` says

What was bred by a person and saved (`breeding`) is kept beside them. Belongs here: the order of the work. Heavy
libraries: import this module inside functions only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from fungal_assets.ancestors.evolution import Generation, descend, evolve, list_everyone
from fungal_assets.ancestors.genomes import from_json, to_json
from fungal_assets.ancestors.judging import VIEW_PX, FungusJudge
from fungal_assets.ancestors.keeping import Descendant, adopt, read_genome
from fungal_assets.ancestors.novelty import choose_apart
from fungal_assets.ancestors.picture_drawing import ask, draw, picture_stock, place_points, sense
from fungal_assets.ancestors.picture_fitness import SIZE_PX, PictureFitness, describe, name_goal
from fungal_assets.ancestors.picture_keeping import LIST_NAME, NOTES_NAME, PICTURE_NAME, keep_picture
from fungal_assets.ancestors.picture_targets import read_target
from fungal_assets.ancestors.picturing import TILE_PX, draw_lineage
from fungal_assets.errors import InputError
from fungal_assets.previews import contact_sheet, save_sheet
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, write_atomically

_LEAST_SHARE, _CLOSENESS = 0.8, 3
_SHEET_PX = 192


class _Chosen(NamedTuple):
    """A genome to keep, what it was bred for ("" of novelty), and how near it comes to that."""

    key: int
    goal: str
    likeness: float


def evolve_pictures(
    forms_3d: Path | None,
    saved: Sequence[Path],
    folder: Path,
    *,
    fitness: str,
    targets: Sequence[str],
    words: Sequence[str],
    population: int,
    generations: int,
    pictures: int,
    size_px: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Evolve pictures from chance, or go on where a killed run stopped.

    Args:
        forms_3d: The complete output `forms_3d`, where there is one.
        saved: Folders of pictures that a person bred and saved.
        folder: Filled as the module says.
        fitness: `target`, `words` or `novelty`.
        targets: Addresses of what `target` breeds for, as `picture_targets` reads them.
        words: What `words` breeds for, such as "a morel mushroom".
        population: Genomes of a generation.
        generations: To breed.
        pictures: How many are kept.
        size_px: Side of those.
        seed: Of all chance.
        tell: Told of progress.

    Raises:
        InputError: A target is not found or shows no subject, a setting lacks another one, or nothing is to be seen.
    """
    if fitness == "words" and not words:
        raise InputError(
            "fitness is 'words', but there are no words; set cppn_pictures.words, to [\"a morel mushroom\"] say."
        )
    found = [read_target(one, forms_3d, SIZE_PX) for one in targets] if fitness == "target" else []
    judge = FungusJudge()
    score = PictureFitness(fitness, judge, found, words)
    history = evolve(
        picture_stock(),
        score,
        folder / ".evolution",
        population=population,
        generations=generations,
        seed=seed,
        tell=tell,
    )
    chosen = _choose(history, score.goals, pictures)
    kept = [_keep(folder, history, one, judge, size_px) for one in chosen]
    bred = [adopt(path, folder, NOTES_NAME) for path in saved]
    counters = history[-1].counters
    write_atomically(
        folder / LIST_NAME, json.dumps({"pictures": kept + bred, "counters": counters}, indent=1)
    )
    write_atomically(folder / "lineage.json", json.dumps({"genomes": list_everyone(history)}))
    _draw_sheets(folder, kept, kept + bred)
    return {
        "pictures": len(kept) + len(bred),
        "bred_by_a_person": len(bred),
        "goals": len(score.goals),
        "generations": generations,
        "likeness": round(float(np.mean([one.likeness for one in chosen])), 4),
        "called_fungi": round(float(np.mean([one["is_called_fungus"] for one in kept])), 4),
    }


def _choose(history: Sequence[Generation], goals: Sequence[str], count: int) -> list[_Chosen]:
    """The pictures to keep: of each goal in turn those that came nearest to it and are unlike each other.

    Without a goal, those of the later half of the generations that are furthest from each other. The first generation,
    which is chance, is never chosen from.
    """
    genomes = {key: one for each in history[1:] for key, one in each.genomes.items()}
    measures = {key: one for each in history[1:] for key, one in each.measures.items()}
    late = {key for each in history[max(1, len(history) // 2) :] for key in each.genomes}
    chosen: list[_Chosen] = []
    for number, goal in enumerate(goals or [""]):
        worth = {
            key: one["presence"] * (one[name_goal(goal)] if goal else key in late)
            for key, one in measures.items()
            if key not in {each.key for each in chosen}
        }
        least = _LEAST_SHARE * max(worth.values()) if goal else 0.0
        best = [key for key in sorted(worth) if worth[key] >= least]
        drawn = ask([genomes[key] for key in best], sense(place_points(SIZE_PX)))
        wanted = count // len(goals or [""]) + (number < count % len(goals or [""]))
        closeness = np.array([worth[key] for key in best]) ** _CLOSENESS
        for place in choose_apart(describe(drawn), closeness, wanted):
            chosen.append(_Chosen(best[place], goal, round(float(worth[best[place]]), 5)))
    if not chosen:
        raise InputError(
            "none of the pictures shows anything. Evolve with another seed, more generations or a larger population."
        )
    return chosen


def _keep(
    folder: Path, history: Sequence[Generation], chosen: _Chosen, judge: FungusJudge, size_px: int
) -> dict[str, Any]:
    descent = descend(history, chosen.key)
    genome, lineage = descent[-1]
    called = judge.call([draw(genome, VIEW_PX)])[0]
    notes: dict[str, Any] = {
        "slug": f"picture-{chosen.key:05d}",
        "common_name": f"{chosen.goal} {chosen.key}".strip(),
        "key": chosen.key,
        "generation": lineage.generation,
        "parents": list(lineage.parents),
        "bred_by": "evolution",
        "goal": chosen.goal,
        "likeness": chosen.likeness,
        "called": called,
        "is_called_fungus": judge.is_name_of_fungus(called),
    }
    descendant = Descendant(genome, lineage, [to_json(*each) for each in descent])
    return keep_picture(folder / notes["slug"], descendant, notes, size_px=size_px)


def _draw_sheets(folder: Path, kept: Sequence[Mapping[str, Any]], shown: Sequence[Mapping[str, Any]]) -> None:
    tiles = [Image.open(folder / one["slug"] / PICTURE_NAME) for one in shown]
    labels = [f"{one['common_name']}\ngeneration {one['generation']}" for one in shown]
    sheet = contact_sheet(tiles, columns=min(6, len(tiles)), labels=labels, tile_px=_SHEET_PX)
    save_sheet(sheet, folder / "pictures.webp")
    lines = [
        (one["common_name"], read_genome(folder / one["slug"] / "genome.json")[0].descent) for one in kept
    ]
    save_sheet(
        draw_lineage(lines, lambda genome: draw(from_json(genome)[0], TILE_PX)), folder / "lineage.webp"
    )
