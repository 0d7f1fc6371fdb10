"""Which pictures are held out of training: whole groups of twins, drawn by their own hash.

Pictures of one specimen, or one another's edit, belong on one side: a model judged on the twin of a picture that it
learnt is judged on what it learnt. A group is drawn by the hash of its name, which is the lowest id in it, so that new
pictures move no others but their own twins, save where a limit is reached: a species keeps at least `LEAST_TRAINING`
pictures to learn from, and gives at most twice the share that was asked for. So a species of few pictures gives none.
Belongs here: the choice. Who is whose twin is found in `morphology.twins`.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping

TRAIN, TEST = "train", "test"
SPLITS = (TRAIN, TEST)
LEAST_TRAINING = 10
"""So many pictures a species keeps for training."""


def hold_out(groups: Mapping[str, str], species_of: Mapping[str, str], share: float) -> frozenset[str]:
    """Ids of the pictures that are held out.

    Args:
        groups: For each image id whatever names its group (`morphology.twins.read_groups`).
        species_of: For each image id its species.
        share: About which share of the pictures, 0 for none to 0.5.
    """
    members = _members(groups)
    pictures = Counter(species_of.values())
    room = {
        species: min(count - LEAST_TRAINING, int(2 * share * count)) for species, count in pictures.items()
    }
    held_out: set[str] = set()
    for name in sorted((name for name in members if _draw(name) < share), key=_draw):
        wanted = Counter(species_of[image_id] for image_id in members[name])
        if all(count <= room[species] for species, count in wanted.items()):
            held_out.update(members[name])
            room = {species: left - wanted[species] for species, left in room.items()}
    return frozenset(held_out)


def _members(groups: Mapping[str, str]) -> dict[str, list[str]]:
    """The ids in each group, by the lowest of them: what else a group is called hangs on the order of the rows."""
    found: defaultdict[str, list[str]] = defaultdict(list)
    for image_id in sorted(groups):
        found[groups[image_id]].append(image_id)
    return {ids[0]: ids for ids in found.values()}


def _draw(name: str) -> float:
    """A number from 0 to below 1 that a name always draws; another hash than the one that picks shards."""
    return int.from_bytes(hashlib.sha256(f"held out: {name}".encode()).digest()[:7], "big") / 2**56
