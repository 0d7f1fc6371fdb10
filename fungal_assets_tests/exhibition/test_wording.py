import pytest

from fungal_assets.exhibition import wording

SPACE = "\N{NARROW NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("number", "numeral"), [(1, "I"), (4, "IV"), (9, "IX"), (14, "XIV"), (49, "XLIX"), (256, "CCLVI")]
)
def test_plates_are_numbered_in_roman(number, numeral):
    assert wording.to_roman(number) == numeral


@pytest.mark.parametrize(
    ("size_bytes", "text"), [(0, "0.001 kB"), (2004, "2 kB"), (61_400, "61.4 kB"), (2_340_000, "2.3 MB")]
)
def test_sizes_are_told_in_decimal_units(size_bytes, text):
    assert wording.to_size(size_bytes) == text.replace(" ", SPACE)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.123, f"0.123{SPACE}s"), (61.5, "1 min 2 s"), (119.7, "2 min 0 s"), (7260, "2 h 1 min")],
)
def test_time_is_told_in_two_units(seconds, text):
    assert wording.to_duration(seconds) == text


def test_shares_may_pass_the_whole():
    assert wording.to_percent(1.05) == f"105{SPACE}%"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([], "–"),
        (None, "–"),
        ("", "–"),
        (0, "0"),
        (0.00123456, "0.001235"),
        (True, "yes"),
        (["a", 1], "a, 1"),
    ],
)
def test_settings_are_told_plainly(value, text):
    assert wording.to_value(value) == text


def test_fields_become_words_with_their_unit():
    assert wording.to_words("view_size_px") == "View size, px"
    assert wording.to_words("has_imagefolder") == "Imagefolder"
