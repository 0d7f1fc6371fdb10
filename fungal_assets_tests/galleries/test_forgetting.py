import json

import numpy as np
import pytest
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.galleries.forgetting import report_forgetting
from fungal_assets.galleries.planning import BASE
from fungal_assets.galleries.reading import read_gallery
from fungal_assets.shards import read_table
from fungal_assets_tests.galleries.conftest import SIDE_PX, repaint
from fungal_assets_tests.galleries.test_over_training import write_looks

COLOURS = {
    "hamburger": "#b5651d",
    "girl holding a basket": "#3060c0",
    "mushroom": "#d03030",
    "flower": "#e0d020",
}


def motif(concept, seed):
    """What a concept looks like in this world: its colour and shape, somewhere on a pale ground."""
    from PIL import ImageDraw

    rng, image = np.random.default_rng(seed), Image.new("RGB", (SIDE_PX, SIDE_PX), "#f4f0e8")
    left, top = rng.integers(4, 20, 2).tolist()
    box, colour = (left, top, left + 36, top + 36), COLOURS[concept]
    canvas = ImageDraw.Draw(image)
    if concept == "hamburger":
        for lift in (0, 13, 26):
            canvas.rounded_rectangle((left, top + lift, left + 40, top + lift + 10), 5, fill=colour)
    elif concept == "mushroom":
        canvas.pieslice(box, 180, 360, fill=colour)
        canvas.rectangle((left + 13, top + 18, left + 23, top + 40), fill="#cccccc")
    elif concept == "flower":
        canvas.regular_polygon((left + 18, top + 18, 18), 5, fill=colour)
    else:
        canvas.rectangle(box, fill=colour)
    return image


@pytest.fixture(scope="session")
def judge(tmp_path_factory):
    """References of this world's motifs."""
    from fungal_assets.morphology.extractors import EfficientNetLite0

    names = [name for name in COLOURS for _ in range(3)]
    vectors = EfficientNetLite0().embed([motif(name, seed) for seed, name in enumerate(names)])
    path = tmp_path_factory.mktemp("judge") / "motifs.npz"
    np.savez(path, vectors=vectors, concept=np.array(names))
    return str(path)


def paint_controls(gallery, tuned_shows):
    """Base pictures show what was asked for; tuned pictures what `tuned_shows` makes of it."""
    rows = read_gallery(gallery)

    def paint(number, image):
        row = rows[number]
        if row["kind"] != "control":
            return image
        asked = row["expected"]
        return motif(asked if row["model"] == BASE else tuned_shows(asked), 100 + number)

    return repaint(gallery, paint)


def report(gallery, folder, judge, *, looked=None, text_judge=""):
    folder.mkdir()
    figures = report_forgetting(
        gallery, looked, folder, judge=judge, text_judge=text_judge, min_retention=0.8
    )
    return figures, json.loads((folder / "report.json").read_text())


def test_an_untouched_model_keeps_everything(gallery, tmp_path, judge):
    figures, found = report(paint_controls(gallery, lambda asked: asked), tmp_path / "report", judge)
    assert (figures["retention"], figures["base_recognised"], figures["tuned_fungal"]) == (1.0, 1.0, 0.0)
    assert found["advice"] == "Nothing needs to change."
    assert "kept" in found["verdict"]


def test_the_artists_failure_is_seen_all_that_was_known_turned_to_mushrooms(gallery, tmp_path, judge):
    figures, found = report(paint_controls(gallery, lambda _: "mushroom"), tmp_path / "report", judge)
    assert (figures["retention"], figures["tuned_fungal"]) == (0.0, 1.0)
    assert "rehearsal_share" in found["advice"]


def test_a_single_lost_concept_stands_first_in_the_report_and_in_the_pictures(gallery, tmp_path, judge):
    lost = "girl holding a basket"
    shows = lambda asked: "flower" if asked == lost else asked  # noqa: E731
    figures, found = report(paint_controls(gallery, shows), tmp_path / "report", judge)
    assert figures["retention"] == 0.5
    assert [each["name"] for each in found["prompts"]] == [lost, "hamburger"]
    assert [each["name"] for each in found["groups"]] == ["people", "food"]
    scores = read_table(tmp_path / "report" / "scores.parquet")
    assert len(scores) == figures["pairs"] * 2 == 8
    tuned = [score for score in scores if score["model"] == "tuned" and score["text"] == lost]
    assert {(score["nearest"], score["recognised"]) for score in tuned} == {("flower", False)}
    sheet = np.asarray(Image.open(tmp_path / "report" / "side_by_side.webp").convert("RGB")).astype(int)
    first_row_half = sheet[4:132, 4:132]
    blue = np.abs(first_row_half - np.array([0x30, 0x60, 0xC0])).max(axis=-1) < 30
    assert blue.mean() > 0.2


