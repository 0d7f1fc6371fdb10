import numpy as np
import pytest
from PIL import Image

from fungal_assets.errors import InputError
from fungal_assets.exhibition.media import Shelf, choose_typical, cut_montage, read_first_frame
from fungal_assets.morphology.maps import draw_montage
from fungal_assets_tests.exhibition.conftest import write_film


def plain(*colour: int) -> Image.Image:
    return Image.new("RGB", (112, 112), colour)


def test_specimens_are_cut_from_the_montage_exactly():
    rows = [[plain(200, 10 * row, 10 * column) for column in range(4)] for row in range(3)]
    cut = cut_montage(draw_montage(rows, ["a", "b", "c"]), [4, 2, 3])
    assert [len(row) for row in cut] == [4, 2, 3]
    for row, tiles in enumerate(cut):
        for column, tile in enumerate(tiles):
            assert np.array_equal(np.asarray(tile), np.asarray(rows[row][column]))


def test_a_montage_of_another_growth_is_refused():
    montage = draw_montage([[plain(1, 2, 3)] * 2] * 3, ["a", "b", "c"])
    with pytest.raises(InputError, match="expected 4 rows"):
        cut_montage(montage, [1, 1, 1, 1])
    with pytest.raises(InputError, match="at least 3 tiles"):
        cut_montage(montage, [3, 1, 1])


def test_the_typical_picture_is_not_the_odd_one():
    assert choose_typical([plain(0, 0, 255), plain(200, 90, 10), plain(210, 90, 10), plain(220, 90, 10)]) == 2


def test_the_first_frame_of_a_film_is_read(tmp_path):
    write_film(tmp_path / "film.mp4", [plain(200, 30, 30), plain(30, 30, 200)])
    red, _, blue = np.asarray(read_first_frame(tmp_path / "film.mp4")).reshape(-1, 3).mean(axis=0)
    assert red > blue + 100


def test_a_link_to_a_name_with_spaces_and_accents_is_quoted_and_its_file_is_not(tmp_path):
    href = Shelf(tmp_path).put_picture(plain(1, 2, 3), "élan 1")
    assert href == "media/%C3%A9lan%201.webp"
    assert (tmp_path / "media" / "élan 1.webp").is_file()
