"""Genomes: they are their ancestors at first, compute what neat-python computes, and survive being written down."""

import json

import neat
import numpy as np
import pytest
import torch
from neat.innovation import InnovationTracker

from fungal_assets.ancestors.bodies import read_body
from fungal_assets.ancestors.expression import bends, express, grid_points, grow_volume, sense
from fungal_assets.ancestors.genomes import (
    OUTPUTS,
    Lineage,
    drawn_from,
    form_stock,
    from_json,
    input_names,
    neat_config,
    seed_chimera,
    seed_genome,
    settle,
    tell_mutations,
    to_json,
)
from fungal_assets.ancestors.origins import read_origin
from fungal_assets.ancestors.programs import compile_genomes
from fungal_assets.ancestors.reproduction import measure_faithfully
from fungal_assets.errors import ProvenanceError
from fungal_assets_tests.ancestors.solids import ball, box, ring, toadstool, without


def config_of(ancestors):
    config = neat_config(form_stock(ancestors), 8)
    config.genome_config.innovation_tracker = InnovationTracker()
    return config


def mutants(ancestors, count, seed=0):
    """Genomes mutated 0, 1, 2 ... times."""
    config = config_of(ancestors)
    genomes = [seed_genome(key % ancestors, key, config) for key in range(count)]
    with drawn_from(seed):
        for rounds, genome in enumerate(genomes):
            for _ in range(rounds):
                genome.mutate(config.genome_config)
            settle(genome, config)
    return genomes, config


@pytest.mark.parametrize("name", ["ball.ply", "box.stl", "ring.glb", "holed.obj", "toadstool.glb"])
def test_an_uploaded_object_is_reproduced_at_first(tmp_path, name):
    """One with a hole through it, one that is not watertight, one of two pieces; by the mesh's own inside."""
    mesh = {"ball": ball(), "box": box((1, 1.4, 0.7)), "ring": ring(), "holed": without(ball(), 60),
            "toadstool": toadstool()}[name.split(".")[0]]  # fmt: skip
    mesh.export(tmp_path / name)
    assert measure_faithfully(name, read_body(tmp_path / name))[1] >= 0.99


def test_a_form_of_the_fungarium_is_reproduced_at_first():
    assert measure_faithfully(*read_origin("fungarium:fly_agaric"))[1] >= 0.99


def test_a_genome_of_another_ancestor_is_not_this_one(ball_field, toadstool_field):
    config = config_of(2)
    grown = express([seed_genome(number, 1, config) for number in (0, 1)], [ball_field, toadstool_field], 24)
    matter = grown.density > 0
    assert (matter[0] != matter[1]).any()
    distance = ball_field.distance_at(grid_points(24)).view(24, 24, 24)
    assert ((distance < 0) == matter[0]).all()


def test_the_union_of_two_is_where_either_is(ball_field, toadstool_field):
    config = config_of(2)
    pair = [
        seed_genome(0, 1, config),
        seed_genome(1, 2, config),
        seed_chimera((0, 1), 3, config, is_union=True),
    ]
    first, second, union = express(pair, [ball_field, toadstool_field], 24).density > 0
    assert (union == (first | second)).float().mean() > 0.9999


def test_programs_compute_what_neat_python_computes():
    genomes, config = mutants(2, 24)
    inputs = torch.rand(len(input_names(2)), 9, generator=torch.Generator().manual_seed(1)) * 2 - 1
    program = compile_genomes(genomes, inputs=len(inputs), outputs=len(OUTPUTS))
    found = program.run(inputs)
    for number, genome in enumerate(genomes):
        network = neat.nn.FeedForwardNetwork.create(genome, config)
        expected = [network.activate(point.tolist()) for point in inputs.T]
        assert np.allclose(found[number].T, expected, atol=1e-5)
    own = program.run(inputs.expand(len(genomes), *inputs.shape).contiguous())
    assert torch.allclose(own, found, atol=1e-6)


