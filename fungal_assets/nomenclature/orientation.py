"""From which side a picture shows a fungus, told by its feature vector.

A tuned model loses the words of view that no caption says: what is never said, the rest of the captions' manner comes
to mean (`docs/log.md`). A multinomial logistic regression on pictures that the project's own generator rendered from
every side, half of them amid clutter, gives the chance of each view, and of one at an angle, of which nothing is said.
Belongs here: reading it. Making it is `python -m fungal_assets.pocket references`.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

VIEWS_PATH = Path(__file__).with_name("views.npz")
AT_AN_ANGLE = ""
"""Stands for a view between those that have words."""


def likely_views(vectors: np.ndarray) -> list[tuple[str, float]]:
    """The likeliest view of each picture, and its chance.

    Args:
        vectors: Feature vectors of EfficientNet-Lite0, float, shape (n, 1280), rows of length 1.

    Returns:
        One per vector: words such as `"seen from above"`, or `AT_AN_ANGLE`, and a chance, 0 to 1.
    """
    from scipy.special import softmax

    with np.load(VIEWS_PATH, allow_pickle=False) as arrays:
        scores = vectors @ arrays["weights"].T.astype(float) + arrays["bias"]
        words = arrays["view"].tolist()
    chances = softmax(scores, axis=1)
    return [
        (words[best], float(own[best])) for best, own in zip(chances.argmax(axis=1), chances, strict=True)
    ]
