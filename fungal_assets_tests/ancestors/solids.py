"""Meshes of known shape, and how they come broken, for the tests of ancestors."""

import numpy as np
import trimesh

from fungal_assets.ancestors.bodies import Body

PLAIN = (0.8, 0.3, 0.2)


def body_of(mesh, colour=PLAIN):
    vertices = np.asarray(mesh.vertices, dtype=np.float64)
    colours = np.tile(np.array(colour, np.float32), (len(vertices), 1))
    return Body(vertices, np.asarray(mesh.faces, dtype=np.int64), colours)


def ball(radius=0.5, subdivisions=4):
    return trimesh.creation.icosphere(subdivisions=subdivisions, radius=radius)


def box(extents=(1.0, 1.0, 1.0), at=(0.0, 0.0, 0.0)):
    mesh = trimesh.creation.box(extents=extents)
    mesh.apply_translation(at)
    return mesh


def ring(major=0.5, minor=0.2):
    """A torus about the y axis: a body with a hole through it."""
    mesh = trimesh.creation.torus(
        major_radius=major, minor_radius=minor, major_sections=64, minor_sections=32
    )
    mesh.apply_transform(trimesh.transformations.rotation_matrix(np.pi / 2, [1, 0, 0]))
    return mesh


def toadstool():
    """A ball that runs into a cylinder: two closed bodies in one mesh."""
    cap = trimesh.creation.icosphere(subdivisions=4, radius=0.45)
    cap.apply_translation([0, 0.4, 0])
    stalk = trimesh.creation.cylinder(radius=0.16, segment=[[0, -0.6, 0], [0, 0.3, 0]], sections=48)
    return trimesh.util.concatenate([cap, stalk])


def without(mesh, count):
    """The mesh without its first faces."""
    return trimesh.Trimesh(mesh.vertices, mesh.faces[count:], process=False)
