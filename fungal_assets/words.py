"""Little words of English that captions, prompts and names all need."""

from __future__ import annotations


def article_of(words: str) -> str:
    """`"an"` before a vowel, `"a"` before the rest."""
    return "an" if words[0] in "aeiou" else "a"


def with_article(words: str) -> str:
    """The words with their article, such as `"an amber bonnet"`."""
    return f"{article_of(words)} {words}"


_IRREGULAR = {"fungus": "fungi", "tooth": "teeth", "woollyfoot": "woollyfeet"}


def plural_of(words: str) -> str:
    """The words with their last one in the plural: "amber bonnet mushrooms", "bracket fungi", "moss brushes"."""
    *before, noun = words.split(" ")
    if noun in _IRREGULAR:
        plural = _IRREGULAR[noun]
    elif noun.endswith(("ch", "sh", "x", "z")):
        plural = f"{noun}es"
    elif noun.endswith("y") and noun[-2:-1] not in tuple("aeiou"):
        plural = f"{noun[:-1]}ies"
    else:
        plural = noun if noun.endswith("s") else f"{noun}s"
    return " ".join([*before, plural])
