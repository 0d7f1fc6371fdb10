"""A growth of discs, sixteen to a species, two and two of them near duplicates, and the dataset of it."""

from dataclasses import replace

import pytest

from fungal_assets.dataset.building import build_dataset
from fungal_assets.morphology.twins import TWINS
from fungal_assets.shards import read_table, write_table
from fungal_assets.store import Record
from fungal_assets_tests.nomenclature.growths import grow

PER_SPECIES, ROWS = 16, 48
RECORD = Record(
    asset="raw_images",
    partition=None,
    fingerprint="0" * 16,
    inputs={"source": "a" * 64},
    config={"source": "/home/ada/secret place", "min_side_px": 96},
    code_version="4",
    content_hash="c" * 64,
    seconds=12.5,
    finished_at="2026-01-01T00:00:00Z",
)


def write_groups(folder, groups):
    """The part of a `feature_vectors` output that says who is whose twin."""
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "vectors.parquet", [{"image_id": image_id} for image_id in groups])
    rows = [
        {"image_id": image_id, "twin_id": group, "cosine": 1.0, "group_id": group}
        for image_id, group in groups.items()
        if list(groups.values()).count(group) > 1
    ]
    write_table(folder / "twins.parquet", rows, TWINS)
    return folder


@pytest.fixture(scope="session")
def growth(tmp_path_factory):
    grown = grow(tmp_path_factory.mktemp("growth"), per_cluster=PER_SPECIES)
    members = {}
    for row in read_table(grown.captions / "captions.parquet"):
        members.setdefault(row["species_id"], []).append(row["image_id"])
    groups = {ids[at]: ids[at - at % 2] for ids in members.values() for at in range(len(ids))}
    return replace(grown, feature_vectors=write_groups(tmp_path_factory.mktemp("groups") / "vectors", groups))


@pytest.fixture(scope="session")
def build(growth):
    """Build the dataset into a folder, from the growth or from other inputs; the figures."""

    def build(folder, *, share=0.25, has_imagefolder=True, max_shard_mb=256.0, **changed):
        folder.mkdir(parents=True, exist_ok=True)
        names = ("prepared_images", "captions", "species", "raw_images", "feature_vectors")
        return build_dataset(
            *(changed.get(name, getattr(growth, name)) for name in names),
            folder,
            max_shard_mb=max_shard_mb,
            has_imagefolder=has_imagefolder,
            held_out_share=share,
            records=[RECORD],
        )

    return build


@pytest.fixture(scope="session")
def dataset(build, tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    build(folder)
    return folder
