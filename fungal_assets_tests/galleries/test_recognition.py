import json

import numpy as np
import pytest

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.galleries.recognition import likeness, own_clusters, recognise_species, summarise
from fungal_assets.morphology.extractors import describe_extractor, find_extractor
from fungal_assets.morphology.projection import fit_projection
from fungal_assets_tests.galleries.conftest import write_clusters
from fungal_assets_tests.morphology.conftest import KINDS, draw_specimen
from fungal_assets_tests.morphology.models import save_dinov2


def test_shares_are_means_over_species_whatever_their_number_of_pictures():
    rows = [{"species_id": "species-00"}] * 4 + [{"species_id": "species-01"}] * 2
    own, found = np.array([0, 0, 0, 0, 1, 1]), np.array([0, 0, 0, 2, 2, 2])
    similarity = np.tile(np.array([0.5, 0.25, 0.75], np.float32), (6, 1))
    summary = summarise(rows, own, found, similarity)
    assert [each["recognised"] for each in summary["species"]] == [0.75, 0.0]
    assert [each["most_taken_for"] for each in summary["species"]] == [0, 2]
    assert [each["similarity"] for each in summary["species"]] == [0.5, 0.25]
    assert (summary["species_recognised"], summary["pictures"]) == (0.375, 6)
    assert summary["chance"] == pytest.approx(1 / 3, abs=1e-4)


def test_species_follow_the_order_of_clusters_and_missing_ones_are_all_named(tmp_path):
    clusters = write_clusters(tmp_path)
    assert own_clusters(["species-02", "species-00"], clusters).tolist() == [2, 0]
    with pytest.raises(InputError, match=r"'species-03', 'species-11'"):
        own_clusters(["species-11", "species-03", "species-00"], clusters)


def test_a_likeness_that_all_pictures_share_does_not_count():
    centres = np.eye(4, 8, dtype=np.float32)
    own = np.repeat(np.arange(4), 3)
    painted = centres[own] + 5 * np.ones(8, dtype=np.float32) * np.arange(8)
    assert likeness(painted, own, centres).argmax(axis=1).tolist() == own.tolist()
    collapsed = np.repeat(painted[:1], len(own), axis=0)
    assert (likeness(collapsed, own, centres).argmax(axis=1) == own).mean() <= 0.25


@pytest.fixture
def world(tmp_path):
    """A gallery of three pictures twice over, and clusters of those very pictures by a tiny DINOv2."""
    extractor = find_extractor(str(save_dinov2(tmp_path / "dinov2")))
    pictures = [draw_specimen(kind, 0) for kind in KINDS for _ in range(2)]
    rows = []
    for number, picture in enumerate(pictures):
        path = f"{number}.png"
        picture.save(tmp_path / path)
        species = f"species-{number // 2:02d}"
        rows.append({"kind": "species", "model": "tuned", "species_id": species, "path": path})
    clusters = write_clusters(tmp_path / "clusters")
    vectors = extractor.embed(pictures)
    projection = fit_projection(vectors)
    projection.save(clusters / "projection.npz")
    np.save(clusters / "centroids.npy", projection.project(vectors).reshape(3, 2, -1).mean(1))
    (clusters / "extractor.json").write_text(json.dumps(describe_extractor(extractor)))
    return tmp_path, rows, clusters


def test_pictures_are_embedded_by_the_extractor_that_the_clusters_were_found_by(world):
    gallery, rows, clusters = world
    assert recognise_species(gallery, rows, clusters)["species_recognised"] == 1


def test_pictures_are_not_compared_with_clusters_of_an_extractor_that_has_changed(world):
    gallery, rows, clusters = world
    save_dinov2(gallery / "dinov2", seed=4)
    with pytest.raises(ProvenanceError, match="no picture can be compared with them"):
        recognise_species(gallery, rows, clusters)
    (clusters / "extractor.json").unlink()
    with pytest.raises(ProvenanceError, match="not known which extractor"):
        recognise_species(gallery, rows, clusters)
