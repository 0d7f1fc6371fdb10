"""How fast genomes are computed: our tensor programs against plain neat-python, and generations of 150.

    python benchmarks/ancestors.py

The genomes are those of a generation that was bred for a while, each on the 32^3 points of the grid that forms are bred
on. neat-python's own network is asked for a sample of the points, since all would take minutes; the answers of both are
compared. Times are the processor's, of one thread.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import neat
import numpy as np
import torch

from fungal_assets.ancestors.evolution import evolve
from fungal_assets.ancestors.expression import express, grid_points, sense
from fungal_assets.ancestors.fields import measure_field
from fungal_assets.ancestors.fitness import Fitness
from fungal_assets.ancestors.genomes import OUTPUTS, form_stock, input_names, neat_config
from fungal_assets.ancestors.origins import read_origin
from fungal_assets.ancestors.programs import compile_genomes

SIZE, POPULATION, GENERATIONS, SAMPLES, ROUNDS = 32, 150, 12, 150, 3


def main() -> None:
    """Measure, and print the figures."""
    torch.set_num_threads(1)
    field = measure_field(*read_origin("fungarium:fly_agaric"))
    with tempfile.TemporaryDirectory() as folder:
        start_s = time.process_time()
        score = Fitness([field], "novelty", SIZE)
        history = evolve(
            form_stock(1),
            score,
            Path(folder),
            population=POPULATION,
            generations=GENERATIONS,
            seed=0,
            tell=print,
        )
        generation_s = (time.process_time() - start_s) / len(history)
    genomes = list(history[-1].genomes.values())
    config = neat_config(form_stock(1), POPULATION)
    inputs = sense(grid_points(SIZE), [field])
    program = compile_genomes(genomes, inputs=len(input_names(1)), outputs=len(OUTPUTS))
    found = program.run(inputs)
    room = found.clone()
    ours_s = min(timed(lambda: compile_and_run(genomes, inputs, room)) for _ in range(ROUNDS)) / len(genomes)
    whole_s = timed(lambda: express(genomes, [field], SIZE, inputs=inputs, room=room)) / len(genomes)
    places = np.random.default_rng(0).choice(inputs.shape[1], SAMPLES, replace=False)
    asked = [inputs[:, place].tolist() for place in places]
    worst, theirs_s = 0.0, 0.0
    for number, genome in enumerate(genomes):
        network = neat.nn.FeedForwardNetwork.create(genome, config)
        start_s = time.process_time()
        answers = [network.activate(point) for point in asked]
        theirs_s += time.process_time() - start_s
        worst = max(worst, float(np.abs(np.array(answers).T - found[number][:, places].numpy()).max()))
    theirs_s *= inputs.shape[1] / SAMPLES / len(genomes)
    nodes = [sum(key[1] in genome.nodes for key in genome.connections) for genome in genomes]
    print(
        json.dumps(
            {
                "mean_connections": round(float(np.mean(nodes)), 1),
                "ours_ms": round(1e3 * ours_s, 3),
                "ours_per_s": round(1 / ours_s, 1),
                "with_bend_ms": round(1e3 * whole_s, 3),
                "neat_python_ms": round(1e3 * theirs_s, 1),
                "times_faster": round(theirs_s / ours_s, 1),
                "largest_difference": worst,
                "generations_per_s_of_150": round(1 / generation_s, 3),
            },
            indent=1,
        )
    )


def compile_and_run(genomes: list, inputs: torch.Tensor, room: torch.Tensor) -> None:
    """What one generation costs beside its fitness."""
    compile_genomes(genomes, inputs=len(inputs), outputs=len(OUTPUTS)).run(inputs, room)


def timed(work: Callable[[], object]) -> float:
    """Seconds of this process."""
    start_s = time.process_time()
    work()
    return time.process_time() - start_s


if __name__ == "__main__":
    main()
