"""Objects that forms may descend from, as closed coloured meshes; what cannot be one is mended or refused.

A file comes as people make them: in any unit, with doubled corners, open seams, loose parts, parts that run into each
other, inside out. `mend` makes one closed body of it and says what was done; where that would invent more than it
keeps, it refuses and says why. Files are read by trimesh (MIT), which runs nothing that stands in them.
Belongs here: files and meshes. Distances to them stand in `fields`. Heavy libraries: import this module inside
functions only.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import fast_simplification
import numpy as np
from scipy import ndimage  # noqa: TID253
from skimage.measure import marching_cubes  # noqa: TID253

from fungal_assets.errors import InputError
from fungal_assets.forms.crossing import winding_numbers
from fungal_assets.forms.srgb import to_srgb
from fungal_assets.forms.topology import count_bodies, is_closed, signed_volume

SUFFIXES = (".glb", ".obj", ".stl", ".ply")
MAX_FILE_MB = 512.0
MAX_FACES = 5_000_000
_FACES_KEPT = 200_000
_MOST_PATCHED = 0.3
_LEAST_MAIN_SHARE = 0.9
_LEAST_THICKNESS = 0.01
_REBUILD_CELLS = 160
REACH = 0.75
"""Half of the longest side of a body that stands ready, in units of the box from -1 to 1 that it evolves in."""
_PLAIN = (0.72, 0.64, 0.54)


@dataclass(frozen=True)
class Body:
    """A coloured mesh.

    Args:
        vertices: float64, shape (n, 3): x right, y up, z towards the viewer.
        faces: int64, shape (m, 3), counter-clockwise from outside.
        colours: float32, shape (n, 3), sRGB, 0 to 1.
        repairs: What was mended, one phrase each.
    """

    vertices: np.ndarray
    faces: np.ndarray
    colours: np.ndarray
    repairs: tuple[str, ...] = ()


def read_body(path: Path) -> Body:
    """The object in a file, mended.

    Raises:
        InputError: The file is of no known kind, cannot be read, is too large, or what it holds cannot be mended.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise InputError(f"{path} is no mesh that can be read; expected one of {', '.join(SUFFIXES)}.")
    if not path.is_file():
        raise InputError(f"{path} does not exist.")
    size_mb = path.stat().st_size / 1e6
    if size_mb > MAX_FILE_MB:
        raise InputError(
            f"{path} has {size_mb:.0f} MB, expected {MAX_FILE_MB:.0f} at most. Save it with fewer faces, "
            f"{_FACES_KEPT} are enough."
        )
    return mend(_load(path), name=str(path))


def mend(body: Body, *, name: str) -> Body:
    """One closed body, looking outward.

    Args:
        body: As it was read.
        name: What messages call it.

    Raises:
        InputError: It has no faces, no extent, no finite corners; it is a sheet rather than a body; or it is in pieces
            that do not touch.
    """
    body = _drop_waste(body, name)
    body = _orient(_close(_simplify(body), name))
    if count_bodies(body.faces, len(body.vertices)) > 1:
        body = _unite(body, name)
    _refuse_flat(body, name)
    return body


def stand_ready(body: Body) -> Body:
    """The body in the middle of the box from -1 to 1, its longest side `2 * REACH`."""
    low, high = body.vertices.min(0), body.vertices.max(0)
    scale = 2 * REACH / float((high - low).max())
    return replace(body, vertices=(body.vertices - (low + high) / 2) * scale)


def _load(path: Path) -> Body:
    import trimesh

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            loaded = trimesh.load_scene(path)
            parts = [part for part in loaded.dump() if isinstance(part, trimesh.Trimesh)]
    except Exception as error:  # what a damaged file makes its reader raise is without end
        raise InputError(
            f"{path} cannot be read as {path.suffix[1:].upper()}: {type(error).__name__}: {error}. "
            f"Save it again, as GLB for instance."
        ) from error
    if sum(len(part.faces) for part in parts) == 0:
        raise InputError(f"{path} has no faces: a surface is needed, points alone are none.")
    offsets = np.cumsum([0, *(len(part.vertices) for part in parts)])
    faces = [np.asarray(part.faces) + offset for part, offset in zip(parts, offsets, strict=False)]
    is_linear = path.suffix.lower() == ".glb"
    return Body(
        np.concatenate([np.asarray(part.vertices, dtype=np.float64) for part in parts]),
        np.concatenate(faces).astype(np.int64),
        np.concatenate([_colours_of(part, is_linear=is_linear) for part in parts]),
    )


