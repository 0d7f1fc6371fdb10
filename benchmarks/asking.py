"""Questions that a tuned model is asked word by word, and the judge that says whether the word was heard.

Each species is asked for with a habitat, with a colour that is not its own and from a side, in the manner of what the
model was tuned on. Belongs here: the questions, and the share of right answers, to them and to bare names of things.
The models do not (`tuned`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.nomenclature.species import Species
from fungal_assets.nomenclature.wordings import depict
from fungal_assets.pocket.contrasting import ClipJudge
from fungal_assets.pocket.facts import word_fungus
from fungal_assets.pocket.fungarium import MORPHOTYPE_TABLE, views_of
from fungal_assets.pocket.fungarium.palette import COLORS
from fungal_assets.pocket.world import WORLD_CONCEPTS

NOUN = "mushroom"


@dataclass(frozen=True)
class Question:
    """One prompt, the word that it asks to see, and what the judge may answer.

    Args:
        kind: Kind of word.
        prompt: For a model that was tuned on full captions.
        name_prompt: For one that was tuned on names alone.
        base_prompt: For the base model, which has never heard the name.
        answers: Texts by word.
        right: The word asked for.
    """

    kind: str
    prompt: str
    name_prompt: str
    base_prompt: str
    answers: Mapping[str, str]
    right: str


def ask(kinds: Sequence[Species], each: int) -> list[Question]:
    """The questions about all species: `each` words of each kind, dealt out in turn."""
    asked: list[Question] = []
    for number, one in enumerate(kinds):
        form = MORPHOTYPE_TABLE[one.morphotype].words[0]
        noun = one.class_noun(NOUN)
        subject = depict(one.common_name, noun)
        places = [place for habitat, place in HABITAT_WORDS.items() if habitat not in ("log", "tree_trunk")]
        foreign = [color for color in COLORS if color not in one.colour_names]
        for turn in range(each):
            place, color, view = (
                words[(number + turn * 2) % len(words)]
                for words in (places, foreign, views_of(one.morphotype))
            )
            named = f"{color} {one.common_name}"
            asked += [
                Question(
                    "habitat",
                    f"{subject}, {place}",
                    f"{one.common_name}, {place}",
                    word_fungus(form, place=place),
                    {place: word_fungus(form, place=place) for place in places},
                    place,
                ),
                Question(
                    "colour",
                    depict(named, noun),
                    named,
                    word_fungus(form, color=color),
                    {color: word_fungus(form, color=color) for color in COLORS},
                    color,
                ),
                Question(
                    "view",
                    f"{subject}, {view}",
                    f"{one.common_name}, {view}",
                    word_fungus(form, view=view),
                    {view: word_fungus(form, view=view) for view in views_of(one.morphotype)},
                    view,
                ),
            ]
    return asked


def share_heard(
    judge: ClipJudge, pictures: Sequence[Image.Image], questions: Sequence[Question]
) -> dict[str, float]:
    """Shares of pictures, one per question, that show the word that was asked for, by kind of word."""
    rights: dict[str, list[bool]] = {}
    for vector, one in zip(judge.embed_images(pictures), questions, strict=True):
        likeness = judge.embed_texts(tuple(one.answers.values())) @ vector
        rights.setdefault(one.kind, []).append(list(one.answers)[int(likeness.argmax())] == one.right)
    return {kind: float(np.mean(values)) for kind, values in rights.items()}


def share_named(judge: ClipJudge, pictures: Sequence[Image.Image], things: Sequence[str]) -> float:
    """Share of pictures, one per thing of the world, in which the judge finds their own among all these things."""
    phrases = {concept.name: concept.phrase for concept in WORLD_CONCEPTS}
    among = list(dict.fromkeys(things))
    found = judge.name(pictures, [phrases[name] for name in among])
    return float(np.mean([among[index] == name for index, name in zip(found, things, strict=True)]))
