"""The drawing of what came from what: a pedigree, oldest at the top.

Nodes stand in layers, as near above their descendants as they can, and lines run through waypoints so that they pass
no node. A line that other lines already imply is left out, as in a Hasse diagram; the table beside it names all inputs.
The steps are those of Sugiyama, Tagawa and Toda (1981): layers, waypoints, barycentre ordering, places.
Belongs here: the geometry. The SVG itself stands in a template.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from fungal_assets.exhibition.records import Ancestor

NODE_WIDTH, NODE_HEIGHT = 196, 44
GAP_X, GAP_Y, MARGIN = 34, 40, 8
WAYPOINT_WIDTH = 26
SWEEPS = 12
GUIDE = ("field_guide", "")
Key = tuple[str, str]
Links = Mapping[Key, Sequence[Key]]


@dataclass(frozen=True)
class Node:
    """A box of the drawing; `x` and `y` are its middle and top in the drawing's units."""

    name: str
    content_hash: str
    anchor: str
    kind: str
    x: float
    y: float

    @property
    def asset(self) -> str:
        """First part of the name."""
        return self.name.partition("/")[0]

    @property
    def partition(self) -> str:
        """The partition key, or an empty text."""
        return self.name.partition("/")[2]


@dataclass(frozen=True)
class Lineage:
    """A drawing: boxes, and the `d` of each line's path."""

    nodes: list[Node]
    lines: list[str]
    width: float
    height: float


def draw_lineage(ancestors: Sequence[Ancestor]) -> Lineage:
    """Lay out the ancestors above the guide that was made from them."""
    parents: dict[Key, list[Key]] = {(each.name, each.content_hash): list(each.parents) for each in ancestors}
    parents[GUIDE] = [(each.name, each.content_hash) for each in ancestors if each.is_input]
    drawn = reduce_links(parents)
    layer_of = _find_layers(drawn)
    routes, layers = _route(drawn, layer_of)
    _order_layers(layers, routes)
    places = _place(layers)
    by_key = {(each.name, each.content_hash): each for each in ancestors}
    nodes = [_node(key, by_key.get(key), places[key], layer_of[key]) for key in parents]
    lines = [_line([(places[stop], layer) for stop, layer in route]) for route in routes]
    width = max(x + _width(key) / 2 for key, x in places.items()) + MARGIN
    height = len(layers) * (NODE_HEIGHT + GAP_Y) - GAP_Y + 2 * MARGIN
    return Lineage(nodes, lines, width, height)


def reduce_links(parents: Links) -> dict[Key, list[Key]]:
    """Each node's parents that are not also farther ancestors of it."""
    farther = {
        key: set().union(*(_all_above(parents, each) for each in above)) for key, above in parents.items()
    }
    return {key: [each for each in above if each not in farther[key]] for key, above in parents.items()}


def _all_above(parents: Links, key: Key) -> set[Key]:
    return set(parents[key]).union(*(_all_above(parents, each) for each in parents[key]))


def _find_layers(parents: Links) -> dict[Key, int]:
    """Layer of each node, 0 at the top, as low as its children allow."""
    children: dict[Key, list[Key]] = {key: [] for key in parents}
    for key, above in parents.items():
        for each in above:
            children[each].append(key)
    depth: dict[Key, int] = {}

    def below(key: Key) -> int:
        if key not in depth:
            depth[key] = max((1 + below(child) for child in children[key]), default=0)
        return depth[key]

    deepest = max(below(key) for key in parents)
    return {key: deepest - depth[key] for key in parents}


Stop = tuple[Key, int]


def _route(
    parents: Links, layer_of: Mapping[Key, int]
) -> tuple[list[list[tuple[Key, int]]], list[list[Key]]]:
    """The stops of each line from parent to child, with waypoints in the layers between; and the layers."""
    layers: list[list[Key]] = [[] for _ in range(max(layer_of.values()) + 1)]
    for key, layer in layer_of.items():
        layers[layer].append(key)
    routes = []
    for key, above in parents.items():
        for parent in above:
            between = [
                ((f"{parent} {key}", str(at)), at) for at in range(layer_of[parent] + 1, layer_of[key])
            ]
            for waypoint, layer in between:
                layers[layer].append(waypoint)
            routes.append([(parent, layer_of[parent]), *between, (key, layer_of[key])])
    return routes, layers


def _order_layers(layers: list[list[Key]], routes: Sequence[Sequence[Stop]]) -> None:
    """Sort each layer by the mean place of its neighbours, downwards and upwards in turn."""
    steps = [
        (first, second) for route in routes for (first, _), (second, _) in zip(route, route[1:], strict=False)
    ]
    for sweep in range(SWEEPS):
        downwards = sweep % 2 == 0
        for index in range(1, len(layers)) if downwards else range(len(layers) - 2, -1, -1):
            fixed = layers[index - 1 if downwards else index + 1]
            place = {key: position / max(len(fixed) - 1, 1) for position, key in enumerate(fixed)}
            near: dict[Key, list[float]] = {key: [] for key in layers[index]}
            for first, second in steps if downwards else [(second, first) for first, second in steps]:
                if first in place and second in near:
                    near[second].append(place[first])
            layers[index].sort(key=lambda key: fmean(near[key]) if near[key] else 0.5)  # noqa: B023


def _place(layers: Sequence[Sequence[Key]]) -> dict[Key, float]:
    """The middle of every node and waypoint, each layer centred."""
    widths = [[_width(key) for key in layer] for layer in layers]
    spans = [sum(row) + GAP_X * (len(row) - 1) for row in widths]
    places: dict[Key, float] = {}
    for layer, row, span in zip(layers, widths, spans, strict=True):
        left = MARGIN + (max(spans) - span) / 2
        for key, width in zip(layer, row, strict=True):
            places[key] = left + width / 2
            left += width + GAP_X
    return places


def _width(key: Key) -> float:
    """Of a box, or of a waypoint, whose name holds spaces."""
    return WAYPOINT_WIDTH if " " in key[0] else NODE_WIDTH


def _top(layer: int) -> float:
    return MARGIN + layer * (NODE_HEIGHT + GAP_Y)


def _node(key: Key, ancestor: Ancestor | None, x: float, layer: int) -> Node:
    if ancestor is None:
        return Node(*key, anchor="", kind="guide", x=x, y=_top(layer))
    kind = "named" if ancestor.record is None else "input" if ancestor.is_input else "ancestor"
    return Node(*key, anchor=ancestor.anchor, kind=kind, x=x, y=_top(layer))


def _line(stops: Sequence[tuple[float, int]]) -> str:
    """A path from the foot of the first stop to the head of the last, upright at every waypoint."""
    x, layer = stops[0]
    y = _top(layer) + NODE_HEIGHT
    path = f"M{x:.1f} {y:.1f}"
    for next_x, next_layer in stops[1:]:
        top = _top(next_layer)
        half = (y + top) / 2
        path += f" C{x:.1f} {half:.1f} {next_x:.1f} {half:.1f} {next_x:.1f} {top:.1f}"
        if (next_x, next_layer) != stops[-1]:
            path += f" V{top + NODE_HEIGHT:.1f}"
        x, y = next_x, top + NODE_HEIGHT
    return path
