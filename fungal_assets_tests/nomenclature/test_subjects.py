import csv

import numpy as np
import pytest
from PIL import Image

from fungal_assets.nomenclature.subjects import SIDE_PX, find_subject
from fungal_assets.pocket import SPECIMENS_DIR
from fungal_assets_tests.nomenclature.growths import GROUNDS, picture


@pytest.mark.parametrize("ground", GROUNDS.values(), ids=GROUNDS)
def test_a_disc_is_found_where_it_is(ground):
    subject = find_subject(picture((200, 30, 24), ground, radius_px=30))
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX // 2
    disc = np.hypot(rows, columns) <= 30
    assert (disc & subject.mask).sum() / (disc | subject.mask).sum() > 0.85
    assert subject.parts == 1


def test_a_subject_that_leaves_the_frame_is_still_the_subject():
    subject = find_subject(picture((230, 120, 30), GROUNDS["moss"], radius_px=70))
    rows, columns = np.mgrid[:SIDE_PX, :SIDE_PX] - SIDE_PX // 2
    assert subject.mask[SIDE_PX // 2, SIDE_PX // 2]
    assert not subject.mask[np.hypot(rows, columns) > 73].any()
    assert subject.share > 0.4


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "RGB"])
def test_an_even_picture_of_any_mode_has_a_subject(mode):
    assert find_subject(Image.new(mode, (37, 90))).share > 0


def test_the_same_picture_has_the_same_mask():
    image = picture((120, 74, 40), GROUNDS["snow"])
    assert np.array_equal(find_subject(image).mask, find_subject(image.copy()).mask)


def test_a_haze_over_the_horizon_is_ground():
    """Parasols in a field and earthstars in sand, of which it is known how much of the frame they cover."""
    with SPECIMENS_DIR.with_name("specimen_traits.csv").open(newline="") as file:
        hazy = [row for row in csv.DictReader(file) if row["morphotype"] in ("parasol", "earthstar")]
    ratios = []
    for row in hazy:
        with Image.open(SPECIMENS_DIR / row["file_name"]) as image:
            ratios.append(find_subject(image).share / float(row["frame_share"]))
    assert np.mean(np.abs(np.log(ratios)) < np.log(1.3)) >= 0.75, "within 30 % of the truth"
