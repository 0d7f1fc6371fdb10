"""Caption truth: what is said of the shipped specimens agrees with their hidden traits, and enough is said.

The traits are those that the specimens were rendered by; `frame_share` is what the renderer covered.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator

import pytest
from PIL import Image

from fungal_assets.morphology.efficientnet import EfficientNetLite0
from fungal_assets.nomenclature.attributes import measure
from fungal_assets.nomenclature.counting import LEAST_GROUP
from fungal_assets.nomenclature.habitats import HABITAT_WORDS
from fungal_assets.nomenclature.hints import hint_at
from fungal_assets.pocket import SPECIMENS_DIR

LEAST_AGREEMENT = 0.85
LARGE_SHARE, SMALL_SHARE = 0.2, 0.1


def true_colours(traits):
    warts = {"white"} if traits["spots"] else set()
    return {traits["cap_color"], traits["stem_color"], traits["gill_color"]} | warts


def true_sizes(traits):
    share = float(traits["frame_share"])
    sizes = {traits["closeness"]} | ({"large"} if share >= LARGE_SHARE else set())
    return (sizes | ({"small"} if share <= SMALL_SHARE else set())) - {""}


def true_counts(traits):
    return {"a group"} if int(traits["count"]) >= LEAST_GROUP else set()


TRUTH = {
    "colour": (lambda found: found.colour_names, true_colours, 1.0),
    "habitat": (lambda found: [found.habitat], lambda traits: {HABITAT_WORDS[traits["habitat"]]}, 0.8),
    "size": (lambda found: [found.size_in_frame, found.closeness], true_sizes, 0.4),
    "count": (lambda found: [found.count], true_counts, 0.35),
}
"""By kind of word: what is said, what is true, and of which share of the specimens with such a word it must be said."""


@pytest.fixture(scope="module")
def specimens():
    """Traits and measured attributes of every specimen."""
    with SPECIMENS_DIR.with_name("specimen_traits.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    images = [Image.open(SPECIMENS_DIR / row["file_name"]).convert("RGB") for row in rows]
    eye = EfficientNetLite0()
    vectors = [eye.embed(images[start : start + 16]) for start in range(0, len(images), 16)]
    hints = [hint for some in vectors for hint in hint_at(some)]
    found = [measure(image, hint=hint) for image, hint in zip(images, hints, strict=True)]
    return list(zip(rows, found, strict=True))


def judge(specimens, kind) -> Iterator[tuple[list[str], set[str]]]:
    """What is said of each specimen and what is true."""
    say, tell, _ = TRUTH[kind]
    for traits, found in specimens:
        yield [word for word in say(found) if word], tell(traits)


@pytest.mark.parametrize("kind", TRUTH)
def test_the_words_agree_with_the_known_traits(specimens, kind):
    verdicts = [word in true for said, true in judge(specimens, kind) for word in said]
    agreement = sum(verdicts) / len(verdicts)
    print(f"{kind}: {sum(verdicts)} of {len(verdicts)} words are true ({agreement:.3f})")
    assert agreement >= LEAST_AGREEMENT


@pytest.mark.parametrize("kind", TRUTH)
def test_silence_does_not_pass_for_truth(specimens, kind):
    sayable = [said for said, true in judge(specimens, kind) if true]
    coverage = sum(bool(said) for said in sayable) / len(sayable)
    print(f"{kind}: said of {sum(map(bool, sayable))} of {len(sayable)} specimens ({coverage:.3f})")
    assert coverage >= TRUTH[kind][2]


def test_the_colour_of_the_cap_is_among_the_colours(specimens):
    told = [traits["cap_color"] in found.colour_names for traits, found in specimens]
    print(f"cap: {sum(told)} of {len(told)} ({sum(told) / len(told):.3f})")
    assert sum(told) / len(told) >= LEAST_AGREEMENT


def test_a_word_that_is_drawn_by_chance_would_not_pass(specimens):
    """The words of one specimen, held against the traits of another."""
    for kind in TRUTH:
        say, tell, _ = TRUTH[kind]
        pairs = zip(specimens, [*specimens[1:], specimens[0]], strict=True)
        verdicts = [word in tell(one[0]) for one, other in pairs for word in say(other[1]) if word]
        assert sum(verdicts) / len(verdicts) < LEAST_AGREEMENT, kind
