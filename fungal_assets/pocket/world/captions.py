"""How a picture of the world is worded, with words left out at random.

The artist's control prompts are bare words ("hamburger"), so about a third of the captions are bare too; the
others name the drawing, mostly its style and often its background, so that the model knows these as words.
Belongs here: the wording. What is drawn does not.
"""

from __future__ import annotations

import numpy as np

from fungal_assets.pocket.world.concepts import Concept

_BARE = 0.35
_SYNONYM = 0.2
_STYLE_KEPT = 0.7
_BACKGROUND_KEPT = 0.6
_MEDIA = ("a drawing of", "a drawing of", "a picture of", "an illustration of")


def caption_picture(concept: Concept, style: str, background: str, rng: np.random.Generator) -> str:
    """Word one picture.

    Args:
        concept: What is in it.
        style: The art style's word.
        background: The background's colour word.
        rng: Decides what is left out; the same state gives the same caption.

    Returns:
        Anything from `"hamburger"` to `"a drawing of a hamburger, noto style, on a white background"`.
    """
    is_bare, has_article, medium, drops = rng.random(), rng.random(), rng.integers(len(_MEDIA)), rng.random(2)
    name, article = _name(concept, rng)
    thing = f"{article} {name}".lstrip()
    if is_bare < _BARE:
        return thing if has_article < 0.5 else name
    parts = [f"{_MEDIA[medium]} {thing}"]
    parts += [f"{style} style"] if drops[0] < _STYLE_KEPT else []
    parts += [f"on {_with_article(background)} background"] if drops[1] < _BACKGROUND_KEPT else []
    return ", ".join(parts)


def plain_caption(concept: Concept) -> str:
    """The caption that a held-out picture is scored with, such as `"a drawing of a hamburger"`."""
    return f"a drawing of {concept.article} {concept.name}".replace("  ", " ")


def _name(concept: Concept, rng: np.random.Generator) -> tuple[str, str]:
    """The concept's name or one of its synonyms, and the article for it."""
    if not concept.synonyms or rng.random() >= _SYNONYM:
        return concept.name, concept.article
    name = concept.synonyms[rng.integers(len(concept.synonyms))]
    return name, _with_article(name).split(" ")[0] if concept.article in ("a", "an") else concept.article


def _with_article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"
