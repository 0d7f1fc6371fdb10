"""How a picture of the world is worded, with words left out at random.

The artist's control prompts are bare words ("hamburger"). A bare word means one kind of picture: the house style on a
plain ground, white or the first colour that shows the thing. Half of those pictures have bare captions; another style
is always named, and so is another ground. So a small model need not guess which of five drawings a bare word asks for,
and what it would guess is no blend of them.
Belongs here: the wording. What is drawn does not.
"""

from __future__ import annotations

import numpy as np

from fungal_assets.pocket.world.concepts import Concept
from fungal_assets.words import article_of, with_article

HOUSE_STYLE = "noto"
_BARE = 0.5
_SYNONYM = 0.2
_HOUSE_STYLE_SAID = 0.4
_PLAIN_BACKGROUND_SAID = 0.3
_MEDIA = ("a drawing of", "a drawing of", "a picture of", "an illustration of")


def caption_picture(
    concept: Concept,
    style: str,
    background: str,
    rng: np.random.Generator,
    *,
    plain_background: str = "white",
) -> str:
    """Word one picture.

    Args:
        concept: What is in it.
        style: The art style's word.
        background: The background's colour word.
        rng: Decides what is left out; the same state gives the same caption.
        plain_background: The background that need not be named.

    Returns:
        Anything from `"hamburger"` to `"a drawing of a hamburger, noto style, on a white background"`.
    """
    is_bare, has_article, medium, drops = rng.random(), rng.random(), rng.integers(len(_MEDIA)), rng.random(2)
    name, article = _name(concept, rng)
    thing = f"{article} {name}".lstrip()
    is_plain = is_bare < _BARE
    parts = [(thing if has_article < 0.5 else name) if is_plain else f"{_MEDIA[medium]} {thing}"]
    says_house_style = not is_plain and drops[0] < _HOUSE_STYLE_SAID
    says_plain_background = not is_plain and drops[1] < _PLAIN_BACKGROUND_SAID
    parts += [f"{style} style"] if style != HOUSE_STYLE or says_house_style else []
    if background != plain_background or says_plain_background:
        parts += [f"on {with_article(background)} background"]
    return ", ".join(parts)


def plain_caption(concept: Concept) -> str:
    """The caption that a held-out picture is scored with, such as `"a drawing of a hamburger"`."""
    return f"a drawing of {concept.phrase}"


def _name(concept: Concept, rng: np.random.Generator) -> tuple[str, str]:
    """The concept's name or one of its synonyms, and the article for it."""
    if not concept.synonyms or rng.random() >= _SYNONYM:
        return concept.name, concept.article
    name = concept.synonyms[rng.integers(len(concept.synonyms))]
    return name, article_of(name) if concept.article in ("a", "an") else concept.article
