"""The same seed gives the same genomes to the byte, also when a run was killed; and generations get somewhere."""

import shutil

import pytest

from fungal_assets.ancestors.bodies import mend
from fungal_assets.ancestors.evolution import evolve
from fungal_assets.ancestors.fields import measure_field
from fungal_assets.ancestors.fitness import Fitness
from fungal_assets.ancestors.genomes import form_stock
from fungal_assets.ancestors.judging import FungusJudge
from fungal_assets_tests.ancestors.solids import ball, body_of, toadstool

POPULATION, GENERATIONS = 10, 5


def run(fields, folder, *, seed=1, generations=GENERATIONS, **fitness):
    score = Fitness(fields, **({"kind": "novelty", "grid_size": 16} | fitness))
    return evolve(
        form_stock(len(fields)), score, folder, population=POPULATION, generations=generations, seed=seed
    )


def files(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.json")}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory, ball_field, toadstool_field):
    folder = tmp_path_factory.mktemp("evolution")
    return folder, run([ball_field, toadstool_field], folder)


def test_the_same_seed_gives_the_same_genomes_to_the_byte(unbroken, tmp_path, ball_field, toadstool_field):
    run([ball_field, toadstool_field], tmp_path)
    assert files(tmp_path) == files(unbroken[0]) and len(files(tmp_path)) == GENERATIONS + 1


@pytest.mark.parametrize("kept", [1, 3])
def test_a_killed_run_goes_on_as_if_it_had_never_stopped(
    unbroken, tmp_path, kept, ball_field, toadstool_field
):
    for number in range(kept):
        shutil.copy(unbroken[0] / f"{number:04d}.json", tmp_path)
    (tmp_path / f".{kept:04d}.json-1").write_text("{")  # what it was writing when it was killed
    run([ball_field, toadstool_field], tmp_path)
    assert files(tmp_path) == files(unbroken[0])


def test_another_seed_gives_other_genomes(unbroken, tmp_path, ball_field, toadstool_field):
    run([ball_field, toadstool_field], tmp_path, seed=2, generations=2)
    assert files(tmp_path)["0002.json"] != files(unbroken[0])["0002.json"]


def test_everyone_has_parents_in_the_generation_before(unbroken):
    _, history = unbroken
    assert all(not lineage.parents for lineage in history[0].lineage.values())
    for before, generation in zip(history, history[1:], strict=False):
        for key, lineage in generation.lineage.items():
            if lineage.generation == generation.number:
                assert lineage.parents and set(lineage.parents) <= set(before.genomes)
            else:
                assert key in before.genomes
    told = [
        one
        for generation in history[1:]
        for lineage in generation.lineage.values()
        for one in lineage.mutations
    ]
    assert any("weights" in one for one in told) and any(" to " in one for one in told)


def test_the_first_generation_has_each_ancestor_and_chimeras_of_both(unbroken):
    _, history = unbroken
    measures = list(history[0].measures.values())
    assert [one["overlap"] for one in measures[:2]] == [1, 1]
    assert any(one["overlap"] < 0.99 for one in measures[2:4])


def test_forms_become_unlike_their_ancestor_and_stay_alive(unbroken):
    _, history = unbroken
    last = history[-1].measures.values()
    alive = [one for one in last if one["viability"] > 0.5]
    assert len(alive) >= 2 and min(one["overlap"] for one in alive) < 0.8


def test_what_could_not_live_is_worth_nothing(unbroken):
    _, history = unbroken
    everyone = [
        (generation.genomes[key].fitness, one["viability"])
        for generation in history
        for key, one in generation.measures.items()
    ]
    dead = [fitness for fitness, viability in everyone if viability == 0]
    assert dead and not any(dead) and len(dead) < len(everyone) / 2


def test_a_target_is_approached(tmp_path, ball_field, toadstool_field):
    history = run([toadstool_field], tmp_path, kind="target", target=ball_field, generations=6)
    best = [max(one["matched"] for one in generation.measures.values()) for generation in history]
    assert max(best) > best[0] + 0.1


def test_what_fits_the_words_is_fitter(tmp_path):
    """A toadstool in a toadstool's colours fits "a fly agaric mushroom" better than a blue ball."""
    fields = [
        measure_field(name, mend(body_of(mesh, colour), name=name), cells=40)
        for name, mesh, colour in (
            ("toadstool", toadstool(), (0.8, 0.1, 0.05)),
            ("ball", ball(), (0.1, 0.2, 0.9)),
        )
    ]
    words = {"words": "a fly agaric mushroom", "judge": FungusJudge(), "grid_size": 24}
    (first,) = run(fields, tmp_path, kind="words", generations=0, **words)
    fits = [first.measures[key]["fit"] for key in (1, 2)]
    assert 0 < fits[1] < fits[0] < 1
    assert first.genomes[1].fitness > first.genomes[2].fitness
