"""A collection that has grown: `species` keeps the names that were given, and its record says of which output."""

from __future__ import annotations

import hashlib
import json
import shutil

import dagster as dg
import pytest

from fungal_assets.defs.nomenclature import EARLIER, prompts, species
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.nomenclature.lexicon import compile_lexicon
from fungal_assets.nomenclature.species import read_species
from fungal_assets.shards import read_table, write_table
from fungal_assets.store import Store
from fungal_assets_tests.nomenclature.growths import grow


@pytest.fixture(scope="module")
def growth(tmp_path_factory):
    return grow(tmp_path_factory.mktemp("growth"))


@pytest.fixture
def store(tmp_path, growth):
    """A store with all that species are made of."""
    kept = Store(tmp_path / "store")
    for name in ("raw_images", "feature_vectors", "clusters", "name_lexicon"):
        put(kept, name, getattr(growth, name))
    return kept


def put(store, name, folder):
    """Make a folder the newest output of an asset."""
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sorted(folder.rglob("*.*")))).hexdigest()
    store.make(
        name,
        None,
        inputs=[],
        config={"of": digest},
        code_version="0",
        build=lambda target: shutil.copytree(folder, target, dirs_exist_ok=True) and {},
    )


def put_clusters(store, growth, folder, change):
    """Clusters in which every image has the cluster that `change` says; those with None are left out."""
    rows = read_table(growth.clusters / "assignments.parquet")
    kept = [row | {"cluster_id": change(row)} for row in rows if change(row) is not None]
    ids = sorted({row["cluster_id"] for row in kept})
    members = {one: [row["image_id"] for row in kept if row["cluster_id"] == one] for one in ids}
    folder.mkdir()
    write_table(folder / "assignments.parquet", kept)
    found = [{"cluster_id": one, "size": len(own), "medoid_id": own[-1]} for one, own in members.items()]
    (folder / "clusters.json").write_text(json.dumps({"clusters": found}))
    put(store, "clusters", folder)


def name(store, **settings):
    """Materialise species; gives its output."""
    resources = {"store": StoreResource(root=store.root), "profile": ProfileResource(name="pocket")}
    config = {"ops": {"species": {"config": settings}}}
    result = dg.materialize([species], resources=resources, run_config=config)
    assert result.success and all(check.passed for check in result.get_asset_check_evaluations())
    return store.get("species")


def names(output):
    return {one.common_name for one in read_species(output.path)}


def test_grown_clusters_keep_their_names_and_the_record_says_from_which_output(store, growth, tmp_path):
    first = name(store)
    assert EARLIER not in first.record.inputs and first.record.figures["names_kept"] == 0
    put_clusters(store, growth, tmp_path / "grown", lambda row: 2 - row["cluster_id"])
    second = name(store)
    assert names(second) == names(first) and second.record.fingerprint != first.record.fingerprint
    assert second.record.inputs[EARLIER] == first.record.content_hash
    assert second.record.figures["names_kept"] == 3


def test_the_same_work_is_not_done_again_however_often_it_is_asked_for(store, growth, tmp_path):
    first = name(store)
    assert name(store).record.fingerprint == first.record.fingerprint
    put_clusters(store, growth, tmp_path / "grown", lambda row: 2 - row["cluster_id"])
    second = name(store)
    assert name(store).record.fingerprint == second.record.fingerprint
    put(store, "clusters", growth.clusters)
    assert name(store).record.fingerprint == first.record.fingerprint, "back to the first clusters"
    assert len(store.kept_here("species")) == 2


def test_a_third_growth_keeps_what_the_second_kept(store, growth, tmp_path):
    first = name(store)
    put_clusters(store, growth, tmp_path / "second", lambda row: 2 - row["cluster_id"])
    second = name(store)
    put_clusters(
        store, growth, tmp_path / "third", lambda row: row["cluster_id"] if row["distance"] else None
    )
    third = name(store)
    assert names(third) == names(first)
    assert third.record.inputs[EARLIER] == second.record.content_hash


def test_names_are_kept_from_the_output_in_force_not_from_the_one_made_last(store, growth, tmp_path):
    first = name(store)
    put_clusters(store, growth, tmp_path / "second", lambda row: 2 - row["cluster_id"])
    assert name(store).record.inputs[EARLIER] == first.record.content_hash
    put(store, "clusters", growth.clusters)
    assert name(store).record.fingerprint == first.record.fingerprint
    put_clusters(
        store, growth, tmp_path / "third", lambda row: row["cluster_id"] if row["distance"] else None
    )
    assert name(store).record.inputs[EARLIER] == first.record.content_hash


def test_names_are_kept_from_the_growth_with_the_most_images_in_common_not_from_a_quick_try(
    store, growth, tmp_path
):
    first = name(store)
    put_clusters(
        store, growth, tmp_path / "try", lambda row: row["cluster_id"] if row["cluster_id"] < 2 else None
    )
    name(store)
    put_clusters(store, growth, tmp_path / "third", lambda row: 2 - row["cluster_id"])
    third = name(store)
    assert third.record.inputs[EARLIER] == first.record.content_hash
    assert names(third) == names(first)


