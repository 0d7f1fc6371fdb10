"""The shipped specimens: as many as their table says, of one size, with the trouble that the collection must catch."""

import csv

from PIL import Image

from fungal_assets.pocket import SPECIMENS_DIR
from fungal_assets.pocket.specimens import HIDDEN_MORPHOTYPES, SIZE_PX


def rows(path):
    with path.open() as file:
        return list(csv.DictReader(file))


def test_every_hidden_morphotype_has_its_specimens():
    traits = rows(SPECIMENS_DIR.with_name("specimen_traits.csv"))
    assert {row["file_name"] for row in traits} == {
        path.name for path in SPECIMENS_DIR.glob("specimen-*.webp")
    }
    assert {row["hidden_morphotype"] for row in traits} == {kind.name for kind in HIDDEN_MORPHOTYPES}


def test_specimens_are_of_one_size_and_have_a_licence():
    sizes = {Image.open(path).size for path in SPECIMENS_DIR.glob("specimen-*.webp")}
    assert sizes == {(SIZE_PX, SIZE_PX)}
    assert {row["licence"] for row in rows(SPECIMENS_DIR / "metadata.csv")} == {"CC0-1.0"}
    assert {row["file_name"] for row in rows(SPECIMENS_DIR / "metadata.csv")} == {
        path.name for path in SPECIMENS_DIR.glob("*.webp")
    }


def test_the_trouble_is_there():
    assert (SPECIMENS_DIR / "trouble-duplicate.webp").read_bytes() == (
        SPECIMENS_DIR / "specimen-0000.webp"
    ).read_bytes()
    whole = (SPECIMENS_DIR / "specimen-0001.webp").read_bytes()
    assert whole.startswith((SPECIMENS_DIR / "trouble-truncated.webp").read_bytes())
