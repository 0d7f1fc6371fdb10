"""Breeding by eye: a person picks parents from a grid of creatures or pictures, generation after generation.

After EndlessForms (J. Clune, J. Yosinski, E. Doan, H. Lipson, 2011) and Picbreeder (J. Secretan and others, 2008).
Everything is on disk before it is shown, so that neither a reload nor a kill loses anything:

    <store>/breeding/<session>/session.json       what they descend from, and the seed
    <store>/breeding/<session>/steps/NNNN.json    one grid: its genomes, their parents, the counters of genes, and the
                                                  step that it was bred from
    <store>/breeding/<session>/current            the number of the step that is shown; undo points to the one before
    <store>/breeding/<session>/shown/<key>.webp   a creature turning or a picture, made when it is first asked for
    <store>/breeding/<session>/saved/<slug>/...   a child that was kept, with its lineage

Chance is seeded by the session's seed and the step's number. Belongs here: the session. What is bred is a `Subject`'s
(`bred_forms`, `bred_pictures`); the page stands in `serving`. Heavy libraries: import them inside functions only.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.store import write_atomically

if TYPE_CHECKING:
    import neat

    from fungal_assets.ancestors.genomes import Stock
    from fungal_assets.ancestors.keeping import Descendant

GRID = 12
"""Creatures on a page."""
FORM_NOTES, PICTURE_NOTES = "form.json", "picture.json"
"""Written last of what is saved, so that their presence means complete."""
_TRIES = 3
_GENTLE, _BOLD = 1, 4


@dataclass(frozen=True)
class Beginning:
    """What a session begins with.

    Args:
        descents: Of each first genome: those that it descends from, and itself, as JSON.
        counters: Where the counters of genes stand.
    """

    descents: Sequence[Sequence[Mapping[str, Any]]]
    counters: Mapping[str, int]

    @classmethod
    def of_first(cls, stock: Stock, population: int, seed: int) -> Beginning:
        """A first generation, which descends from nothing: the founders of its stock, and the others by chance."""
        from fungal_assets.ancestors.evolution import first_generation
        from fungal_assets.ancestors.genomes import neat_config, to_json

        first = first_generation(stock, neat_config(stock, population), seed)
        kept = [to_json(genome, first.lineage[key]) for key, genome in first.genomes.items()]
        return cls([[one] for one in kept], first.counters)


class Subject(Protocol):
    """What is bred in a session: forms or pictures.

    Args:
        noun: Of one of them.
        title: Of all.
        name: What a saved one is called, before its key.
        notes_name: The file that says that a saved one is complete.
    """

    noun: str
    title: str
    name: str
    notes_name: str

    @property
    def stock(self) -> Stock:
        """What genomes are told and answer."""

    def begin(self, seed: int) -> Beginning:
        """The first genomes."""

    def select(
        self, founders: Sequence[neat.DefaultGenome], brood: Sequence[neat.DefaultGenome], count: int
    ) -> tuple[list[int], list[str]]:
        """Numbers of the children to show, unlike each other, and the words for founders and them."""

    def show(self, genome: neat.DefaultGenome, path: Path) -> None:
        """Write what the page shows, as WebP."""

    def keep(self, folder: Path, descendant: Descendant, notes: Mapping[str, Any]) -> None:
        """Keep one with its notes, whole."""


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
    def begin(cls, folder: Path, about: Mapping[str, Any]) -> Session:
        """A new session, or the one that is there if it began with the same.

        Args:
            folder: Of the session.
            about: JSON-able: `seed`, and either `ancestors` of forms, `name` and `path` of each, or `pictures`, as
                `bred_pictures` reads them.

        Raises:
            InputError: The folder has a session that began otherwise.
        """
        path = folder / "session.json"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, json.dumps(about, indent=1))
        elif json.loads(path.read_text()) != about:
            raise InputError(
                f"the session {folder.name!r} began with others. Go on with it by naming no objects, or begin another "
                "one: --session NAME"
            )
        return cls(folder)

    @cached_property
    def subject(self) -> Subject:
        """What is bred."""
        from fungal_assets.ancestors.bred_forms import BredForms
        from fungal_assets.ancestors.bred_pictures import BredPictures

        if "pictures" in self._about:
            return BredPictures(self._about["pictures"])
        return BredForms(self.folder, self._about["ancestors"])

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
                "title": self.subject.title,
                "noun": self.subject.noun,
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
        """Keep a creature with its whole lineage; returns its folder.

        Raises:
            InputError: There is no such creature.
        """
        from fungal_assets.ancestors.genomes import from_json
        from fungal_assets.ancestors.keeping import Descendant

        with self._working():
            descent = self._descent(key)
            genome, lineage = from_json(descent[-1])
            slug = f"bred-{self.folder.name}-{key:05d}"
            notes = {
                "slug": slug,
                "common_name": f"{self.subject.name} {key}",
                "key": key,
                "generation": lineage.generation,
                "parents": list(lineage.parents),
                "bred_by": "a person",
                "session": self.folder.name,
                "text": self._texts()[key],
            }
            folder = self.folder / "saved" / slug
            self.subject.keep(folder, Descendant(genome, lineage, descent), notes)
            return folder

    def shown(self, key: int) -> bytes:
        """A creature turning, or a picture: WebP.

        Raises:
            InputError: There is no such one.
        """
        path = self.folder / "shown" / f"{key}.webp"
        if not path.exists():
            genome = self._find(key)
            with self._working():
                if not path.exists():
                    path.parent.mkdir(exist_ok=True)
                    temporary = path.with_name(f".{path.name}")
                    self.subject.show(genome, temporary)
                    temporary.replace(path)
        return path.read_bytes()

    @cached_property
    def _begun(self) -> Beginning:
        return self.subject.begin(self._about["seed"])

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
        bred = {genome["key"]: genome for step in self._steps() for genome in step["genomes"]}
        if key not in bred:
            raise InputError(f"there is no {self.subject.noun} {key} in the session {self.folder.name!r}.")
        genomes = {one["key"]: one for descent in self._begun.descents for one in descent} | bred
        line = [genomes[key]]
        while line[-1]["parents"]:
            line.append(genomes[line[-1]["parents"][0]])
        return line[::-1]

    def _saved(self) -> list[dict[str, Any]]:
        paths = sorted((self.folder / "saved").glob(f"*/{self.subject.notes_name}"))
        return [json.loads(path.read_text()) for path in paths]

    def _begin(self) -> None:
        """The first grid: first genomes, and children of these."""
        parents = [descent[-1] for descent in self._begun.descents]
        last = max(parent["generation"] for parent in parents)
        empty = {"number": None, "generation": last - 1, "counters": self._begun.counters}
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

        config = neat_config(self.subject.stock, GRID)
        settings, counters = config.genome_config, before["counters"]
        settings.innovation_tracker = tracker = InnovationTracker(counters["innovations"])
        settings.node_indexer = nodes = Counter(counters["nodes"])
        keys, generation = Counter(counters["genomes"]), before["generation"] + 1
        with drawn_from(self._about["seed"], "step", number):
            brood = [
                self._bear(next(keys), parents, config, generation, _BOLD if is_bold else _GENTLE)
                for _ in range(_TRIES * GRID)
            ]
        chosen, texts = self.subject.select(
            [from_json(kept)[0] for kept in founders], [one for one, _ in brood], GRID - len(founders)
        )
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
        settle(child, config)
        told = tell_mutations(child, pair, self.subject.stock)
        return child, Lineage(tuple(parent.key for parent in pair), generation, told)