def test_a_program_needs_no_input_that_nothing_leads_from():
    genomes, _ = mutants(2, 1)
    program = compile_genomes(genomes, inputs=len(input_names(2)), outputs=len(OUTPUTS))
    assert {input_names(2)[number] for number in program.uses} == {"distance 1", "red 1", "green 1", "blue 1"}


def test_a_genome_grows_the_same_after_it_was_written_down(toadstool_field):
    genomes, _ = mutants(1, 12)
    for genome in genomes:
        kept = json.loads(json.dumps(to_json(genome, Lineage((1, 2), 4, ("new sin",)))))
        again, lineage = from_json(kept)
        assert lineage == Lineage((1, 2), 4, ("new sin",))
        assert to_json(again, lineage) == kept
        one, other = express([genome], [toadstool_field], 16), express([again], [toadstool_field], 16)
        assert torch.equal(one.density, other.density) and torch.equal(one.colour, other.colour)


def test_what_is_no_genome_is_refused():
    with pytest.raises(ProvenanceError, match="this is no genome: its format is 99, expected 1"):
        from_json({"format": 99})


def test_a_bend_moves_matter_and_keeps_it(toadstool_field):
    genomes, config = mutants(1, 1)
    straight = express(genomes, [toadstool_field], 32).density[0] > 0
    genomes[0].nodes[OUTPUTS.index("bend x")].bias = 0.2
    assert bends(genomes[0])
    bent = express(genomes, [toadstool_field], 32).density[0] > 0
    assert bent.sum() == pytest.approx(int(straight.sum()), rel=0.1)
    shift = bent.nonzero().float().mean(0) - straight.nonzero().float().mean(0)
    expected = -0.3 * np.tanh(0.2) / (2 / 31)
    assert shift.tolist() == pytest.approx([0, 0, expected], abs=0.3)


def test_a_volume_has_its_surface_where_the_density_is_0(ball_field):
    genomes, _ = mutants(1, 1)
    volume = grow_volume(genomes[0], [ball_field], 40)
    matter = (volume.cell_alpha() > 0.5).float()
    assert float(matter.sum()) * (2 / 39) ** 3 == pytest.approx(4 / 3 * np.pi * 0.75**3, rel=0.02)
    centre = torch.sigmoid(volume.colour[:, 20, 20, 20])
    assert torch.allclose(centre, torch.tensor([0.8, 0.3, 0.2]), atol=0.02)


def test_what_is_told_of_a_point_has_the_names_order(ball_field):
    told = dict(
        zip(input_names(1), sense(torch.tensor([[0.3, -0.2, 0.4]]), [ball_field])[:, 0].tolist(), strict=True)
    )
    assert (
        told["x"] == pytest.approx(0.3)
        and told["y"] == pytest.approx(-0.2)
        and told["z"] == pytest.approx(0.4)
    )
    assert told["axis"] == pytest.approx(0.5)
    assert told["spokes 6"] == pytest.approx(np.cos(6 * np.arctan2(0.4, 0.3)), abs=1e-5)
    assert told["distance 1"] == pytest.approx(4 * (0.75 - np.sqrt(0.29)), abs=0.1)


def test_mutations_are_told_in_words():
    genomes, config = mutants(1, 1)
    parent, settings = genomes[0], config.genome_config
    child, _ = from_json(to_json(parent, Lineage((), 0, ())))
    child.add_connection(settings, -1, 0, 0.3, True)
    child.connections[-10, 0].weight = 0.7
    assert tell_mutations(child, [parent], form_stock(1)) == ("x to density", "1 weights")


def test_chance_is_seeded_and_left_as_it_was():
    import random

    random.seed(5)
    expected = random.random()
    random.seed(5)
    with drawn_from("a", 1):
        first = random.random()
    assert random.random() == expected
    with drawn_from("a", 1):
        assert random.random() == first