def _colours_of(part: Any, *, is_linear: bool) -> np.ndarray:
    """SRGB of every vertex of a trimesh: its own, the texture's under it, or the material's."""
    count, visual = len(part.vertices), part.visual
    own = getattr(visual, "vertex_attributes", {}).get("color") if visual.kind == "texture" else None
    if own is None and visual.kind == "vertex":
        own = visual.vertex_colors
    if own is not None and len(own) == count:
        own = np.asarray(own)
        most = np.iinfo(own.dtype).max if own.dtype.kind in "ui" else 1
        rgb = own[:, :3].astype(np.float32) / most
        return to_srgb(rgb).astype(np.float32) if is_linear else rgb
    try:
        rgba = np.asarray(
            visual.to_color().vertex_colors if visual.kind == "texture" else visual.vertex_colors
        )
        if rgba.shape[0] == count and visual.kind is not None:
            return rgba[:, :3].astype(np.float32) / 255
    except (AttributeError, TypeError, ValueError, IndexError):
        pass  # a material that says no colour
    return np.tile(np.array(_PLAIN, np.float32), (count, 1))


def _drop_waste(body: Body, name: str) -> Body:
    """Without corners twice in one place, faces without area and corners that no face uses."""
    if len(body.faces) == 0:
        raise InputError(f"{name} has no faces: a surface is needed, points alone are none.")
    if not np.isfinite(body.vertices).all():
        raise InputError(f"{name} has corners that are no numbers. Save it again from a program for 3D.")
    if len(body.faces) > MAX_FACES:
        raise InputError(
            f"{name} has {len(body.faces)} faces, expected {MAX_FACES} at most. Save it with fewer."
        )
    extent = float((body.vertices.max(0) - body.vertices.min(0)).max())
    if extent <= 0:
        raise InputError(f"{name} has no extent: all its corners lie in one point.")
    grid = np.rint((body.vertices - body.vertices.min(0)) / extent * 1e6).astype(np.int64)
    _, first, where = np.unique(grid, axis=0, return_index=True, return_inverse=True)
    faces = where.reshape(-1)[body.faces]
    is_real = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[is_real]
    _, kept = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = faces[np.sort(kept)]
    if len(faces) == 0:
        raise InputError(f"{name} has no face with an area.")
    used, faces = np.unique(faces, return_inverse=True)
    return Body(body.vertices[first][used], faces.reshape(-1, 3), body.colours[first][used])


def _simplify(body: Body) -> Body:
    if len(body.faces) <= 2 * _FACES_KEPT:
        return body
    vertices, faces = fast_simplification.simplify(
        body.vertices.astype(np.float32), body.faces.astype(np.int32), target_count=_FACES_KEPT
    )
    from scipy.spatial import cKDTree

    nearest = cKDTree(body.vertices).query(vertices)[1]
    note = f"{len(body.faces)} faces made {len(faces)}"
    return Body(vertices.astype(np.float64), faces.astype(np.int64), body.colours[nearest], (note,))


def _orient(body: Body) -> Body:
    """All faces of a piece run the same way, and outward."""
    import trimesh

    mesh = trimesh.Trimesh(body.vertices, body.faces, process=False)
    if not is_closed(body.faces):
        trimesh.repair.fix_winding(mesh)
    faces = np.asarray(mesh.faces, dtype=np.int64)
    labels = _piece_of_faces(faces, len(body.vertices))
    is_inside_out = np.array(
        [signed_volume(body.vertices, faces[labels == label]) < 0 for label in range(labels.max() + 1)]
    )
    turned = np.where(is_inside_out[labels][:, None], faces[:, ::-1], faces)
    notes = ("faces that looked inward turned outward",) if is_inside_out.any() else ()
    return replace(body, faces=turned, repairs=body.repairs + notes)


def _piece_of_faces(faces: np.ndarray, vertex_count: int) -> np.ndarray:
    from scipy import sparse

    starts, ends = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    links = sparse.coo_matrix((np.ones(len(starts), bool), (starts, ends)), (vertex_count, vertex_count))
    labels = sparse.csgraph.connected_components(links, directed=False)[1][faces[:, 0]]
    return np.unique(labels, return_inverse=True)[1]


