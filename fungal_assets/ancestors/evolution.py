"""Evolution: generations of genomes, each written down whole, so that a killed run goes on as if it had never stopped.

neat-python divides a generation into kinds, lets each have offspring by its share of the fitness, and mutates them.
Chance is seeded anew for each generation, by the seed and the generation's number; so what is bred from a generation
that was read back is what would have been bred without, and the same seed gives the same genomes to the byte.

    NNNN.json    one generation: its genomes with fitness and lineage, its kinds, the counters of genes, and what of it
                 is remembered as new; written under a temporary name

Belongs here: that loop and those files. Fitness is given. Torch is used behind it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from fungal_assets.ancestors.genomes import (
    Counter,
    Lineage,
    Stock,
    drawn_from,
    from_json,
    neat_config,
    settle,
    tell_mutations,
    to_json,
)
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.store import write_atomically

if TYPE_CHECKING:
    import neat

_THRESHOLD, _GENOMES_PER_KIND, _THRESHOLD_STEP = 2.0, 8, 1.08
Genomes = Sequence["neat.DefaultGenome"]


@dataclass(frozen=True)
class Scores:
    """What a generation is worth.

    Args:
        fitness: float, shape (P,), 0 or above.
        described: float32, shape (P, d): descriptions of the forms.
        measures: Figures of each genome, JSON-able.
        remembered: Numbers of the genomes to remember as new.
    """

    fitness: np.ndarray
    described: np.ndarray
    measures: Sequence[Mapping[str, float]]
    remembered: Sequence[int]


Score = Callable[[Genomes, np.ndarray], Scores]
"""Gets the genomes and the descriptions remembered so far, float32, shape (M, d), or (0, 0) of none."""


@dataclass
class Generation:
    """One generation, whole.

    Args:
        number: From 0.
        genomes: By key, in the order of their birth.
        lineage: Of each, by key.
        kinds: neat-python's species.
        counters: Where the counters of genomes, kinds, nodes and innovations stand.
        threshold: The distance of genes from which on two genomes are of different kinds; it moves, so that there are
            always about `_GENOMES_PER_KIND` of a kind.
        measures: Figures of each genome, by key.
        memory: Descriptions remembered from all generations up to this, float32, shape (M, d).
    """

    number: int
    genomes: dict[int, neat.DefaultGenome]
    lineage: dict[int, Lineage]
    kinds: Any
    counters: dict[str, int]
    threshold: float = _THRESHOLD
    measures: dict[int, Mapping[str, float]] = field(default_factory=dict)
    memory: np.ndarray = field(default_factory=lambda: np.zeros((0, 0), np.float32))


def evolve(
    stock: Stock,
    score: Score,
    folder: Path,
    *,
    population: int,
    generations: int,
    seed: int,
    tell: Tell = stay_silent,
) -> list[Generation]:
    """Evolve, or go on where the files in the folder end.

    Args:
        stock: What genomes are told and answer, and whom the evolution begins with.
        score: Gives a generation's fitness.
        folder: For the generations' files.
        population: Genomes of a generation.
        generations: To breed after the first, which is the founders.
        seed: Of all chance.
        tell: Told of progress.

    Returns:
        All generations, the first one with number 0.
    """
    folder.mkdir(parents=True, exist_ok=True)
    config = neat_config(stock, population)
    done = [read_generation(path, config) for path in sorted(folder.glob("[0-9]*.json"))][: generations + 1]
    ticker = Ticker(tell, "evolving", generations + 1, done=len(done))
    while len(done) <= generations:
        current = breed(done[-1], stock, config, seed) if done else first_generation(stock, config, seed)
        memory = done[-1].memory if done else np.zeros((0, 0), np.float32)
        _judge(current, score, memory)
        write_generation(folder / f"{current.number:04d}.json", current)
        done.append(current)
        best = max(genome.fitness for genome in current.genomes.values())
        ticker.tick(len(done), {"fitness": best, "kinds": len(current.kinds.species)})
    return done


def first_generation(stock: Stock, config: neat.Config, seed: int) -> Generation:
    """The founders of a stock, in turn."""
    tracker = _tracker(0)
    config.genome_config.innovation_tracker = tracker
    config.genome_config.node_indexer = nodes = Counter(len(stock.outputs))
    makers = stock.founders
    with drawn_from(seed, "first"):
        genomes = {key: makers[(key - 1) % len(makers)](key, config) for key in range(1, config.pop_size + 1)}
        lineage = {key: Lineage((), 0, ()) for key in genomes}
        kinds = _kinds(config, {}, 1)
        kinds.speciate(config, genomes, 0)
    counters = {"genomes": config.pop_size + 1, "kinds": kinds.indexer.value}
    counters |= {"nodes": nodes.value, "innovations": tracker.global_counter}
    return Generation(0, genomes, lineage, kinds, counters)


def breed(parents: Generation, stock: Stock, config: neat.Config, seed: int) -> Generation:
    """The generation after one whose fitness is known."""
    import neat

    reporters = neat.reporting.ReporterSet()
    stagnation = config.stagnation_type(config.stagnation_config, reporters)
    reproduction = config.reproduction_type(config.reproduction_config, reporters, stagnation)
    reproduction.genome_indexer = genomes_born = Counter(parents.counters["genomes"])
    reproduction.innovation_tracker = tracker = _tracker(parents.counters["innovations"])
    config.genome_config.node_indexer = nodes = Counter(parents.counters["nodes"])
    number = parents.number + 1
    threshold = _next_threshold(parents, config.pop_size)
    config.species_set_config.compatibility_threshold = threshold
    with drawn_from(seed, number):
        genomes = reproduction.reproduce(config, parents.kinds, config.pop_size, parents.number)
        for genome in genomes.values():
            settle(genome, config)
        parents.kinds.speciate(config, genomes, number)
    lineage = {}
    for key, genome in genomes.items():
        if key in parents.lineage:
            lineage[key] = parents.lineage[key]
        else:
            pair = sorted(
                set(reproduction.ancestors[key]), key=lambda each: (-parents.genomes[each].fitness, each)
            )
            told = tell_mutations(genome, [parents.genomes[each] for each in pair], stock)
            lineage[key] = Lineage(tuple(pair), number, told)
    counters = {"genomes": genomes_born.value, "kinds": parents.kinds.indexer.value}
    counters |= {"nodes": nodes.value, "innovations": tracker.global_counter}
    return Generation(number, genomes, lineage, parents.kinds, counters, threshold)


def _next_threshold(parents: Generation, population: int) -> float:
    kinds, wanted = len(parents.kinds.species), max(2, population // _GENOMES_PER_KIND)
    if kinds == wanted:
        return parents.threshold
    step = _THRESHOLD_STEP if kinds > wanted else 1 / _THRESHOLD_STEP
    return round(min(max(parents.threshold * step, 0.3), 6.0), 6)


def list_everyone(history: Sequence[Generation]) -> list[dict[str, Any]]:
    """Everyone that ever lived, once: key, generation, parents, mutations, fitness and measures, JSON-able."""
    everyone = {}
    for generation in history:
        for key, genome in generation.genomes.items():
            lineage = generation.lineage[key]
            everyone[key] = {
                "key": key,
                "generation": lineage.generation,
                "parents": list(lineage.parents),
                "mutations": list(lineage.mutations),
                "fitness": genome.fitness,
                **generation.measures[key],
            }
    return list(everyone.values())


def descend(history: Sequence[Generation], key: int) -> list[tuple[neat.DefaultGenome, Lineage]]:
    """The genomes that one descends from and itself, each with its lineage, the fitter parent each time."""
    genomes = {
        key: (generation.genomes[key], generation.lineage[key])
        for generation in history
        for key in generation.genomes
    }
    line = [genomes[key]]
    while line[-1][1].parents:
        line.append(genomes[line[-1][1].parents[0]])
    return line[::-1]


def write_generation(path: Path, generation: Generation) -> None:
    """Keep a generation, with its fitness, as JSON."""
    genomes = [to_json(genome, generation.lineage[key]) for key, genome in generation.genomes.items()]
    kinds = [
        {
            "key": kind.key,
            "created": kind.created,
            "last_improved": kind.last_improved,
            "history": kind.fitness_history,
            "representative": kind.representative.key,
            "members": list(kind.members),
        }
        for kind in generation.kinds.species.values()
    ]
    kept = {
        "number": generation.number,
        "counters": generation.counters,
        "threshold": generation.threshold,
        "genomes": genomes,
        "kinds": kinds,
        "measures": {str(key): dict(value) for key, value in generation.measures.items()},
        "memory": [[round(float(value), 4) for value in row] for row in generation.memory],
    }
    write_atomically(path, json.dumps(kept))


def read_generation(path: Path, config: neat.Config) -> Generation:
    """The generation in a file.

    Raises:
        ProvenanceError: A genome in it is none.
    """
    kept = json.loads(path.read_text())
    pairs = [from_json(genome) for genome in kept["genomes"]]
    genomes = {genome.key: genome for genome, _ in pairs}
    return Generation(
        kept["number"],
        genomes,
        {genome.key: lineage for genome, lineage in pairs},
        _kinds(
            config,
            {kind["key"]: _read_kind(kind, genomes) for kind in kept["kinds"]},
            kept["counters"]["kinds"],
        ),
        kept["counters"],
        kept["threshold"],
        {int(key): value for key, value in kept["measures"].items()},
        np.array(kept["memory"] or np.zeros((0, 0)), np.float32),
    )


def _judge(generation: Generation, score: Score, memory: np.ndarray) -> None:
    scores = score(list(generation.genomes.values()), memory)
    for genome, fitness in zip(generation.genomes.values(), scores.fitness, strict=True):
        genome.fitness = float(fitness)
    generation.measures = dict(zip(generation.genomes, scores.measures, strict=True))
    new = scores.described[list(scores.remembered)]
    generation.memory = np.concatenate([memory.reshape(-1, scores.described.shape[1]), new])


def _tracker(counter: int) -> Any:
    from neat.innovation import InnovationTracker

    return InnovationTracker(counter)


def _kinds(config: neat.Config, species: dict[int, Any], following: int) -> Any:
    import neat

    kinds = config.species_set_type(config.species_set_config, neat.reporting.ReporterSet())
    kinds.species, kinds.indexer = species, Counter(following)
    kinds.genome_to_species = {member: key for key, kind in species.items() for member in kind.members}
    return kinds


def _read_kind(kept: Mapping[str, Any], genomes: Mapping[int, neat.DefaultGenome]) -> Any:
    from neat.species import Species

    kind = Species(kept["key"], kept["created"])
    kind.last_improved, kind.fitness_history = kept["last_improved"], list(kept["history"])
    kind.representative = genomes[kept["representative"]]
    kind.members = {key: genomes[key] for key in kept["members"]}
    return kind