def test_more_words_in_the_lexicon_change_no_name(store, growth, tmp_path):
    first = name(store)
    table, lexicon = tmp_path / "own.csv", tmp_path / "lexicon"
    table.write_text("common_name,scientific_name\nquirky flumph,Flumphus bonus\n")
    lexicon.mkdir()
    compile_lexicon(lexicon, extra_names=str(table))
    put(store, "name_lexicon", lexicon)
    assert names(name(store)) == names(first)


def test_names_that_older_code_gave_are_kept_by_newer(store):
    """The same inputs and settings do not make it the same work."""
    first = name(store)
    older = store.make(
        "species",
        None,
        inputs=[store.get(one) for one in ("clusters", "raw_images", "feature_vectors", "name_lexicon")],
        sources={"tables": first.record.inputs["tables"]},
        config=first.record.config,
        code_version="0",
        build=lambda folder: shutil.copytree(first.path, folder, dirs_exist_ok=True) and {"names_kept": 0},
    ).output
    shutil.rmtree(first.path)
    path = older.path / "species.json"
    assert path.exists() and store.get("species").path == older.path
    second = name(store)
    assert second.record.inputs[EARLIER] == older.record.content_hash
    assert second.record.figures["names_kept"] == 3


@pytest.mark.parametrize("settings", [{"seed": 5}, {"keeps_names": False}], ids=["seed", "asked for"])
def test_all_names_can_be_had_anew(store, growth, tmp_path, settings):
    first = name(store)
    put_clusters(store, growth, tmp_path / "grown", lambda row: 2 - row["cluster_id"])
    second = name(store, **settings)
    assert not names(second) & names(first) and EARLIER not in second.record.inputs
    assert names(name(store, **settings | {"keeps_names": True})) == names(second), (
        "these are kept from now on"
    )


def test_a_growth_of_other_images_is_no_ancestor(store, growth, tmp_path):
    other = grow(tmp_path / "other", seed=3, per_cluster=5)
    for asset in ("raw_images", "feature_vectors", "clusters"):
        put(store, asset, getattr(other, asset))
    rows = read_table(growth.clusters / "assignments.parquet")
    apart = {row["image_id"] for row in rows}
    put_clusters(
        store, other, tmp_path / "apart", lambda row: None if row["image_id"] in apart else row["cluster_id"]
    )
    elsewhere = name(store)
    for asset in ("raw_images", "feature_vectors", "clusters"):
        put(store, asset, getattr(growth, asset))
    assert EARLIER not in name(store).record.inputs
    assert names(elsewhere) != names(store.get("species"))


def test_names_that_were_tampered_with_are_not_kept(store, growth, tmp_path):
    first = name(store)
    path = first.path / "species.json"
    path.write_text(path.read_text().replace(read_species(first.path)[0].common_name, "evil twin"))
    put_clusters(store, growth, tmp_path / "grown", lambda row: 2 - row["cluster_id"])
    assert EARLIER not in name(store).record.inputs


def test_a_file_of_ones_own_that_is_missing_is_named_with_its_setting(store, growth):
    put(store, "species", growth.species)
    resources = {"store": StoreResource(root=store.root), "profile": ProfileResource(name="pocket")}
    config = {"ops": {"prompts": {"config": {"templates": "nowhere.csv", "extra_controls": "no.csv"}}}}
    with pytest.raises(dg.Failure, match=r"templates 'nowhere.csv' and extra_controls 'no.csv': not a file"):
        dg.materialize([prompts], resources=resources, run_config=config)


def test_ones_own_templates_of_species_alone_are_taken_with_the_profiles_own_settings(
    store, growth, tmp_path
):
    put(store, "species", growth.species)
    path = tmp_path / "own.csv"
    path.write_text("kind,group,template,purpose\nspecies,,a sketch of {subject},to see\n")
    resources = {"store": StoreResource(root=store.root), "profile": ProfileResource(name="pocket")}
    config = {"ops": {"prompts": {"config": {"templates": str(path)}}}}
    assert dg.materialize([prompts], resources=resources, run_config=config).success
    figures = store.get("prompts").record.figures
    assert (figures["species"], figures["context"], figures["bad_lines"]) == (3, 0, 0)


def test_a_bad_line_of_ones_own_templates_is_a_warning_and_the_prompts_are_made(store, growth, tmp_path):
    put(store, "species", growth.species)
    path = tmp_path / "own.csv"
    lines = ["kind,group,template,purpose", "species,,a sketch of {subject},to see", "poem,,{subject},why"]
    path.write_text("\n".join([*lines, "context,season,{subject} in May,why"]))
    resources = {"store": StoreResource(root=store.root), "profile": ProfileResource(name="pocket")}
    config = {"ops": {"prompts": {"config": {"templates": str(path), "context_groups": ["season"]}}}}
    result = dg.materialize([prompts], resources=resources, run_config=config)
    assert result.success
    (check,) = [one for one in result.get_asset_check_evaluations() if not one.passed]
    assert (check.check_name, check.severity) == ("every_line_used", dg.AssetCheckSeverity.WARN)
    assert "own.csv line 3" in check.description
