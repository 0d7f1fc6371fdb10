"""The fungarium: pictures of fungi from signed-distance forms, with every trait known.

`sample_traits` draws traits, `render` makes the picture, `describe` says it in words. Importing this package
imports torch: do so inside functions.
"""

from fungal_assets.pocket.fungarium.captions import caption_words, describe
from fungal_assets.pocket.fungarium.morphotypes import HABITATS, MORPHOTYPE_TABLE, MORPHOTYPES
from fungal_assets.pocket.fungarium.rendering import Picture, render, render_picture
from fungal_assets.pocket.fungarium.sampling import sample_portrait, sample_traits, views_of
from fungal_assets.pocket.fungarium.snapshot import render_snapshot
from fungal_assets.pocket.fungarium.traits import Traits

__all__ = [
    "HABITATS",
    "MORPHOTYPES",
    "MORPHOTYPE_TABLE",
    "Picture",
    "Traits",
    "caption_words",
    "describe",
    "render",
    "render_picture",
    "render_snapshot",
    "sample_portrait",
    "sample_traits",
    "views_of",
]