def _close(body: Body, name: str) -> Body:
    """Every hole covered by a fan of faces about the middle of its rim."""
    rims = _rims(body.faces)
    if not rims:
        return body
    vertices, colours, faces = [body.vertices], [body.colours], [body.faces]
    patched = 0.0
    for rim in rims:
        middle = len(body.vertices) + len(vertices) - 1
        vertices.append(body.vertices[rim].mean(0, keepdims=True))
        colours.append(body.colours[rim].mean(0, keepdims=True))
        fan = np.stack([np.roll(rim, -1), rim, np.full(len(rim), middle)], 1)
        faces.append(fan)
        patched += _area(np.concatenate([body.vertices, *vertices[1:]]), fan)
    share = patched / (patched + _area(body.vertices, body.faces))
    if share > _MOST_PATCHED:
        raise InputError(
            f"{name} is a sheet rather than a body: {share:.0%} of its surface would have to be invented to close it, "
            f"expected {_MOST_PATCHED:.0%} at most. Give it thickness (in Blender: the modifier Solidify), or close it."
        )
    note = f"{len(rims)} hole{'s' if len(rims) > 1 else ''} closed ({share:.1%} of the surface)"
    return Body(
        np.concatenate(vertices), np.concatenate(faces), np.concatenate(colours), (*body.repairs, note)
    )


def _rims(faces: np.ndarray) -> list[np.ndarray]:
    """The rims of the holes, each as its corners in the order in which the faces beside it run."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    _, back, counts = np.unique(np.sort(edges, axis=1), axis=0, return_inverse=True, return_counts=True)
    following: dict[int, list[int]] = {}
    for start, end in edges[counts[back.reshape(-1)] == 1].tolist():
        following.setdefault(start, []).append(end)
    rims = []
    while following:
        walk = [next(iter(following))]
        while walk[-1] in following:
            ends = following[walk[-1]]
            end = ends.pop()
            if not ends:
                del following[walk[-1]]
            if end in walk:  # a rim is closed; where two rims touch, the walk goes on along the other
                first = walk.index(end)
                rims.append(np.array(walk[first:]))
                walk = walk[: first + 1]
            else:
                walk.append(end)
    return [rim for rim in rims if len(rim) > 2]


def _area(vertices: np.ndarray, faces: np.ndarray) -> float:
    a, b, c = (vertices[faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2)


def _unite(body: Body, name: str) -> Body:
    """One skin about bodies that run into each other; crumbs beside the largest are dropped.

    The matter is where any of the pieces is. Its skin is found anew on a grid of `_REBUILD_CELLS` cells a side.
    """
    pieces = count_bodies(body.faces, len(body.vertices))
    ready = stand_ready(body)
    line = np.linspace(-1, 1, _REBUILD_CELLS)
    matter = winding_numbers(ready.vertices[ready.faces], line) > 0
    labels, count = ndimage.label(matter)
    sizes = np.bincount(labels.ravel())[1:]
    if count == 0:
        raise InputError(f"{name} encloses nothing.")
    share = sizes.max() / sizes.sum()
    if share < _LEAST_MAIN_SHARE:
        raise InputError(
            f"{name} is in {count} pieces that do not touch; the largest has {share:.0%} of the matter, expected "
            f"{_LEAST_MAIN_SHARE:.0%}. Join them, or save one of them alone."
        )
    notes = [f"{pieces} pieces that run into each other made one"] if pieces > count else []
    notes += [f"{count - 1} crumbs beside the largest piece dropped"] if count > 1 else []
    largest = (labels == 1 + sizes.argmax()).astype(np.float32)
    points, faces, _, _ = marching_cubes(ndimage.gaussian_filter(largest, 0.7), 0.5, allow_degenerate=False)
    from scipy.spatial import cKDTree

    vertices = points[:, ::-1].astype(np.float64) * (line[1] - line[0]) - 1
    colours = body.colours[cKDTree(ready.vertices).query(vertices)[1]]
    united = Body(vertices, faces.astype(np.int64), colours, (*body.repairs, *notes))
    labels = _piece_of_faces(united.faces, len(vertices))
    main = united.faces[labels == np.bincount(labels).argmax()]
    # Points that run z, y, x and are read as x, y, z may be a mirror image.
    is_mirrored = signed_volume(vertices, main) < 0
    return replace(united, faces=main[:, ::-1] if is_mirrored else main)


def _refuse_flat(body: Body, name: str) -> None:
    """A body must enclose a volume that its surface could enclose."""
    thickness = abs(signed_volume(body.vertices, body.faces)) / _area(body.vertices, body.faces)
    extent = float((body.vertices.max(0) - body.vertices.min(0)).max())
    if thickness < _LEAST_THICKNESS * extent / 2:
        raise InputError(
            f"{name} is flat: it encloses a layer {2 * thickness / extent:.1%} as thick as it is long, expected "
            f"{_LEAST_THICKNESS:.0%} at least. Give it thickness (in Blender: the modifier Solidify)."
        )
