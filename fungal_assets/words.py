"""Little words of English that captions, prompts and names all need."""

from __future__ import annotations


def article_of(words: str) -> str:
    """`"an"` before a vowel, `"a"` before the rest."""
    return "an" if words[0] in "aeiou" else "a"


def with_article(words: str) -> str:
    """The words with their article, such as `"an amber bonnet"`."""
    return f"{article_of(words)} {words}"
