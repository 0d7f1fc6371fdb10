"""Colour and shape of small pictures as numbers, and how much of them a clustering explains.

Belongs here: what is measured on 64 px squares to see whether clusters are mere colours or mere outlines.
Words for captions are measured elsewhere, on larger pictures.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SIDE_PX = 64
PERMUTATIONS = 20
# Basic colour terms (Berlin and Kay) as sRGB, with the shades that fungi have of them.
COLOURS = (
    ("black", (26, 23, 22)),
    ("black", (52, 48, 46)),
    ("grey", (112, 110, 106)),
    ("grey", (160, 158, 154)),
    ("white", (244, 241, 234)),
    ("white", (214, 208, 198)),
    ("red", (168, 34, 34)),
    ("red", (118, 36, 40)),
    ("orange", (224, 112, 36)),
    ("orange", (232, 152, 84)),
    ("yellow", (226, 190, 52)),
    ("yellow", (226, 208, 136)),
    ("green", (92, 132, 58)),
    ("green", (54, 76, 40)),
    ("green", (156, 178, 136)),
    ("blue", (58, 98, 172)),
    ("blue", (136, 170, 206)),
    ("purple", (112, 66, 138)),
    ("purple", (158, 132, 164)),
    ("pink", (228, 142, 156)),
    ("pink", (222, 182, 176)),
    ("brown", (112, 72, 44)),
    ("brown", (166, 122, 82)),
    ("brown", (196, 164, 126)),
    ("brown", (70, 48, 34)),
)
COLOUR_NAMES = tuple(dict.fromkeys(name for name, _ in COLOURS))


def describe_colour(pixels: np.ndarray) -> np.ndarray:
    """Root of the Lab histogram of a picture, so that distances are Hellinger distances.

    Args:
        pixels: uint8 sRGB, shape (64, 64, 3).

    Returns:
        float32, shape (256,): 4 x 8 x 8 bins of L, a, b.
    """
    lab = _to_lab(pixels).reshape(-1, 3)
    ranges = ((0, 100), (-60, 60), (-60, 60))
    clipped = np.clip(lab, [low for low, _ in ranges], [high for _, high in ranges])
    counts, _ = np.histogramdd(clipped, bins=(4, 8, 8), range=ranges)
    return np.sqrt(counts.ravel() / len(lab)).astype(np.float32)


def describe_shape(pixels: np.ndarray) -> np.ndarray:
    """Histograms of edge directions of the grey picture: float32, shape (128,), 4 x 4 cells, 8 directions."""
    from skimage.feature import hog

    grey = pixels.astype(np.float64).mean(axis=2)
    cell_px = SIDE_PX // 4
    return hog(grey, 8, (cell_px, cell_px), (4, 4), feature_vector=True).astype(np.float32)


def share_explained(descriptors: np.ndarray, labels: np.ndarray, seed: int) -> float:
    """Share of the variance of descriptors that lies between clusters, beyond what shuffled clusters explain.

    `(e - e0) / (1 - e0)` with `e` the between-cluster share and `e0` its mean over permutations: 0 is chance,
    1 means that the clusters are nothing but this trait.

    Args:
        descriptors: float, shape (n, d).
        labels: int, shape (n,).
        seed: Seed of the permutations.
    """
    rng = np.random.default_rng(seed)
    chance = float(
        np.mean([_between_share(descriptors, rng.permutation(labels)) for _ in range(PERMUTATIONS)])
    )
    return float((_between_share(descriptors, labels) - chance) / max(1.0 - chance, 1e-9))


def _between_share(descriptors: np.ndarray, labels: np.ndarray) -> float:
    centred = descriptors - descriptors.mean(axis=0, dtype=np.float64)
    total = float((centred**2).sum())
    if total <= 0:
        return 0.0
    members = np.eye(labels.max() + 1)[labels]
    sizes = members.sum(axis=0)
    sums = members.T @ centred
    return float((sums**2).sum(axis=1)[sizes > 0] @ (1 / sizes[sizes > 0])) / total


def name_cluster_colours(pictures: Sequence[np.ndarray], labels: np.ndarray, k: int) -> list[str]:
    """The colour name of each cluster's subjects: the one most over-represented against the whole collection.

    Args:
        pictures: uint8 sRGB, shape (64, 64, 3) each.
        labels: int, shape (n,), 0 to `k` - 1.
        k: Number of clusters, each with at least one picture.
    """
    shares = np.stack([_colour_shares(pixels) for pixels in pictures])
    overall = shares.mean(axis=0)
    own = [shares[labels == cluster_id].mean(axis=0) for cluster_id in range(k)]
    return [COLOUR_NAMES[int((share - 0.5 * overall).argmax())] for share in own]


def mix_cluster_colours(pictures: Sequence[np.ndarray], labels: np.ndarray, k: int) -> np.ndarray:
    """Share of each basic colour in the whole pictures of each cluster: float, shape (k, 11), rows sum to 1.

    Args:
        pictures: As for `name_cluster_colours`.
        labels: As well.
        k: As well.
    """
    shares = np.stack([_shares_of(_to_lab(pixels).reshape(-1, 3)) for pixels in pictures])
    return np.stack([shares[labels == cluster_id].mean(axis=0) for cluster_id in range(k)])


def entropy_of(shares: np.ndarray) -> float:
    """Entropy of shares that sum to 1, over its most: 0 for a single one, 1 where all are equal."""
    from scipy.stats import entropy

    return float(entropy(shares, base=len(shares)))


def _colour_shares(pixels: np.ndarray) -> np.ndarray:
    """Share of each basic colour in the subject of a picture, float, shape (11,)."""
    lab = _to_lab(pixels)
    return _shares_of(lab[find_subject(lab)])


def _shares_of(lab: np.ndarray) -> np.ndarray:
    """Share of each basic colour among pixels, float, shape (n, 3) to (11,)."""
    shades = _to_lab(np.array([[shade for _, shade in COLOURS]], np.uint8))[0]
    names = np.array([COLOUR_NAMES.index(name) for name, _ in COLOURS])
    nearest = ((lab[:, None] - shades[None]) ** 2).sum(axis=2).argmin(axis=1)
    return np.bincount(names[nearest], minlength=len(COLOUR_NAMES)) / len(lab)


def find_subject(lab: np.ndarray) -> np.ndarray:
    """Which pixels belong to the subject: those near the middle that differ most from the border's colours.

    Args:
        lab: float, shape (h, w, 3).

    Returns:
        bool, shape (h, w), at least one pixel in twenty set.
    """
    height, width = lab.shape[:2]
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    radius = np.hypot(x, y)
    border = lab[np.maximum(abs(x), abs(y)) > 0.85]
    spread = np.linalg.inv(np.cov(border.T) + 9 * np.eye(3))
    offset = lab - border.mean(axis=0)
    distance = np.sqrt(np.einsum("hwi,ij,hwj->hw", offset, spread, offset)) * (radius < 0.8)
    return distance >= np.quantile(distance, 0.85)


def _to_lab(pixels: np.ndarray) -> np.ndarray:
    from skimage.color import rgb2lab

    return rgb2lab(pixels)
