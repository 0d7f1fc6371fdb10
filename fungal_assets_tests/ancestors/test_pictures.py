"""Evolved pictures: the same at any size, bred for what they are told, kept whole; each check finds its fault."""

import json
import shutil

import numpy as np
import pytest
import torch
from neat.innovation import InnovationTracker
from PIL import Image

from fungal_assets.ancestors import picture_checks as checks
from fungal_assets.ancestors.describing import describe_picture
from fungal_assets.ancestors.genomes import drawn_from, empty_genome, neat_config, settle
from fungal_assets.ancestors.keeping import read_genome
from fungal_assets.ancestors.picture_drawing import (
    OUTPUTS,
    Drawn,
    ask,
    chance_genome,
    draw,
    from_oklab,
    picture_stock,
    place_points,
    sense,
)
from fungal_assets.ancestors.picture_evolving import evolve_pictures
from fungal_assets.ancestors.picture_fitness import SIZE_PX, match, measure_presence
from fungal_assets.ancestors.picture_keeping import list_pictures
from fungal_assets.ancestors.picture_targets import read_target
from fungal_assets.errors import InputError

SMALL = {
    "fitness": "target",
    "targets": ["fungarium:fly_agaric"],
    "words": [],
    "population": 14,
    "generations": 4,
    "pictures": 2,
    "size_px": 96,
    "seed": 3,
}
ALL = (checks.check_replay, checks.check_sizes, checks.check_presence, checks.check_difference)


@pytest.fixture(scope="module")
def config():
    config = neat_config(picture_stock(), 14)
    config.genome_config.innovation_tracker = InnovationTracker()
    return config


@pytest.fixture(scope="module")
def disc(config):
    """A genome whose figure is a disc of radius 0.5."""
    genome = empty_genome(1, config)
    genome.add_connection(config.genome_config, -4, OUTPUTS.index("figure"), -1.0, True)
    genome.nodes[OUTPUTS.index("figure")].bias = 0.5
    genome.nodes[OUTPUTS.index("lightness")].bias = 1.0
    genome.nodes[OUTPUTS.index("ground")].bias = -1.0
    return genome


@pytest.fixture(scope="module")
def evolved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cppn_pictures")
    return folder, evolve_pictures(None, [], folder, **SMALL)


@pytest.fixture
def copy(evolved, tmp_path):
    shutil.copytree(evolved[0], tmp_path / "copy")
    return tmp_path / "copy"


def pixels(image):
    return np.asarray(image, dtype=float)


def test_a_small_picture_is_the_large_one_seen_smaller(config):
    """Of genomes mutated ten times; the mean difference of each is below 3 of 255."""
    with drawn_from(5):
        genomes = [chance_genome(key, config) for key in range(2)]
        for genome in genomes:
            for _ in range(10):
                genome.mutate(config.genome_config)
            settle(genome, config)
    for genome in genomes:
        large, small = draw(genome, 512), draw(genome, 64)
        seen = pixels(large.resize((64, 64), Image.Resampling.BOX))
        assert np.abs(seen - pixels(small)).mean() < 3
        assert pixels(small).std() > 1


def test_a_disc_is_where_its_genome_says(disc):
    rgb, figure = _drawn([disc])
    line = (torch.arange(SIZE_PX) + 0.5) / SIZE_PX * 2 - 1
    assert torch.equal(figure[0] > 0.5, (torch.hypot(line[:, None], line[None]) < 0.5).flatten())
    picture = pixels(draw(disc, 32))
    assert picture[16, 16].min() > picture[0, 0].max()
    assert ", even, " in describe_picture(rgb[0], figure[0])


def _drawn(genomes):
    drawn = ask(genomes, sense(place_points(SIZE_PX)))
    return drawn.rgb, drawn.figure


def test_a_picture_in_bands_is_the_picture(disc, monkeypatch):
    whole = draw(disc, 96)
    monkeypatch.setattr("fungal_assets.ancestors.picture_drawing._POINTS_AT_ONCE", 4 * 96 * 16)
    assert np.array_equal(pixels(draw(disc, 96)), pixels(whole))


def test_oklab_has_its_published_colours():
    """White, and the red of sRGB, by lightness, chroma and hue."""
    given = torch.tensor([[1.0, 0.62796]]), torch.tensor([[0.0, 0.25768]]), torch.tensor([[0.0, 0.51025]])
    assert torch.allclose(
        from_oklab(*given)[0].T, torch.tensor([[1.0, 1.0, 1.0], [1.0, 0.0, 0.0]]), atol=0.02
    )


def test_first_pictures_are_symmetric(config):
    with drawn_from(1):
        picture = pixels(draw(chance_genome(1, config), 32))
    assert np.array_equal(picture, picture[:, ::-1])


def test_a_target_matches_itself_best():
    targets = [read_target(f"fungarium:{name}", None, SIZE_PX) for name in ("fly_agaric", "morel")]
    drawn = Drawn(torch.stack([one.rgb for one in targets]), torch.stack([one.figure for one in targets]))
    own, other = match(drawn, targets[0])
    assert own == pytest.approx(1, abs=1e-4) and 0 < other < 0.6


