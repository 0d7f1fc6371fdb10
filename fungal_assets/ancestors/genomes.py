"""Genomes: networks that compose simple patterns, as NEAT breeds them, and as JSON.

A genome is a graph of nodes, each with an activation, joined by weighted connections (K. Stanley, "Compositional
pattern producing networks", 2007). What it is told of a point, what it answers, and what the first genomes are, is its
stock. A form's is told where the point is and how far the surface of each ancestor is there, and answers how dense and
of what colour the point is, and how far to move before asking (the bend, an addition of this project: a stem that sways
stays as thick as it is). The genome that an evolution of forms starts from passes the distance and the colour of one
ancestor through, and so is that ancestor; what comes later adds to it. The stock of pictures stands in
`picture_drawing`.

The genes, their mutation and crossover are neat-python's (K. Stanley, R. Miikkulainen, "Evolving neural networks
through augmenting topologies", 2002). Never pickled: a genome is JSON, and its key, parents and mutations are its
lineage. Belongs here: genes and their names. How they are computed stands in `programs`, who breeds in `evolution`.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from configparser import ConfigParser
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.errors import ProvenanceError

if TYPE_CHECKING:
    import neat

SPOKES = (3, 6, 12, 24)
"""How many lobes, ribs or gills the inputs draw about the axis."""
PLACES = ("x", "y", "z", "axis", "middle", *(f"spokes {count}" for count in SPOKES))
SENSES = ("distance", "red", "green", "blue")
OUTPUTS = ("density", "red", "green", "blue", "bend x", "bend y", "bend z")
ACTIVATIONS = ("identity", "sin", "gauss", "tanh", "abs", "hat")
FORMAT = 1

_SETTINGS = """
[NEAT]
fitness_criterion = max
fitness_threshold = 1e9
pop_size = {population}
reset_on_extinction = False
no_fitness_termination = True
[DefaultStagnation]
species_fitness_func = max
max_stagnation = 20
species_elitism = 3
[DefaultSpeciesSet]
compatibility_threshold = 2.0
[DefaultReproduction]
elitism = 1
survival_threshold = 0.4
min_species_size = 1
[DefaultGenome]
num_inputs = {inputs}
num_outputs = {outputs}
num_hidden = 0
feed_forward = True
initial_connection = unconnected
compatibility_disjoint_coefficient = 1.0
compatibility_weight_coefficient = 0.5
conn_add_prob = 0.45
conn_delete_prob = 0.15
node_add_prob = 0.25
node_delete_prob = 0.08
single_structural_mutation = False
structural_mutation_surer = default
activation_default = random
activation_options = {activations}
activation_mutate_rate = 0.06
aggregation_default = sum
aggregation_options = sum
aggregation_mutate_rate = 0.0
bias_init_mean = 0.0
bias_init_stdev = 0.25
bias_init_type = gaussian
bias_max_value = 2.0
bias_min_value = -2.0
bias_mutate_power = 0.12
bias_mutate_rate = 0.25
bias_replace_rate = 0.02
response_init_mean = 1.0
response_init_stdev = 0.0
response_init_type = gaussian
response_max_value = 1.0
response_min_value = 1.0
response_mutate_power = 0.0
response_mutate_rate = 0.0
response_replace_rate = 0.0
time_constant_init_mean = 1.0
time_constant_init_stdev = 0.0
time_constant_init_type = gaussian
time_constant_max_value = 1.0
time_constant_min_value = 1.0
time_constant_mutate_power = 0.0
time_constant_mutate_rate = 0.0
time_constant_replace_rate = 0.0
enabled_default = True
enabled_mutate_rate = 0.01
enabled_rate_to_true_add = 0.0
enabled_rate_to_false_add = 0.0
weight_init_mean = 0.0
weight_init_stdev = 0.5
weight_init_type = gaussian
weight_max_value = 3.0
weight_min_value = -3.0
weight_mutate_power = 0.2
weight_mutate_rate = 0.5
weight_replace_rate = 0.03
"""


class Counter:
    """Counts up, as `itertools.count`, and says where it stands."""

    def __init__(self, value: int):
        self.value = value

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        self.value += 1
        return self.value - 1


@dataclass(frozen=True)
class Stock:
    """What all genomes of an evolution have in common.

    Args:
        inputs: What they are told of a point, by name; the pin of number i has the key -1 - i.
        outputs: What they answer, by name; the node of number i has the key i.
        founders: Makers of the first genomes, which get a key and neat-python's settings.
        changes: What of those settings is otherwise than below, by section.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    founders: tuple[Callable[[int, neat.Config], neat.DefaultGenome], ...]
    changes: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Lineage:
    """Where a genome is from.

    Args:
        parents: Keys of its parents, the fitter first; none of a first one.
        generation: That it was born in.
        mutations: What it has that neither parent has, one phrase each.
    """

    parents: tuple[int, ...]
    generation: int
    mutations: tuple[str, ...]


