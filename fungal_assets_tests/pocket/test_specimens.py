"""The shipped specimens: as many as their table says, of one size, with the trouble that the collection must catch."""

import csv

import pytest
from PIL import Image
from sklearn.metrics import adjusted_rand_score

from fungal_assets.collection.admission import admit_images
from fungal_assets.collection.decoding import read_square
from fungal_assets.morphology.clusters import find_clusters
from fungal_assets.morphology.extractors import EfficientNetLite0
from fungal_assets.morphology.features import extract_features
from fungal_assets.pocket import SPECIMENS_DIR
from fungal_assets.pocket.specimens import HIDDEN_MORPHOTYPES, SIZE_PX
from fungal_assets.profiles import PROFILES
from fungal_assets.shards import read_rows, read_table


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
    with Image.open(SPECIMENS_DIR / "trouble-turned.webp") as picture:
        assert picture.getexif()[0x0112] == 6


def test_the_collection_catches_the_trouble_and_admits_every_specimen(tmp_path):
    """By the limits of the profile; the patch of litter is a good picture, and what it lacks only a person sees."""
    settings = PROFILES["pocket"].settings["raw_images"]
    admit_images(tmp_path, **settings)
    rejects = {row["origin"]: row["reason"] for row in read_table(tmp_path / "rejects.parquet")}
    assert rejects == {
        "trouble-blurred.webp": "blurred",
        "trouble-duplicate.webp": "duplicate",
        "trouble-truncated.webp": "broken",
    }
    admitted = {row["origin"]: row for row in read_rows(tmp_path)}
    files = {path.name for path in SPECIMENS_DIR.glob("*.webp")}
    assert admitted.keys() == files - rejects.keys()
    turned = read_square(admitted["trouble-turned.webp"]["image"]["bytes"], 128).image
    embed = EfficientNetLite0().embed
    toadstool = Image.open(SPECIMENS_DIR / "specimen-0000.webp")
    upright, fallen = embed([turned, turned.transpose(Image.Transpose.ROTATE_90)]) @ embed([toadstool])[0]
    assert upright > fallen


@pytest.mark.parametrize(
    ("extractor", "search"),
    [("efficientnet-lite0", {}), ("efficientnet-lite0-int8", {"min_clusters": 12, "max_clusters": 12})],
)
def test_clusters_match_the_hidden_morphotypes(tmp_path, extractor, search):
    """By the settings of the profile, which know nothing of their number; in 8 bits, for time's sake, given it."""
    settings = PROFILES["pocket"].settings
    raw_images, vectors, clusters = (
        tmp_path / name for name in ("raw_images", "feature_vectors", "clusters")
    )
    for folder in (raw_images, vectors, clusters):
        folder.mkdir()
    admit_images(raw_images, **settings["raw_images"])
    extract_features(raw_images, vectors, **settings["feature_vectors"] | {"extractor": extractor})
    figures = find_clusters(vectors, raw_images, clusters, **settings["clusters"] | search)
    assert figures["clusters"] == 12
    hidden = {
        row["file_name"]: row["hidden_morphotype"]
        for row in rows(SPECIMENS_DIR.with_name("specimen_traits.csv"))
    }
    origin = {row["image_id"]: row["origin"] for row in read_rows(raw_images, ["image_id", "origin"])}
    found = {
        origin[row["image_id"]]: row["cluster_id"] for row in read_table(clusters / "assignments.parquet")
    }
    names = sorted(hidden)
    assert adjusted_rand_score([hidden[name] for name in names], [found[name] for name in names]) >= 0.85