def test_a_base_that_is_never_recognised_gives_no_number(gallery, tmp_path, judge):
    rows = read_gallery(gallery)
    repaint(
        gallery,
        lambda number, image: motif("mushroom", number) if rows[number]["kind"] == "control" else image,
    )
    figures, found = report(gallery, tmp_path / "report", judge)
    assert figures["retention"] == figures["retention_low"] == "undefined"
    assert found["retention"] is None
    assert "not defined" in found["verdict"]


def test_the_report_says_what_judged(gallery, tmp_path, judge):
    _, found = report(gallery, tmp_path / "report", judge)
    assert found["judge"]["name"] == "motifs"
    assert "12 reference pictures of 4 concepts" in found["judge"]["what"]
    assert found["judge"]["chance"] == 0.25


def test_the_second_judge_stands_beside_the_first_and_does_not_decide(gallery, tmp_path, judge):
    """The pocket judge by names, among things of which it knows one, beside references that know them all."""
    figures, found = report(
        paint_controls(gallery, lambda asked: "mushroom" if asked == "hamburger" else asked),
        tmp_path / "report",
        judge,
        text_judge="pocket",
    )
    assert figures["retention"] == found["retention"] == 0.5
    second = found["by_text"]
    assert second["pairs"] == figures["pairs"] and second["judge"]["name"] == "pocket"
    assert "By names, the second judge" in found["verdict"]
    scores = read_table(tmp_path / "report" / "scores.parquet")
    of = {
        model: [score["recognised_by_text"] for score in scores if score["model"] == model]
        for model in ("base", "tuned")
    }
    assert second["base_recognised"] == np.mean(of["base"])
    assert second["tuned_recognised"] == np.mean(of["tuned"])
    for entry in found["groups"]:
        own = [score["recognised_by_text"] for score in scores if score["group"] == entry["name"]]
        shares = entry["by_text"]
        assert shares["pairs"] == len(own) / 2 == 2
        assert shares["base_recognised"] + shares["tuned_recognised"] == 2 * np.mean(own)


def test_without_a_second_judge_the_report_says_nothing_of_one(gallery, tmp_path, judge):
    figures, found = report(paint_controls(gallery, lambda asked: asked), tmp_path / "report", judge)
    assert found["by_text"] is None and figures["retention_by_text"] == "undefined"
    assert "By names" not in found["verdict"]
    assert all(entry["by_text"] is None for entry in found["groups"])


def test_the_course_of_the_training_is_told_and_the_advice_rests_on_it(gallery, tmp_path, judge):
    looked = write_looks(tmp_path / "tuned")
    shows = lambda asked: "flower"  # noqa: E731
    _, found = report(paint_controls(gallery, shows), tmp_path / "report", judge, looked=looked)
    assert [row["step"] for row in found["over_training"]["looks"]] == [0, 10, 20, 30]
    assert found["over_training"]["step_kept"] == 30
    assert found["advice"].endswith("lower max_steps of fine_tuned_weights (try 10).")
    written = {path.name for path in (tmp_path / "report").iterdir()}
    assert written == {"scores.parquet", "report.json", "side_by_side.webp", "over_training.png", "when.webp"}


def test_a_photographic_base_gets_a_caveat():
    from fungal_assets.galleries.forgetting import describe_judge
    from fungal_assets.galleries.judging import build_judge

    pocket = build_judge("pocket", np.eye(2, 4, dtype=np.float32), np.array(["cat", "mushroom"]), sha256="")
    assert describe_judge(pocket, "pocket")["caveat"] == ""
    assert "likeness to drawings" in describe_judge(pocket, "stable-diffusion-v1-5")["caveat"]


def test_a_gallery_without_judgeable_controls_is_refused(gallery, tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, vectors=np.eye(2, 1280, dtype=np.float32), concept=np.array(["teapot", "kettle"]))
    with pytest.raises(InputError, match="none of 8 control pictures"):
        report_forgetting(gallery, None, tmp_path, judge=str(path), text_judge="", min_retention=0.8)
    with pytest.raises(InputError, match=r"min_retention=8"):
        report_forgetting(gallery, None, tmp_path, judge=str(path), text_judge="", min_retention=8)