def input_names(ancestors: int) -> tuple[str, ...]:
    """What a form's genome with so many ancestors is told of a point."""
    return PLACES + tuple(f"{sense} {number}" for number in range(1, ancestors + 1) for sense in SENSES)


def form_stock(ancestors: int) -> Stock:
    """The stock of forms with so many ancestors: begun from each, and from the mean and the union of any two."""
    pairs = combinations(range(ancestors), 2)
    return Stock(
        input_names(ancestors),
        OUTPUTS,
        (
            *(partial(seed_genome, ancestor) for ancestor in range(ancestors)),
            *(partial(seed_chimera, pair, is_union=is_union) for pair in pairs for is_union in (False, True)),
        ),
    )


def neat_config(stock: Stock, population: int) -> neat.Config:
    """neat-python's settings for genomes of a stock."""
    import neat

    text = _SETTINGS.format(
        population=population,
        inputs=len(stock.inputs),
        outputs=len(stock.outputs),
        activations=" ".join(ACTIVATIONS),
    )
    kinds = (neat.DefaultGenome, neat.DefaultReproduction, neat.DefaultSpeciesSet, neat.DefaultStagnation)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "neat.ini"
        settings = ConfigParser()
        settings.read_string(text)
        settings.read_dict(stock.changes)
        with path.open("w") as file:
            settings.write(file)
        config = neat.Config(*kinds, str(path))
    config.genome_config.node_indexer = Counter(len(stock.outputs))
    return config


@contextmanager
def drawn_from(*seed: object) -> Iterator[None]:
    """neat-python draws from the one generator of `random`: seed it, and leave it as it was."""
    before = random.getstate()
    random.seed("-".join(map(str, seed)))
    try:
        yield
    finally:
        random.setstate(before)


def empty_genome(key: int, config: neat.Config) -> neat.DefaultGenome:
    """The genome that answers 0 to everything."""
    import neat

    genome = neat.DefaultGenome(key)
    for output in config.genome_config.output_keys:
        genome.nodes[output] = genome.create_node(config.genome_config, output)
    settle(genome, config)
    for node in genome.nodes.values():
        node.bias = 0.0
    return genome


def seed_genome(ancestor: int, key: int, config: neat.Config) -> neat.DefaultGenome:
    """The genome that is one of the ancestors, numbered from 0: its distance and colour passed through."""
    genome, settings = empty_genome(key, config), config.genome_config
    for output in range(len(SENSES)):
        pin = -1 - (len(PLACES) + len(SENSES) * ancestor + output)
        genome.add_connection(settings, pin, output, 1.0, True)
    return genome


def lone_seed() -> neat.DefaultGenome:
    """The genome that is its only ancestor."""
    from neat.innovation import InnovationTracker

    config = neat_config(form_stock(1), 2)
    config.genome_config.innovation_tracker = InnovationTracker()
    return seed_genome(0, 1, config)


