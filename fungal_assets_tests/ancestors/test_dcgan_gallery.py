"""The gallery of a DCGAN: pictures, the walk, what each is most like, and the comparison with another model."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from fungal_assets.ancestors.dcgan_checks import (
    check_drawn_by,
    check_no_copies,
    check_pictures,
    check_varied,
    check_walk,
)
from fungal_assets.ancestors.dcgan_comparison import ROWS, Species, evenly
from fungal_assets.ancestors.dcgan_gallery import (
    DCGAN,
    DIFFUSION,
    make_dcgan_gallery,
    walk,
)
from fungal_assets.defs.previewing import sheets
from fungal_assets.galleries.planning import COLUMNS
from fungal_assets.galleries.reading import embed_images
from fungal_assets.morphology.clusters import ASSIGNMENTS
from fungal_assets.morphology.extractors import find_extractor
from fungal_assets.previews import INLINE_CHARS, MAX_SHEET_BYTES
from fungal_assets.shards import read_table, write_table
from fungal_assets.store import hash_files
from fungal_assets_tests.ancestors.dcgan_world import PICTURES, blob
from fungal_assets_tests.galleries.conftest import CLUSTERS, write_clusters

SETTINGS = {"pictures": 6, "walk_stops": 2, "frames_per_stop": 3, "frames_per_s": 8, "seed": 0}
COPIES = 6


@pytest.fixture(scope="module")
def clusters(tmp_path_factory):
    """Every blob in one of the clusters by its number."""
    folder = write_clusters(tmp_path_factory.mktemp("clusters"))
    rows = [
        {"image_id": f"blob-{number:03d}", "cluster_id": number % CLUSTERS, "distance": 0.0}
        for number in range(PICTURES)
    ]
    write_table(folder / "assignments.parquet", rows, ASSIGNMENTS)
    return folder


@pytest.fixture(scope="module")
def sample_galleries(tmp_path_factory):
    """A gallery whose pictures are real ones, saved again: all of them are copies."""
    folder = tmp_path_factory.mktemp("gallery")
    rows = []
    for number in range(COPIES):
        blob(number).save(folder / f"{number}.png")
        row = dict.fromkeys(COLUMNS.names)
        row |= {"path": f"{number}.png", "kind": "species", "model": "tuned", "text": "a blob", "index": 0}
        rows.append(row | {"species_id": f"species-{number % CLUSTERS:02d}"})
    write_table(folder / "gallery.parquet", rows, COLUMNS)
    return folder


@pytest.fixture(scope="module")
def compared(dcgan_trained, dcgan_squares, clusters, sample_galleries, tmp_path_factory):
    folder = tmp_path_factory.mktemp("compared")
    make_dcgan_gallery(dcgan_trained, dcgan_squares, clusters, sample_galleries, folder, **SETTINGS)
    return folder


def test_a_gallery_without_another_model_compares_nothing_and_is_otherwise_the_same_to_the_byte(
    dcgan_trained, dcgan_squares, clusters, compared, tmp_path
):
    make_dcgan_gallery(dcgan_trained, dcgan_squares, clusters, None, tmp_path, **SETTINGS)
    alone, both = hash_files(tmp_path), hash_files(compared)
    assert both.keys() - alone.keys() == {"comparison.webp", "comparison.md"}
    assert {name for name in alone if alone[name] != both[name]} == {"report.json"}
    assert list(json.loads((tmp_path / "report.json").read_text())["models"]) == [DCGAN]


def test_copies_are_found_in_whichever_model_has_them(compared):
    models = json.loads((compared / "report.json").read_text())["models"]
    assert models[DIFFUSION]["copies"] == COPIES and models[DCGAN]["copies"] == 0


def test_real_pictures_are_nearer_to_real_ones_than_what_was_hardly_trained(compared):
    models = json.loads((compared / "report.json").read_text())["models"]
    assert models[DIFFUSION]["kid"] < 0.5 < models[DCGAN]["kid"]
    assert models[DIFFUSION]["variety"] == pytest.approx(1, abs=0.3)
    assert models[DCGAN]["species_recognised"] is None


def test_the_table_has_every_measure_of_both(compared):
    lines = (compared / "comparison.md").read_text().splitlines()
    assert lines[0] == f"| | {DCGAN} | {DIFFUSION} |"
    assert [line.split(" | ")[0].strip("| ") for line in lines[2:]] == list(ROWS.values())
    assert lines[-1].split(" | ")[1] == "cannot be asked"


def test_the_checks_pass_a_gallery_and_see_planted_faults(compared, dcgan_trained, tmp_path):
    assert check_pictures(compared).passed and check_no_copies(compared).passed
    assert check_drawn_by(compared, dcgan_trained).passed
    report = json.loads((compared / "report.json").read_text())
    report["models"][DCGAN]["variety"] = 0.1
    report |= {"weights_sha256": "0" * 64, "walk": {"frames": 7, "frames_per_s": 8}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    (tmp_path / "walk.mp4").write_bytes((compared / "walk.mp4").read_bytes())
    rows = read_table(compared / "gallery.parquet")
    write_table(tmp_path / "gallery.parquet", [row | {"is_copied": True} for row in rows])
    (tmp_path / "pictures").mkdir()
    Image.new("RGB", (64, 64)).save(tmp_path / rows[0]["path"])
    assert not check_varied(tmp_path).passed and not check_no_copies(tmp_path).passed
    assert "6 frames of 7" in check_walk(tmp_path).finding and not check_walk(tmp_path).passed
    assert not check_drawn_by(tmp_path, dcgan_trained).passed
    finding = check_pictures(tmp_path).finding
    assert "0000.png is of one colour" in finding and "0001.png is missing" in finding


def test_previews_are_within_the_limits_of_an_event(compared):
    told = sheets("grid.webp", "comparison.webp", "nearest.webp", animations="walk.webp")(compared)
    assert set(told) == {"thumbnail", "grid", "comparison", "nearest", "walk"}
    assert len(told["thumbnail"]) <= INLINE_CHARS
    assert all(len(text) <= MAX_SHEET_BYTES for text in told.values())


def test_a_walk_passes_its_stops_keeps_the_length_of_noise_and_comes_back():
    ends = torch.randn(5, 3, 100, generator=torch.Generator().manual_seed(0))
    frames = list(walk(ends, 4))
    assert len(frames) == 12
    for stop in range(3):
        assert torch.allclose(frames[4 * stop], ends[:, stop], atol=1e-4)
    lengths = torch.stack(frames).norm(dim=-1)
    assert lengths.min() > 0.8 * ends.norm(dim=-1).min() and lengths.max() <= ends.norm(dim=-1).max() + 1e-3
    steps = [float((a - b).norm()) for a, b in zip(frames, [*frames[1:], frames[0]], strict=True)]
    assert max(steps) < 2 * min(steps)


def test_a_picture_passes_for_the_cluster_whose_reach_it_is_within(clusters):
    extractor = find_extractor("efficientnet-lite0")
    names = [f"blob-{number:03d}" for number in range(12)]
    vectors = embed_images((blob(number) for number in range(12)), extractor)
    species = Species(clusters, names, vectors)
    assert len(species) == CLUSTERS
    species._reaches = np.full(CLUSTERS, 2.0)
    assert (species.place(vectors) >= 0).all()
    species._reaches = np.full(CLUSTERS, -1.0)
    assert (species.place(vectors) == -1).all()


def test_places_are_spread_evenly():
    assert evenly(10, 5) == [0, 2, 4, 6, 8] and evenly(3, 5) == [0, 1, 2]
