from fungal_assets.exhibition.growth import list_marks
from fungal_assets.exhibition.scores import tally_controls


def test_marks_are_shares_of_captions_the_commonest_first():
    rows = [{"colour_names": ["golden", "brown"], "habitat": "on a log", "count": None}] * 3
    rows += [{"colour_names": ["golden"], "habitat": "in a field", "count": None}]
    marks = {mark.label: mark.values for mark in list_marks(rows)}
    assert marks["Colour"] == [("golden", 1.0), ("brown", 0.75)]
    assert marks["Habitat"] == [("on a log", 0.75), ("in a field", 0.25)]
    assert "Habit" not in marks


def test_a_trait_of_hardly_any_caption_is_no_mark():
    rows = [{"habitat": "in a field"}] * 30 + [{"habitat": "on snow"}]
    assert [value for value, _ in list_marks(rows)[0].values] == ["in a field"]


def test_controls_are_tallied_with_the_greatest_loss_first_and_unjudged_ones_left_out():
    def row(text, model, recognised, nearest=None):
        return {
            "prompt_id": text, "text": text, "group": "g", "model": model,
            "recognised": recognised, "similarity": None if recognised is None else 0.5, "nearest": nearest,
        }  # fmt: skip

    scores = [row("sun", "base", True), row("sun", "tuned", True), row("dog", "base", True)]
    scores += [row("dog", "tuned", False, "mushroom"), row("zzz", "base", None), row("zzz", "tuned", None)]
    dog, sun = tally_controls(scores)
    assert (dog.text, dog.base.share, dog.tuned.share, dog.taken_for) == ("dog", 1.0, 0.0, "mushroom")
    assert (sun.text, sun.taken_for) == ("sun", "")
