"""The forest walk: where the groups of each species stand along a path that closes upon itself.

Lengths are in heights of the middling form, so that a form is about 1 high whatever its metres; y is up, azimuth 0 is
+z and 90 is +x, as in `forms.groups`. The path is the curve r(azimuth) = radius (1 + sum of a sin(k azimuth + phase)).
Species of one habitat stand beside each other, on either side of the path by turns; smaller groups of the same species
stand farther off it. Those of logs and trunks stand on stumps. A group that would be too wide for the
forest is made smaller.
Belongs here: the plan, as plain numbers for `templates/walking.js`. Drawing does not.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from fungal_assets.exhibition.growth import MARKS, read_json, read_json_if_there
from fungal_assets.exhibition.plates import Plate
from fungal_assets.exhibition.solids import WALK_BYTES, list_levels, pick_level, to_text
from fungal_assets.forms.gltf import read_glb

HABITATS = ("in a field", "in sand", "in moss", "in leaf litter", "on a log", "on a tree trunk")
"""In the order in which one walks through them."""
STUMPS = ("on a log", "on a tree trunk")
WAVES = ((3, 0.1, 0.0), (5, 0.04, 1.0))
"""Times round, share of the radius, phase in radians."""
LEAST_RADIUS, SPACING, PATH_HALF = 6.5, 7.0, 0.75
ALONE = {
    "x": 0.0,
    "z": 0.0,
    "turn_deg": 0.0,
    "scale": 1.0,
    "spread": 1.0,
    "lean": 0.0,
    "lean_deg": 0.0,
    "age": 1.0,
}
"""The one individual of a form without a group."""
_SCALES, _MOST_REACH = (0.5, 2.0), 1.7
_OFFSHOOTS = ((-0.3, 2.2, 0.85), (0.28, 3.1, 0.7))
"""Of a smaller group: how far along in spacings, how far beyond the first from the path, scale."""


@dataclass(frozen=True)
class Standing:
    """A species that can stand in the walk.

    Args:
        slug: Of the species.
        name: As it is shown.
        scientific_name: Genus and epithet.
        href: Link of its page from the root.
        habitat: One of `HABITATS`.
        height_m: Of its mesh.
        placements: Individuals of its group as `group.json` has them, in heights of the form.
        half_width: How far its mesh reaches from its axis, in its heights.
        levels: Its GLB files, the finest first.
    """

    slug: str
    name: str
    scientific_name: str
    href: str
    habitat: str
    height_m: float
    placements: Sequence[Mapping[str, float]]
    half_width: float
    levels: Sequence[Path]

    @property
    def reach(self) -> float:
        """How far its group reaches from its middle, in heights of the form."""
        return self.reach_of(self.placements)

    def reach_of(self, placements: Sequence[Mapping[str, float]]) -> float:
        """The same of some of its group."""
        return max(
            math.hypot(one["x"], one["z"]) + self.half_width * one["scale"] * one["spread"]
            for one in placements
        )


def gather_standings(plates: Sequence[Plate], meshes: Path) -> list[Standing]:
    """The species that have a mesh, with their groups.

    Args:
        plates: Of all species.
        meshes: Output of the stage of that name, with `meshes.json`.
    """
    heights = {entry["slug"]: entry["height_m"] for entry in read_json(meshes / "meshes.json")["meshes"]}
    return [
        Standing(
            slug=plate.facts.slug,
            name=plate.name,
            scientific_name=plate.facts.scientific_name,
            href=plate.href,
            habitat=_habitat_of(plate),
            height_m=heights[plate.facts.slug],
            placements=_placements_of(plate),
            half_width=_measure(levels[-1]),
            levels=levels,
        )
        for plate in plates
        if (levels := list_levels(plate.facts.mesh_folder, plate.facts.slug))
    ]


def _measure(glb: Path) -> float:
    """How far a mesh reaches from its axis, in its heights."""
    places = read_glb(glb)[1]["POSITION"]
    return float(np.hypot(places[:, 0], places[:, 2]).max() / places[:, 1].max())


def _habitat_of(plate: Plate) -> str:
    """The commonest habitat of its captions that the walk can show, or else leaf litter."""
    said = [value for mark in plate.facts.marks if mark.label == MARKS["habitat"] for value, _ in mark.values]
    return next((value for value in said if value in HABITATS), "in leaf litter")


def _placements_of(plate: Plate) -> list[dict[str, float]]:
    """Individuals of its group; one where it was not filmed as a group."""
    folder = plate.facts.video_folder
    group = read_json_if_there(folder / "group.json") if folder else None
    return (group or {}).get("individuals") or [dict(ALONE)]


def draw_forest(standings: Sequence[Standing]) -> dict[str, Any]:
    """The walk as `templates/walking.js` reads it: `path`, `species` with meshes in base64, and `stations`."""
    return {
        "path": {"radius": _radius(len(standings)), "half": PATH_HALF, "waves": WAVES},
        "species": [_embed(standing) for standing in standings],
        "stations": place_stations(standings),
    }


def place_stations(standings: Sequence[Standing]) -> list[dict[str, Any]]:
    """Where groups stand.

    Returns:
        For each: `species` (index), `is_first` (whether it is its species' main group), `habitat`, `x`, `z`, `reach`
        (of its outermost individual from its middle), `has_stump`, and `individuals`, each as [x, z, scale, turn in
        radians, spread, lean, lean's azimuth in radians, age].
    """
    unit_m = statistics.median(standing.height_m for standing in standings)
    order = sorted(range(len(standings)), key=lambda index: HABITATS.index(standings[index].habitat))
    stations: list[dict[str, Any]] = []
    for place, index in enumerate(order):
        standing = standings[index]
        scale = min(float(np.clip(standing.height_m / unit_m, *_SCALES)), _MOST_REACH / standing.reach)
        for station in _stand(standing, index, place, len(standings), scale):
            if station["is_first"] or _is_free(station, stations):
                stations.append(station)
    return stations


def path_radius(azimuth: float, radius: float) -> float:
    """How far the path is from the middle at an azimuth in radians."""
    return radius * (1 + sum(share * math.sin(times * azimuth + phase) for times, share, phase in WAVES))


def _radius(species: int) -> float:
    return max(LEAST_RADIUS, species * SPACING / math.tau)


def _stand(standing: Standing, index: int, place: int, places: int, scale: float) -> Iterator[dict[str, Any]]:
    """The main group of a species, then its smaller ones."""
    radius, side = _radius(places), 1 if place % 2 else -1
    turns = np.random.default_rng([3, place]).uniform(0, math.tau, 1 + len(_OFFSHOOTS))
    away = PATH_HALF
    for number, (along, beyond, share) in enumerate(((0.0, 0.0, 1.0), *_OFFSHOOTS)):
        chosen = (number and standing.placements[number % 2 :: 2]) or standing.placements
        individuals = [_turn(each, float(turns[number]), scale * share) for each in chosen]
        reach = scale * share * standing.reach_of(chosen)
        azimuth = math.tau * (place + 0.5 + along) / places
        distance = path_radius(azimuth, radius) + side * (away + beyond + reach)
        x, z = distance * math.sin(azimuth), distance * math.cos(azimuth)
        yield {
            "species": index,
            "is_first": number == 0,
            "habitat": standing.habitat,
            "x": round(x, 3),
            "z": round(z, 3),
            "reach": round(reach, 3),
            "has_stump": standing.habitat in STUMPS,
            "individuals": [
                [round(x + each[0], 4), round(z + each[1], 4), *each[2:]] for each in individuals
            ],
        }


def _turn(placement: Mapping[str, float], turn: float, scale: float) -> list[float]:
    """An individual of a group that is turned about its middle and made larger, the middle at the origin."""
    x, z = placement["x"] * scale, placement["z"] * scale
    return [
        x * math.cos(turn) + z * math.sin(turn),
        z * math.cos(turn) - x * math.sin(turn),
        round(placement["scale"] * scale, 4),
        round(math.radians(placement["turn_deg"]) + turn, 4),
        placement["spread"],
        placement["lean"],
        round(math.radians(placement["lean_deg"]) + turn, 4),
        placement["age"],
    ]


def _is_free(station: Mapping[str, Any], stations: Sequence[Mapping[str, Any]]) -> bool:
    """Whether a group touches none of those that stand already, nor the path."""
    apart = [math.dist((station["x"], station["z"]), (other["x"], other["z"])) for other in stations]
    wide = [station["reach"] + other["reach"] + 0.3 for other in stations]
    return all(distance > least for distance, least in zip(apart, wide, strict=True))


def _embed(standing: Standing) -> dict[str, Any]:
    """A species with a mesh for near and one for far."""
    levels = list(standing.levels)
    return {
        "slug": standing.slug,
        "name": standing.name,
        "scientific_name": standing.scientific_name,
        "href": standing.href,
        "height_m": standing.height_m,
        "near": to_text(pick_level(levels, WALK_BYTES)),
        "far": to_text(levels[-1]),
    }
