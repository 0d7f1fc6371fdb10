"""A mesh unwrapped onto a square, and the texture on it, painted from the volume.

xatlas lays the faces out in charts with a gap between them. Every texel of a chart is painted for its own place on the
surface; those just outside for the place that the nearest face would have there, gone on straight, since a viewer that
reads between texels mixes them in; and all others have the colour of the nearest. So no seam shows, near or from afar.
Belongs here: places on the texture and what is painted there. Picture formats do not. Heavy libraries: import this
module inside functions only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import xatlas
from PIL import Image, ImageDraw
from scipy import ndimage  # noqa: TID253

from fungal_assets.forms.meshing import Mesh
from fungal_assets.forms.painting import paint
from fungal_assets.forms.volume import Volume

GAP_PX = 4
_RIM_PX = 1.5


@dataclass(frozen=True)
class TexturedMesh(Mesh):
    """A mesh with a texture; the surface itself is not cut where the texture is.

    Args:
        uvs: float32, shape (k, 2): places on the texture, 0 to 1, from its left and its top.
        uv_faces: int64, shape (m, 3): the place of each corner of each face.
        texture: uint8, shape (S, S, 3), sRGB.
    """

    uvs: np.ndarray
    uv_faces: np.ndarray
    texture: np.ndarray

    def cut(self) -> TexturedMesh:
        """The mesh with one vertex per place on the texture, as GLB wants it: `faces` equal `uv_faces`."""
        origin = np.zeros(len(self.uvs), np.int64)
        origin[self.uv_faces] = self.faces
        return replace(
            self,
            vertices=self.vertices[origin],
            normals=self.normals[origin],
            colours=self.colours[origin],
            faces=self.uv_faces,
        )


def unwrap(mesh: Mesh, volume: Volume, *, texture_px: int) -> TexturedMesh:
    """A mesh with its texture.

    Args:
        mesh: Of the form's surface, in the volume's world (`meshing.thin_surface`).
        volume: The form, which the texture is painted from.
        texture_px: Side of the texture.
    """
    uvs, uv_faces = _lay_out(mesh, texture_px)
    owners = _find_owners(uvs * texture_px, uv_faces, texture_px)
    shares = _find_shares(uvs * texture_px, uv_faces, owners)
    corners = mesh.faces[owners[owners >= 0]]
    places = np.einsum("nk,nkd->nd", shares, mesh.vertices[corners])
    normals = np.einsum("nk,nkd->nd", shares, mesh.normals[corners])
    normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-6)
    colours = paint(volume, places, normals)
    return TexturedMesh(**vars(mesh), uvs=uvs, uv_faces=uv_faces, texture=_fill(owners >= 0, colours))


def _lay_out(mesh: Mesh, texture_px: int) -> tuple[np.ndarray, np.ndarray]:
    """Places from left and top, 0 to 1, and the place of each corner."""
    atlas, packing = xatlas.Atlas(), xatlas.PackOptions()
    packing.padding, packing.resolution = GAP_PX, texture_px
    atlas.add_mesh(mesh.vertices, mesh.faces.astype(np.uint32))
    atlas.generate(xatlas.ChartOptions(), packing)
    origin, uv_faces, uvs = atlas[0]
    uv_faces = uv_faces.astype(np.int64)
    assert np.array_equal(origin[uv_faces], mesh.faces), "xatlas gave the faces in another order"
    return uvs.astype(np.float32), uv_faces


def _find_owners(corners_px: np.ndarray, uv_faces: np.ndarray, texture_px: int) -> np.ndarray:
    """The face that each texel lies on or at the rim of, -1 for none: int64, shape (texture_px, texture_px)."""
    canvas = Image.new("I", (texture_px, texture_px))
    draw = ImageDraw.Draw(canvas)
    # Pillow counts from the middles of pixels.
    for number, triangle in enumerate((corners_px[uv_faces] - 0.5).reshape(-1, 6).tolist(), 1):
        draw.polygon(triangle, fill=number)
    owners = np.asarray(canvas, np.int64) - 1
    distance_px, nearest = ndimage.distance_transform_edt(owners < 0, return_indices=True)
    return np.where(distance_px <= _RIM_PX, owners[tuple(nearest)], -1)


def _find_shares(corners_px: np.ndarray, uv_faces: np.ndarray, owners: np.ndarray) -> np.ndarray:
    """How much of each corner of its face is in each owned texel: float64, shape (n, 3), adding up to 1.

    A share is negative where the texel's middle lies outside its face.
    """
    rows, columns = np.nonzero(owners >= 0)
    triangle = corners_px[uv_faces[owners[rows, columns]]].astype(np.float64)
    a, b, c = triangle[:, 0], triangle[:, 1], triangle[:, 2]
    p = np.stack([columns + 0.5, rows + 0.5], 1)
    whole = _cross(b - a, c - a)
    is_flat = np.abs(whole) < 1e-9
    parts = np.stack([_cross(b - p, c - p), _cross(c - p, a - p), _cross(a - p, b - p)], 1)
    shares = np.where(is_flat[:, None], 1 / 3, parts / np.where(is_flat, 1, whole)[:, None])
    # A face much thinner than a texel says nothing of places beside it: they have those of its edge.
    is_beyond = ((shares < -1) | (shares > 2)).any(1)
    shares[is_beyond] = shares[is_beyond].clip(0, 1)
    return shares / shares.sum(1, keepdims=True)


def _cross(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]


def _fill(is_painted: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """The texture, uint8 (S, S, 3), every texel that is not painted like the nearest that is."""
    texture = np.zeros((*is_painted.shape, 3), np.uint8)
    texture[is_painted] = np.rint(colours.clip(0, 1) * 255)
    rows, columns = ndimage.distance_transform_edt(~is_painted, return_distances=False, return_indices=True)
    return texture[rows, columns]
