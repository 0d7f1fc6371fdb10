"""The world that the pocket model knows beside fungi: captioned emoji art in six free styles.

`read_art` brings and reads the art, `world_pictures` draws it; `held_out_pictures` draws the style kept
for scoring.
"""

from fungal_assets.pocket.world.art import Art, read_art
from fungal_assets.pocket.world.concepts import CONTROLS, KINDS, WORLD_CONCEPTS, Concept
from fungal_assets.pocket.world.pictures import WorldPicture, held_out_pictures, world_pictures
from fungal_assets.pocket.world.styles import ATTRIBUTION, HELD_OUT_STYLE, STYLES, TRAINING_STYLES, ArtStyle
from fungal_assets.pocket.world.wide import wide_concepts

__all__ = [
    "ATTRIBUTION",
    "CONTROLS",
    "HELD_OUT_STYLE",
    "KINDS",
    "STYLES",
    "TRAINING_STYLES",
    "WORLD_CONCEPTS",
    "Art",
    "ArtStyle",
    "Concept",
    "WorldPicture",
    "held_out_pictures",
    "read_art",
    "wide_concepts",
    "world_pictures",
]