def test_a_picture_of_yours_is_a_target(tmp_path):
    picture = np.full((100, 100, 3), 230, np.uint8)
    picture[30:80, 35:65] = (180, 20, 20)
    Image.fromarray(picture).save(tmp_path / "mine.png")
    target = read_target(str(tmp_path / "mine.png"), None, SIZE_PX)
    assert target.name == "mine" and float(target.figure.mean()) == pytest.approx(0.15, abs=0.03)
    inside = target.rgb[:, target.figure > 0.9].median(1).values
    assert inside.tolist() == pytest.approx([180 / 255, 20 / 255, 20 / 255], abs=0.05)
    Image.new("RGB", (90, 90), (9, 9, 9)).save(tmp_path / "empty.png")
    with pytest.raises(InputError, match="shows no subject that stands free on a plain ground"):
        read_target(str(tmp_path / "empty.png"), None, SIZE_PX)


def test_what_cannot_be_seen_has_no_presence(disc):
    rgb, figure = _drawn([disc])
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(rgb.shape, generator=generator)
    shown = Drawn(
        torch.cat([rgb, rgb, rgb, rgb.mean() + 0 * rgb, noise]),
        torch.cat([figure, 0 * figure, 0 * figure + 1, figure, figure]),
    )
    assert measure_presence(shown).tolist() == [pytest.approx(1), 0, 0, 0, 0]


def test_everything_that_a_picture_is_made_of_is_kept(evolved):
    folder, figures = evolved
    pictures = list_pictures(folder)
    assert figures["pictures"] == len(pictures) == 2 and figures["goals"] == 1
    everyone = {one["key"]: one for one in json.loads((folder / "lineage.json").read_text())["genomes"]}
    for one in pictures:
        assert {path.name for path in (folder / one["slug"]).iterdir()} == {
            "genome.json",
            "picture.json",
            "picture.png",
        }
        with Image.open(folder / one["slug"] / "picture.png") as image:
            assert image.size == (96, 96)
        line = read_genome(folder / one["slug"] / "genome.json")[0].descent
        assert line[0]["generation"] == 0 and line[-1]["key"] == one["key"] and one["generation"] > 0
        assert all(everyone[each["key"]]["parents"] == each["parents"] for each in line)
    assert (folder / "pictures.webp").stat().st_size > 500 and (folder / "lineage.webp").stat().st_size > 500


def test_the_same_seed_gives_the_same_to_the_byte_also_after_a_kill(evolved, tmp_path):
    folder, _ = evolved
    (tmp_path / ".evolution").mkdir()
    for number in range(2):
        shutil.copy(folder / ".evolution" / f"{number:04d}.json", tmp_path / ".evolution")
    evolve_pictures(None, [], tmp_path, **SMALL)
    files = sorted(path.relative_to(folder) for path in folder.rglob("*.*") if path.is_file())
    assert len(files) > 10
    for path in files:
        assert (tmp_path / path).read_bytes() == (folder / path).read_bytes(), path


@pytest.mark.parametrize(
    "changed",
    [
        {"fitness": "novelty", "targets": []},
        {"fitness": "words", "targets": [], "words": ["a morel mushroom", "a fly agaric mushroom"]},
    ],
    ids=["novelty", "words"],
)
def test_pictures_are_bred_to_be_new_and_to_fit_words(tmp_path, changed):
    figures = evolve_pictures(None, [], tmp_path, **(SMALL | changed | {"generations": 1}))
    assert [one["goal"] for one in list_pictures(tmp_path)] == (changed.get("words") or ["", ""])
    assert figures["likeness"] > 0


def test_words_are_asked_for(tmp_path):
    with pytest.raises(InputError, match="set cppn_pictures.words"):
        evolve_pictures(None, [], tmp_path, **(SMALL | {"fitness": "words"}))


@pytest.mark.parametrize("check", ALL[:3], ids=lambda check: check.__name__)
def test_a_whole_output_passes(evolved, check):
    verdict = check(evolved[0])
    assert verdict.passed, verdict.finding


@pytest.mark.parametrize("check", ALL, ids=lambda check: check.__name__)
def test_an_empty_folder_is_a_finding(tmp_path, check):
    assert not check(tmp_path).passed


def test_a_genome_that_was_changed_is_found_at_both_sizes(copy):
    path = copy / list_pictures(copy)[0]["slug"] / "genome.json"
    kept = json.loads(path.read_text())
    kept["nodes"][OUTPUTS.index("ground")][2] += 0.5
    path.write_text(json.dumps(kept))
    replayed, small = checks.check_replay(copy), checks.check_sizes(copy)
    assert not replayed.passed and "draws something else" in replayed.finding
    assert not small.passed and "is another at 64 px" in small.finding


def test_a_picture_without_a_figure_and_two_alike_are_found(copy):
    first, second = (copy / one["slug"] / "genome.json" for one in list_pictures(copy))
    kept = json.loads(first.read_text())
    kept["nodes"][OUTPUTS.index("figure")][2] = -2.0
    kept["connections"] = [one for one in kept["connections"] if one[1] != OUTPUTS.index("figure")]
    for path in (first, second):
        path.write_text(json.dumps(kept))
    assert "hardly a figure" in checks.check_presence(copy).finding
    assert "alike" in checks.check_difference(copy).finding and not checks.check_difference(copy).passed
