"""Tuned models beside each other, each of planted knowledge."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.exhibition.comparison import compare_weights
from fungal_assets.exhibition.comparison_checks import check_asked_alike, check_told_by_hash
from fungal_assets.galleries.comparing import Compared, compare, write_table_of
from fungal_assets.galleries.forgetting import report_forgetting
from fungal_assets_tests.galleries.conftest import draw, repaint
from fungal_assets_tests.galleries.test_forgetting import judge, paint_controls  # noqa: F401


@pytest.fixture(scope="module")
def grow(sampled, judge, tmp_path_factory):  # noqa: F811
    """A model whose control pictures show what `shows` makes of what was asked for."""

    def made(name, shows, *, rate=1e-3, species_recognised=0.5, steps=None, partition="lora|64"):
        root = tmp_path_factory.mktemp("models") / name
        gallery = shutil.copytree(sampled, root / "gallery")
        paint_controls(repaint(gallery, lambda number, _: draw(number)), shows)
        recognition = json.loads((gallery / "recognition.json").read_text())
        _write(gallery / "recognition.json", recognition | {"species_recognised": species_recognised})
        if steps:
            about = json.loads((gallery / "gallery.json").read_text())
            about["settings"]["num_inference_steps"] = steps
            _write(gallery / "gallery.json", about)
        for folder in ("report", "pruned", "tuned"):
            (root / folder).mkdir()
        report_forgetting(gallery, None, root / "report", judge=judge, text_judge="", min_retention=0.8)
        sha256 = name[0] * 64
        weights = {"method": partition.split("|")[0], "pipeline_sha256": sha256, "strength": 0.6}
        _write(root / "pruned/weights.json", weights | {"base_model": {"sha256": "9" * 64}})
        _write(root / "tuned/training.json", {"step_kept": 30})
        settings = {"learning_rate": rate, "max_steps": 30, "seed": 0}
        places = (root / "report", gallery, root / "pruned", root / "tuned")
        return Compared(partition, sha256[::-1], settings, *places, None)

    return made


def _write(path, content):
    path.write_text(json.dumps(content))


@pytest.fixture(scope="module")
def keeping(grow):
    return grow("a keeps all", lambda asked: asked, species_recognised=0.4)


@pytest.fixture(scope="module")
def forgetful(grow):
    changes = {"rate": 1e-1, "species_recognised": 0.9, "partition": "full|64"}
    return grow("b forgets", lambda _: "mushroom", **changes)


@pytest.fixture(scope="module")
def asked_otherwise(grow):
    return grow("c asked otherwise", lambda asked: asked, steps=99)


def test_the_base_comes_first_then_what_keeps_most_with_what_differs(keeping, forgetful):
    rows = compare([forgetful, keeping]).rows
    assert [row["name"] for row in rows] == ["base 99999999", "lora aaaaaaaa", "full bbbbbbbb"]
    assert [row["retention"] for row in rows] == [1.0, 1.0, 0.0]
    assert [row["recognised"] for row in rows] == [1.0, 1.0, 0.0]
    assert [row["fungal"] for row in rows] == [0.0, 0.0, 1.0]
    assert [row["differs"] for row in rows] == [{}, {"learning_rate": 1e-3}, {"learning_rate": 1e-1}]


def test_the_finding_names_what_keeps_most_and_what_draws_best(keeping, forgetful):
    said = compare([keeping, forgetful]).finding
    assert said == (
        "lora aaaaaaaa keeps most, a retention of 100%. full bbbbbbbb draws the species best, 90% recognised."
    )


def test_models_that_cannot_be_told_apart_are_not_ranked_in_words(keeping, grow):
    twin = grow("d keeps all too", lambda asked: asked, rate=1e-4, species_recognised=0.3)
    assert "Over 4 pairs it is not told apart from lora dddddddd." in compare([keeping, twin]).finding


def test_models_that_were_asked_otherwise_stand_apart(keeping, forgetful, asked_otherwise):
    found = compare([asked_otherwise, keeping, forgetful])
    assert [row["name"] for row in found.rows] == [
        "base 99999999",
        "lora aaaaaaaa",
        "full bbbbbbbb",
        "base 99999999",
        "lora cccccccc",
    ]
    assert "1 of 3 models were asked otherwise" in found.finding
    assert [each.partition for each in found.alike] == ["lora|64", "full|64"]


def test_the_order_in_which_reports_are_read_changes_nothing(keeping, forgetful, asked_otherwise):
    models = [asked_otherwise, keeping, forgetful]
    assert (
        compare(models).as_json() == compare(models[::-1]).as_json() == compare([*models, *models]).as_json()
    )


def test_a_store_without_reports_is_refused():
    with pytest.raises(InputError, match="fungal grow --until forgetting_report"):
        compare([])


def test_the_page_the_table_and_the_sheet_have_every_model(keeping, forgetful, asked_otherwise, tmp_path):
    figures = compare_weights([keeping, forgetful, asked_otherwise], tmp_path, most_models=5)
    assert figures == {"models": 3, "asked_alike": 2, "keeps_most": "lora aaaaaaaa"}
    page, table = ((tmp_path / name).read_text() for name in ("index.html", "comparison.md"))
    for name in ("lora aaaaaaaa", "full bbbbbbbb", "lora cccccccc", "base 99999999"):
        assert name in page and name in table
    assert len({row.count("|") for row in table.splitlines()}) == 1
    assert check_told_by_hash(tmp_path).passed
    apart = check_asked_alike(tmp_path)
    assert not apart.passed and "lora cccccccc" in apart.finding
    assert {path.name for path in tmp_path.iterdir()} == {
        "beside.webp", "comparison.json", "comparison.md", "guide.css", "index.html", "places.png",
    }  # fmt: skip


def test_a_row_of_the_sheet_is_base_then_the_models_and_what_most_lost_is_above(keeping, forgetful, tmp_path):
    compare_weights([keeping, forgetful], tmp_path, most_models=5)
    with Image.open(tmp_path / "beside.webp") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    first = [pixels[4:116, 4 + 116 * column : 116 + 116 * column] for column in range(3)]
    hamburger, mushroom = np.array([0xB5, 0x65, 0x1F]), np.array([0xD0, 0x30, 0x30])
    shows = [[np.abs(tile - colour).max(axis=-1) < 40 for colour in (hamburger, mushroom)] for tile in first]
    assert [bool(burger.mean() > 0.1) for burger, _ in shows] == [True, True, False]
    assert [bool(fungus.mean() > 0.05) for _, fungus in shows] == [False, False, True]


def test_only_so_many_models_are_shown(keeping, forgetful, tmp_path):
    compare_weights([keeping, forgetful], tmp_path, most_models=1)
    with Image.open(tmp_path / "beside.webp") as sheet:
        assert sheet.width == 2 * 116 + 4


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda rows: rows[1].update(pipeline_sha256="lora"), "has the hash 'lora'"),
        (lambda rows: rows[1].update(pipeline_sha256=rows[2]["pipeline_sha256"]), "is there twice"),
        (lambda rows: rows[1].update(name="another"), "another is not on the page"),
    ],
    ids=["no hash", "twice", "not shown"],
)
def test_planted_faults_are_found(keeping, forgetful, tmp_path, change, said):
    compare_weights([keeping, forgetful], tmp_path, most_models=5)
    content = json.loads((tmp_path / "comparison.json").read_text())
    change(content["rows"])
    _write(tmp_path / "comparison.json", content)
    verdict = check_told_by_hash(tmp_path)
    assert not verdict.passed and said in verdict.finding


def test_the_table_says_what_was_measured(keeping, forgetful):
    rows = write_table_of(compare([keeping, forgetful])).splitlines()
    cells = [cell.strip() for cell in rows[4].split("|")[1:-1]]
    assert cells[:4] == ["full bbbbbbbb", "learning_rate 0.1", "30", "0.6"]
    assert cells[4:9] == ["0%", "0% to 0%", "", "100%", "90%"]
