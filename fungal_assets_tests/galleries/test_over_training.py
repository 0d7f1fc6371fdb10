"""What looks at a training left: read back, put together, and drawn."""

import json

import numpy as np
import pytest
from PIL import Image

from fungal_assets.diffusion.curves import LOOK_NAMES, LOOK_SCHEMA
from fungal_assets.galleries.judging import Judge, Judgement
from fungal_assets.galleries.looking_back import drop_other_looks, keep_look, read_looks, show_look
from fungal_assets.galleries.over_training import draw_course, draw_when, phrase_course, watch_again
from fungal_assets.galleries.planning import TUNED, Picture
from fungal_assets.galleries.retention import Course, Pair, measure_retention
from fungal_assets.shards import write_table

STEPS = (0, 10, 20, 30)
COURSES = {  # whether each look recognises it
    "cat": (True, True, True, True),
    "key": (True, True, False, False),
    "dress": (True, False, True, False),
    "sun": (False, True, False, False),
}
GROUPS = {"cat": "animals", "key": "objects", "dress": "clothes", "sun": "sky"}
JUDGE = Judge("motifs", tuple(sorted(COURSES)), np.eye(4, dtype=np.float32), 4, "0" * 64)


def picture(text, kind):
    is_control = kind == "control"
    expected, group = (text, GROUPS[text]) if is_control else (None, None)
    return Picture(f"{kind}-{text}", kind, None, text, expected, group, TUNED, 0, 7)


PICTURES = [picture("a golden bonnet", "species"), *(picture(text, "control") for text in COURSES)]


def paint(step, number):
    return Image.new("RGB", (64, 64), (step * 8, number * 50, 90))


def write_looks(folder, courses=COURSES, steps=STEPS):
    """The looks of a training that kept the weights of step 30."""
    for place, step in enumerate(steps):
        images = {each.prompt_id: paint(step, number) for number, each in enumerate(PICTURES)}
        show_look(folder, step, PICTURES, images)
        found = [
            Judgement(text if course[place] else "mushroom", 0 if course[place] else 3, 0.5)
            for text, course in courses.items()
        ]
        keep_look(folder, step, PICTURES, JUDGE, found)
    rows = [dict.fromkeys(LOOK_NAMES) | {"step": step, "species_recognised": step / 40} for step in steps]
    write_table(folder / "looks.parquet", rows, LOOK_SCHEMA)
    (folder / "training.json").write_text(json.dumps({"step_kept": 30}))
    return folder


@pytest.fixture
def tuned(tmp_path):
    return write_looks(tmp_path / "tuned")


def test_looks_are_read_back_as_they_were_kept(tuned):
    looks = read_looks(tuned)
    assert [look.step for look in looks] == list(STEPS)
    assert {row["text"]: row["recognised"] for row in looks[2].controls} == {
        text: course[2] for text, course in COURSES.items()
    }
    assert looks[2].rows[0]["recognised"] is None, "a species has no judgement"
    tile = looks[2].open_pictures()["control-dress"]
    assert np.abs(np.asarray(tile, int)[8:-8, 8:-8] - np.array([160, 150, 90])).max() < 12


def test_each_look_has_its_retention_and_interval_over_the_base_models_pictures(tuned):
    found = watch_again(tuned).found
    assert [row["retention"] for row in found] == [1.0, 1.0, 0.6667, 0.3333]
    assert [row["species_recognised"] for row in found] == [0.0, 0.25, 0.5, 0.75]
    assert found[3]["tuned_fungal"] == 0.75
    expected = measure_retention([Pair(base, last) for base, *_, last in COURSES.values()])
    assert tuple(found[3]["interval"]) == expected.interval


def test_prompts_tell_when_they_went_for_good_the_first_to_go_first(tuned):
    watched = watch_again(tuned)
    assert [(row["text"], row["gone_by"]) for row in watched.prompts] == [
        ("key", 20),
        ("dress", 30),
        ("sun", None),
        ("cat", None),
    ]
    assert [(row["name"], row["retention"]) for row in watched.groups] == [
        ("objects", [1.0, 1.0, 0.0, 0.0]),
        ("clothes", [1.0, 0.0, 1.0, 0.0]),
        ("animals", [1.0, 1.0, 1.0, 1.0]),
        ("sky", [None, None, None, None]),
    ]
    said = phrase_course(watched, 0.6)
    assert "3 are recognised of the base model; then 3 at step 10, 2 at step 20, 1 at step 30" in said
    assert "'key' by step 20, 'dress' by step 30" in said
    assert "at least 60% is that at step 20" in said


def test_the_last_step_with_enough_is_told_only_where_less_was_left_later(tuned):
    watched = watch_again(tuned)
    assert [watched.last_enough(least) for least in (0.9, 0.6, 0.3, 1.1)] == [10, 20, None, None]


def test_what_bears_on_the_advice_is_read_from_the_training(tuned):
    (tuned / "training.json").write_text(
        json.dumps({"step_kept": 30, "method": "full", "rehearsal_share": 0.0})
    )
    assert watch_again(tuned).course(0.6) == Course(0.0, 20, None)
    assert watch_again(tuned).course(1.1) == Course(0.0, None, 10)
    (tuned / "training.json").write_text(
        json.dumps({"step_kept": 30, "method": "textual_inversion", "rehearsal_share": 0.0})
    )
    assert watch_again(tuned).course(0.3) == Course(None, None, None), "it needs no rehearsal"


def test_the_figure_and_the_sheet_show_every_look_and_prompt(tuned, tmp_path):
    watched = watch_again(tuned)
    draw_course(watched, measure_retention([Pair(True, True)] * 3), 0.6, tmp_path / "course.png")
    draw_course(watched, measure_retention([Pair(True, True)] * 3), 0.6, tmp_path / "again.png")
    assert (tmp_path / "course.png").read_bytes() == (tmp_path / "again.png").read_bytes()
    draw_when(watched, tmp_path / "when.webp")
    with Image.open(tmp_path / "when.webp") as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert pixels.shape[0] == 4 * (100 + 28) + 4, "a row per prompt, with two lines below"
    first = [pixels[50, 4 + 100 * column + 48] for column in range(4)]  # the row of 'key', the second control
    assert np.abs(np.array(first) - [[step * 8, 100, 90] for step in STEPS]).max() < 12


def test_a_training_that_was_not_looked_at_has_no_course(tmp_path):
    assert watch_again(tmp_path) is None
    assert watch_again(write_looks(tmp_path / "short", steps=(0,))) is None


def test_looks_of_other_settings_are_dropped_with_what_they_found(tuned):
    drop_other_looks(tuned, [0, 30])
    assert sorted(path.name for path in (tuned / "looks").iterdir()) == [
        f"step-{step:08d}.{suffix}" for step in (0, 30) for suffix in ("json", "webp")
    ]
