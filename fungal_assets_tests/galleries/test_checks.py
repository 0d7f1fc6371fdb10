import json
import shutil

import pytest
from PIL import Image

from fungal_assets.galleries.checks import (
    chance_of_at_least,
    check_complete,
    check_knowledge_kept,
    check_not_blank,
    check_not_pixelated,
    check_species_recognised,
    check_weights,
)
from fungal_assets.galleries.reading import read_gallery
from fungal_assets_tests.galleries.conftest import ASKED, SIDE_PX, repaint


@pytest.fixture
def failing(prompts_dir, pruned_dir):
    """The names of the checks on a gallery that fail."""

    def run(gallery, pruned=pruned_dir):
        verdicts = {
            "complete": check_complete(gallery, prompts_dir, **ASKED),
            "weights": check_weights(gallery, pruned),
            "blank": check_not_blank(gallery),
            "pixelated": check_not_pixelated(gallery),
        }
        return {name for name, verdict in verdicts.items() if not verdict.passed}

    return run


def test_a_sound_gallery_passes_all(gallery, failing):
    assert failing(gallery) == set()


def test_a_pixelated_gallery_fails_that_check_and_no_other(gallery, failing):
    def pixelate(_, image):
        small = image.resize((SIDE_PX // 4,) * 2, Image.Resampling.BOX)
        return small.resize(image.size, Image.Resampling.NEAREST)

    assert failing(repaint(gallery, pixelate)) == {"pixelated"}


def test_one_pixelated_species_is_enough_to_fail(gallery, failing):
    rows = read_gallery(gallery)
    own = next(row["prompt_id"] for row in rows if row["kind"] == "species")

    def pixelate(number, image):
        if rows[number]["prompt_id"] != own:
            return image
        return image.resize((SIDE_PX // 4,) * 2, Image.Resampling.BOX).resize(
            image.size, Image.Resampling.NEAREST
        )

    assert failing(repaint(gallery, pixelate)) == {"pixelated"}
    assert own in check_not_pixelated(gallery).finding


@pytest.mark.parametrize(("model", "found"), [("tuned", {"blank"}), ("base", set())])
def test_a_black_picture_fails_that_check_if_the_tuned_model_made_it(gallery, failing, model, found):
    rows = read_gallery(gallery)
    black = next(number for number, row in enumerate(rows) if row["model"] == model)
    repaint(gallery, lambda number, image: Image.new("RGB", image.size) if number == black else image)
    assert failing(gallery) == found
    assert (rows[black]["path"] in check_not_blank(gallery).finding) == (model == "tuned")


def test_a_gallery_of_other_weights_fails_that_check_and_no_other(gallery, failing, pruned_dir, tmp_path):
    other = shutil.copytree(pruned_dir, tmp_path / "other")
    record = json.loads((other / "weights.json").read_text()) | {"pipeline_sha256": "0" * 64}
    (other / "weights.json").write_text(json.dumps(record))
    assert failing(gallery, pruned=other) == {"weights"}
    assert "other weights" in check_weights(gallery, other).finding


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_a_lost_picture_fails_completeness_and_no_other(gallery, failing, damage):
    path = gallery / read_gallery(gallery)[5]["path"]
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:200])
    assert failing(gallery) == {"complete"}


def test_a_prompt_without_its_pictures_is_named(gallery, prompts_dir):
    verdict = check_complete(gallery, prompts_dir, images_per_prompt=2, controls=3, side_prompts=4)
    assert not verdict.passed
    assert "'flower'" in verdict.finding


def test_species_must_be_recognised_beyond_chance(tmp_path):
    def verdict(share):
        species = [{"species_id": f"species-{n:02d}", "pictures": 4, "recognised": share} for n in range(5)]
        found = {"species_recognised": share, "chance": 0.2, "pictures": 20, "species": species}
        (tmp_path / "recognition.json").write_text(json.dumps(found))
        return check_species_recognised(tmp_path)

    assert verdict(0.75).passed
    assert not verdict(0.25).passed
    assert "max_steps" in verdict(0.0).finding


def test_chance_is_the_binomial_tail():
    assert chance_of_at_least(0, 10, 0.3) == pytest.approx(1.0)
    assert chance_of_at_least(2, 2, 0.5) == pytest.approx(0.25)
    assert chance_of_at_least(1, 3, 0.5) == pytest.approx(0.875)


@pytest.mark.parametrize(("retention", "passed"), [(0.9, True), (0.8, True), (0.79, False), (None, False)])
def test_knowledge_is_kept_from_the_threshold_on(tmp_path, retention, passed):
    shares = {"base_recognised": 0.5, "tuned_recognised": 0.4, "tuned_fungal": 0.1}
    content = {
        "retention": retention,
        "min_retention": 0.8,
        "verdict": "What was found.",
        "advice": "What to change.",
        **shares,
    }
    (tmp_path / "report.json").write_text(json.dumps(content))
    verdict = check_knowledge_kept(tmp_path)
    assert verdict.passed is passed
    assert ("What to change." in verdict.finding) is not passed