def seed_chimera(
    pair: tuple[int, int], key: int, config: neat.Config, *, is_union: bool
) -> neat.DefaultGenome:
    """The genome that is the mean of two ancestors, numbered from 0, or their union.

    The union of two bodies is where the larger of their densities is above 0, and max(a, b) = (a + b + |a - b|) / 2.
    """
    genome, settings = seed_genome(pair[0], key, config), config.genome_config
    genome.connections.clear()
    pins = [-1 - (len(PLACES) + len(SENSES) * ancestor) for ancestor in pair]
    for pin in pins:
        for output in range(len(SENSES)):
            genome.add_connection(settings, pin - output, output, 0.5, True)
    if is_union:
        node = settings.get_new_node_key(genome.nodes)
        genome.nodes[node] = genome.create_node(settings, node)
        genome.nodes[node].activation, genome.nodes[node].bias = "abs", 0.0
        genome.add_connection(settings, pins[0], node, 1.0, True)
        genome.add_connection(settings, pins[1], node, -1.0, True)
        genome.add_connection(settings, node, 0, 0.5, True)
    return genome


def settle(genome: neat.DefaultGenome, config: neat.Config) -> None:
    """Keep outputs plain sums: what they mean does not mutate."""
    for output in config.genome_config.output_keys:
        genome.nodes[output].activation = "identity"


def to_json(genome: neat.DefaultGenome, lineage: Lineage) -> dict[str, Any]:
    """A genome with its lineage, JSON-able; the order of the genes is kept, since chance meets them in it."""
    return {
        "format": FORMAT,
        "key": genome.key,
        "generation": lineage.generation,
        "parents": list(lineage.parents),
        "mutations": list(lineage.mutations),
        "fitness": genome.fitness,
        "nodes": [[node.key, node.activation, node.bias] for node in genome.nodes.values()],
        "connections": [
            [*gene.key, gene.weight, gene.enabled, gene.innovation] for gene in genome.connections.values()
        ],
    }


def from_json(kept: Mapping[str, Any]) -> tuple[neat.DefaultGenome, Lineage]:
    """The genome that `to_json` kept.

    Raises:
        ProvenanceError: It is none, or of another format.
    """
    import neat

    try:
        if kept["format"] != FORMAT:
            raise ValueError(f"its format is {kept['format']!r}, expected {FORMAT}")
        genome = neat.DefaultGenome(int(kept["key"]))
        genome.fitness = kept["fitness"]
        for key, activation, bias in kept["nodes"]:
            node = neat.genes.DefaultNodeGene(key)
            node.bias, node.response, node.activation, node.aggregation = bias, 1.0, activation, "sum"
            node.time_constant = 1.0
            genome.nodes[key] = node
        for start, end, weight, is_enabled, innovation in kept["connections"]:
            gene = neat.genes.DefaultConnectionGene((start, end), innovation=innovation)
            gene.weight, gene.enabled = weight, is_enabled
            genome.connections[start, end] = gene
        lineage = Lineage(tuple(kept["parents"]), kept["generation"], tuple(kept["mutations"]))
    except (KeyError, TypeError, ValueError) as error:
        raise ProvenanceError(
            f"this is no genome: {error}. Evolve again: fungal grow --with ancestors"
        ) from error
    return genome, lineage


def tell_mutations(
    child: neat.DefaultGenome, parents: Sequence[neat.DefaultGenome], stock: Stock
) -> tuple[str, ...]:
    """What a child has that none of its parents has, in words."""
    names = dict(enumerate(stock.outputs)) | {-1 - at: name for at, name in enumerate(stock.inputs)}
    nodes = {key for parent in parents for key in parent.nodes}
    links = {key for parent in parents for key in parent.connections}
    told = [f"new {node.activation}" for key, node in child.nodes.items() if key not in nodes]
    told += [
        f"{names.get(start, f'node {start}')} to {names.get(end, f'node {end}')}"
        for start, end in child.connections
        if (start, end) not in links and (start in nodes or start < 0) and end in nodes
    ]
    told += [
        f"{node.activation} in place of {first.activation}"
        for key, node in child.nodes.items()
        if (first := parents[0].nodes.get(key)) is not None and first.activation != node.activation
    ]
    changed = sum(
        all(
            key not in parent.connections or parent.connections[key].weight != gene.weight
            for parent in parents
        )
        for key, gene in child.connections.items()
        if key in links
    )
    return (*told, *([f"{changed} weights"] if changed else []))
