"""What is found out about a publication afterwards, and that it is said plainly."""

import pytest

from fungal_assets.publication.checks import check_seen_by_whom_was_asked, check_what_lies_there
from fungal_assets_tests.publication.conftest import REPO


@pytest.fixture
def published(push, tmp_path):
    (tmp_path / "publication.json").write_text(push().to_json())
    return tmp_path


def test_a_publication_that_lies_there_passes(published, hub, loopback):
    verdict = check_what_lies_there(published, hub)
    assert verdict.passed and "all 11 files lie at" in verdict.finding and verdict.figures["faults"] == 0
    assert check_seen_by_whom_was_asked(published, hub, is_private=True).passed


@pytest.mark.parametrize(
    ("path", "data", "said"),
    [
        ("ATTRIBUTION.csv", b"image_id,creatoR\n", "ATTRIBUTION.csv has other bytes"),
        ("README.md", b"", "README.md has 0 bytes, not"),
        ("data/train-00001-of-00005.parquet", None, "data/train-00001-of-00005.parquet is not there"),
    ],
    ids=["same size", "another size", "gone"],
)
def test_a_changed_file_under_the_tag_is_found(published, hub, loopback, path, data, said):
    repo = loopback.repos["dataset", REPO]
    tree = dict(repo.trees[repo.branches["main"]])
    tree.pop(path)
    if data is not None:
        tree[path] = loopback.put(data, is_large=False)
    for tag in repo.tags:
        repo.tags[tag] = repo.commit("main", tree)
    verdict = check_what_lies_there(published, hub)
    assert not verdict.passed and said in verdict.finding and "publish again" in verdict.finding


def test_a_deleted_tag_is_found(published, hub, loopback):
    loopback.repos["dataset", REPO].tags.clear()
    assert "there is no tag" in check_what_lies_there(published, hub).finding


def test_what_became_public_is_found(published, hub, loopback):
    loopback.repos["dataset", REPO].is_private = False
    verdict = check_seen_by_whom_was_asked(published, hub, is_private=True)
    assert not verdict.passed and "is public; make it private" in verdict.finding
    assert check_seen_by_whom_was_asked(published, hub, is_private=False).passed


def test_what_is_gone_is_found(published, hub, loopback):
    loopback.repos.clear()
    assert "is gone" in check_seen_by_whom_was_asked(published, hub, is_private=True).finding
