"""Whether a seeded genome is its ancestor: at points by chance, asked of the genome and of the mesh, each in its way.

The mesh answers by how often it goes round a point; nothing of the field that the genome is told of has a part in that.
Belongs here: that measure. Torch is used behind it.
"""

from __future__ import annotations

import numpy as np

from fungal_assets.ancestors.bodies import Body
from fungal_assets.ancestors.expression import express
from fungal_assets.ancestors.fields import FINE_CELLS, Field, measure_field
from fungal_assets.ancestors.genomes import lone_seed
from fungal_assets.forms.crossing import winding_numbers
from fungal_assets.forms.solid import overlap

_WELL = 0.993
_SIZE = 72
"""No divisor or multiple of the field's own cells, so that its samples are asked between themselves."""


def measure_faithfully(name: str, body: Body) -> tuple[Field, float]:
    """The field of a body, as fine as its parts need, and how well its seeded genome reproduces it, 0 to 1."""
    field = measure_field(name, body)
    reproduced = measure_reproduction(field)
    if reproduced < _WELL:
        field = measure_field(name, body, cells=FINE_CELLS)
        reproduced = measure_reproduction(field)
    return field, reproduced


def measure_reproduction(field: Field, *, size: int = _SIZE) -> float:
    """Intersection over union, 0 to 1, of a body with what grows from its seeded genome, on a grid of its own."""
    grown = express([lone_seed()], [field], size).density[0].numpy() > 0
    line = np.linspace(-1, 1, size)
    is_body = winding_numbers(field.body.vertices[field.body.faces], line) > 0
    return overlap(grown, is_body)
