"""Breeding by eye: a person picks parents from a grid of creatures, generation after generation.

After EndlessForms (J. Clune, J. Yosinski, E. Doan, H. Lipson, 2011). Everything is on disk before it is shown, so that
neither a reload nor a kill loses anything:

    <store>/breeding/<session>/session.json       the ancestors and the seed
    <store>/breeding/<session>/steps/NNNN.json    one grid: its genomes, their parents, the counters of genes, and the
                                                  step that it was bred from
    <store>/breeding/<session>/current            the number of the step that is shown; undo points to the one before
    <store>/breeding/<session>/turning/<key>.webp     a creature turning, made when it is first asked for
    <store>/breeding/<session>/saved/<slug>/...   a child that was kept: a form as `keeping` says, with its lineage

Chance is seeded by the session's seed and the step's number. Belongs here: the session. The page stands in `serving`.
Heavy libraries: import them inside functions only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import write_atomically

if TYPE_CHECKING:
    import neat

    from fungal_assets.ancestors.fields import Field
    from fungal_assets.forms.volume import Volume

GRID = 12
"""Creatures on a page."""
_TRIES = 3
_SIZE, _FRAMES, _FRAME_PX, _FRAME_MS = 36, 12, 144, 130
_SAVED_SIZE, _MAX_FACES = 64, 12_000
_GENTLE, _BOLD = 1, 4


class Session:
    """One breeding, as it lies on disk; safe to use from several threads.

    Args:
        folder: Of the session.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._lock, self._is_closed = threading.RLock(), False
        if not (folder / "session.json").exists():
            raise ProvenanceError(f"{folder} is no breeding session. Begin one: fungal breed")
        if not (folder / "current").exists():
            self._begin()

    @classmethod
    def begin(
        cls, folder: Path, ancestors: Sequence[tuple[str, Any]], *, seed: int, tell: Tell = stay_silent
    ) -> Session:
        """A new session of some objects, given by name and body, or the one that is there with the same.

        Raises:
            InputError: The folder has a session of other objects.
        """
        from fungal_assets.ancestors.keeping import save_ancestor
        from fungal_assets.ancestors.reproduction import measure_faithfully

        fields = [measure_faithfully(name, body)[0] for name, body in ancestors]
        for field in fields:
            tell(f"ancestor {field.name}")
        described = {
            "ancestors": [{"name": field.name, "path": save_ancestor(folder, field)} for field in fields],
            "seed": seed,
        }
        path = folder / "session.json"
        if path.exists():
            if json.loads(path.read_text()) != described:
                raise InputError(
                    f"the session {folder.name!r} has other ancestors. Go on with it by naming no objects, or begin "
                    f"another one: --session NAME"
                )
        else:
            write_atomically(path, json.dumps(described, indent=1))
        return cls(folder)

    @cached_property
    def fields(self) -> list[Field]:
        """Of the ancestors."""
        from fungal_assets.ancestors.keeping import load_ancestor

        return [load_ancestor(self.folder / one["path"]) for one in self._about["ancestors"]]

    @property
    def number(self) -> int:
        """Of the step that is shown."""
        return int((self.folder / "current").read_text())

    def close(self) -> None:
        """Wait until nothing is at work, and let nothing new begin: a process must not end amid a picture."""
        with self._working():
            self._is_closed = True

    @contextmanager
    def _working(self) -> Iterator[None]:
        with self._lock:
            if self._is_closed:
                raise InputError("this breeding is closed; go on with it by: fungal breed")
            yield

    def state(self) -> dict[str, Any]:
        """What the page shows, JSON-able."""
        with self._working():
            step = self._read(self.number)
            return {
                "step": step["number"],
                "generation": step["generation"],
                "can_undo": step["from"] is not None,
                "parents": step["parents"],
                "ancestors": [one["name"] for one in self._about["ancestors"]],
                "creatures": step["creatures"],
                "saved": [
                    {"key": each["key"], "name": each["common_name"], "slug": each["slug"]}
                    for each in self._saved()
                ],
            }

    def breed(self, parents: Sequence[int], *, is_bold: bool = False) -> dict[str, Any]:
        """Breed the next grid from creatures of the current one; returns the new state.

        Raises:
            InputError: A parent is not on the page, or there is none.
        """
        with self._working():
            step = self._read(self.number)
            there = {genome["key"]: genome for genome in step["genomes"]}
            unknown = [key for key in parents if key not in there]
            if unknown or not parents:
                raise InputError(f"choose parents from {sorted(there)}; got {list(parents)}.")
            chosen = [there[key] for key in dict.fromkeys(parents)]
            number = 1 + max(int(path.stem) for path in (self.folder / "steps").glob("[0-9]*.json"))
            self._breed(number, step, chosen, is_bold)
            return self.state()

    def undo(self) -> dict[str, Any]:
        """Show the step again that the current one was bred from; what was bred stays on disk."""
        with self._working():
            before = self._read(self.number)["from"]
            if before is None:
                raise InputError("this is the first grid; there is nothing to undo.")
            write_atomically(self.folder / "current", str(before))
            return self.state()

    def save(self, key: int) -> Path:
        """Keep a creature as a form with its whole lineage; returns its folder.

        Raises:
            InputError: There is no such creature.
        """
        from fungal_assets.ancestors.genomes import from_json
        from fungal_assets.ancestors.keeping import Descendant, keep_form

        with self._working():
            descent = self._descent(key)
            genome, lineage = from_json(descent[-1])
            names = " and ".join(field.name for field in self.fields)
            slug = f"bred-{self.folder.name}-{key:05d}"
            notes = {
                "slug": slug,
                "common_name": f"{names} {key}",
                "key": key,
                "generation": lineage.generation,
                "parents": list(lineage.parents),
                "bred_by": "a person",
                "session": self.folder.name,
                "text": self._texts()[key],
            }
            folder = self.folder / "saved" / slug
            paths = [one["path"] for one in self._about["ancestors"]]
            descendant = Descendant(genome, lineage, descent)
            keep_form(
                folder,
                descendant,
                self.fields,
                paths,
                notes,
                grid_size=_SAVED_SIZE,
                max_faces=_MAX_FACES,
            )
            return folder

    def turning(self, key: int) -> bytes:
        """A creature turning: an animated WebP.

        Raises:
            InputError: There is no such creature.
        """
        path = self.folder / "turning" / f"{key}.webp"
        if not path.exists():
            genome = self._find(key)
            with self._working():
                if not path.exists():
                    self._film(path, genome)
        return path.read_bytes()

    @cached_property
    def _about(self) -> dict[str, Any]:
        return json.loads((self.folder / "session.json").read_text())

    def _read(self, number: int) -> dict[str, Any]:
        return json.loads((self.folder / "steps" / f"{number:04d}.json").read_text())

    def _steps(self) -> list[dict[str, Any]]:
        return [json.loads(path.read_text()) for path in sorted((self.folder / "steps").glob("[0-9]*.json"))]

    def _texts(self) -> dict[int, str]:
        return {creature["key"]: creature["text"] for step in self._steps() for creature in step["creatures"]}

    def _find(self, key: int) -> neat.DefaultGenome:
        from fungal_assets.ancestors.genomes import from_json

        return from_json(self._descent(key)[-1])[0]

    def _descent(self, key: int) -> list[dict[str, Any]]:
        """The genome of a key after those that it descends from, by the first parent each time, as JSON."""
        genomes = {genome["key"]: genome for step in self._steps() for genome in step["genomes"]}
        if key not in genomes:
            raise InputError(f"there is no creature {key} in the session {self.folder.name!r}.")
        line = [genomes[key]]
        while line[-1]["parents"]:
            line.append(genomes[line[-1]["parents"][0]])
        return line[::-1]

    def _saved(self) -> list[dict[str, Any]]:
        paths = sorted((self.folder / "saved").glob("*/form.json"))
        return [json.loads(path.read_text()) for path in paths]

    def _begin(self) -> None:
        """The first grid: the ancestors themselves, their means and unions, and children of these."""
        from fungal_assets.ancestors.evolution import first_generation
        from fungal_assets.ancestors.genomes import neat_config, to_json

        ancestors = len(self._about["ancestors"])
        founders = ancestors + ancestors * (ancestors - 1)
        config = neat_config(ancestors, max(founders, 2))
        first = first_generation(ancestors, config, self._about["seed"])
        parents = [to_json(genome, first.lineage[key]) for key, genome in first.genomes.items()][:founders]
        empty = {"number": None, "generation": -1, "counters": first.counters}
        self._breed(0, empty, parents, is_bold=True, founders=parents[: GRID // 2])

    def _breed(
        self,
        number: int,
        before: Mapping[str, Any],
        parents: Sequence[Mapping[str, Any]],
        is_bold: bool,
        founders: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Write the step of that number: founders, then viable children that are unlike each other."""
        from neat.innovation import InnovationTracker

        from fungal_assets.ancestors.genomes import Counter, drawn_from, from_json, neat_config, to_json

        config = neat_config(len(self._about["ancestors"]), GRID)
        settings, counters = config.genome_config, before["counters"]
        settings.innovation_tracker = tracker = InnovationTracker(counters["innovations"])
        settings.node_indexer = nodes = Counter(counters["nodes"])
        keys, generation = Counter(counters["genomes"]), before["generation"] + 1
        with drawn_from(self._about["seed"], "step", number):
            brood = [
                self._bear(next(keys), parents, config, generation, _BOLD if is_bold else _GENTLE)
                for _ in range(_TRIES * GRID)
            ]
        chosen, texts = self._select([from_json(kept)[0] for kept in founders], [one for one, _ in brood])
        genomes = [*founders, *(to_json(*brood[index]) for index in chosen)]
        creatures = [
            {"key": genome["key"], "parents": genome["parents"], "text": text}
            for genome, text in zip(genomes, texts, strict=True)
        ]
        step = {
            "number": number,
            "generation": generation,
            "from": before["number"],
            "parents": [parent["key"] for parent in parents] if number else [],
            "counters": {
                **counters,
                "genomes": keys.value,
                "nodes": nodes.value,
                "innovations": tracker.global_counter,
            },
            "genomes": genomes,
            "creatures": creatures,
        }
        (self.folder / "steps").mkdir(exist_ok=True)
        write_atomically(self.folder / "steps" / f"{number:04d}.json", json.dumps(step))
        write_atomically(self.folder / "current", str(number))

    def _bear(
        self,
        key: int,
        parents: Sequence[Mapping[str, Any]],
        config: neat.Config,
        generation: int,
        rounds: int,
    ) -> tuple[Any, Any]:
        """A child of one or two of the parents, mutated so many times, and its lineage."""
        import random

        import neat

        from fungal_assets.ancestors.genomes import Lineage, from_json, settle, tell_mutations

        pair = [from_json(parent)[0] for parent in random.sample(list(parents), min(2, len(parents)))]
        for rank, parent in enumerate(pair):
            parent.fitness = float(len(pair) - rank)
        child = neat.DefaultGenome(key)
        child.configure_crossover(pair[0], pair[-1], config.genome_config)
        for _ in range(rounds):
            child.mutate(config.genome_config)
        settle(child)
        told = tell_mutations(child, pair, len(self._about["ancestors"]))
        return child, Lineage(tuple(parent.key for parent in pair), generation, told)

    def _select(
        self, founders: Sequence[neat.DefaultGenome], brood: Sequence[neat.DefaultGenome]
    ) -> tuple[list[int], list[str]]:
        """Numbers of the children to show, alive and unlike each other, and the words for all that is shown."""
        import numpy as np

        from fungal_assets.ancestors.describing import describe_form
        from fungal_assets.ancestors.expression import express
        from fungal_assets.ancestors.fitness import matter_of
        from fungal_assets.ancestors.living import Kin, measure_viability
        from fungal_assets.ancestors.novelty import choose_apart, describe

        everyone = [*founders, *brood]
        grown = express(everyone, self.fields, _SIZE)
        kin = Kin.of(matter_of(self.fields, _SIZE))
        viability, _, pieces = measure_viability(grown.density > 0, kin)
        alive = np.array([one.wholeness * one.air * one.volume * one.texture for one in viability])
        alive = np.maximum(alive, 1e-3 * (pieces.flatten(1).sum(1).numpy() > 60))[len(founders) :]
        chosen = choose_apart(describe(pieces, grown.colour)[len(founders) :], alive, GRID - len(founders))
        shown = [*range(len(founders)), *(index + len(founders) for index in chosen)]
        return chosen, [describe_form(pieces[index].numpy(), grown.colour[index]) for index in shown]

    def _film(self, path: Path, genome: neat.DefaultGenome) -> None:
        import io

        from PIL import Image

        from fungal_assets.ancestors.expression import grow_form
        from fungal_assets.ancestors.keeping import turn_lit

        volume: Volume = grow_form(genome, self.fields, _SIZE)
        images = [Image.fromarray(frame) for frame in turn_lit(volume, _FRAMES, _FRAME_PX)]
        buffer = io.BytesIO()
        options = {"quality": 70, "method": 2, "duration": _FRAME_MS, "loop": 0}
        images[0].save(buffer, "WEBP", save_all=True, append_images=images[1:], **options)
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{path.name}")
        temporary.write_bytes(buffer.getvalue())
        temporary.replace(path)
