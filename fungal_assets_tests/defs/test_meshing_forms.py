"""The asset `meshes`: what the step makes of forms, what its checks and its page say, and what is refused."""

from __future__ import annotations

import json

import dagster as dg
import pytest
import torch

from fungal_assets.defs.meshes import MESH_CHECKS, meshes
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.forms.gltf import read_glb
from fungal_assets.forms.keeping import save_volume
from fungal_assets.forms.volume import EMPTY, Volume
from fungal_assets.store import Store
from fungal_assets_tests.forms.shapes import toadstool

KEY = "lora|64"
SMALL = {"face_budgets": [400, 200], "texture_px": 64}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A store with two forms, one of which is empty."""
    kept = Store(tmp_path_factory.mktemp("store"))
    empty = Volume(torch.full((16, 16, 16), EMPTY), torch.zeros(3, 16, 16, 16))
    volumes = {"red cap": toadstool(20), "no cap": empty}

    def build(folder):
        forms = []
        for name, volume in volumes.items():
            form = {"common_name": name, "scientific_name": "Aurata campi", "slug": name.replace(" ", "-"),
                    "prompt": f"a photo of a {name}", "seed": 1, "guide_sha256": "ab" * 32}  # fmt: skip
            (folder / form["slug"]).mkdir()
            save_volume(folder / form["slug"] / "form.npz", volume, {})
            forms.append(form)
        (folder / "forms.json").write_text(json.dumps({"forms": forms, "failed": []}))
        return {}

    kept.make(
        "forms_3d", KEY, inputs=[], config={}, code_version="8", licences=["CC0-1.0"],
        build=build,
    )  # fmt: skip
    return kept


def make(store, **settings):
    """Materialise the meshes; gives Dagster's result."""
    resources = {"store": StoreResource(root=store.root), "profile": ProfileResource(name="pocket")}
    config = {"ops": {"meshes": {"config": SMALL | settings}}}
    return dg.materialize(
        [meshes], partition_key=KEY, resources=resources, run_config=config, raise_on_error=False
    )


def test_the_step_makes_meshes_and_names_the_form_that_gave_none(store):
    result = make(store)
    assert result.success, "a form without a mesh stops nothing"
    verdicts = {item.check_name: item for item in result.get_asset_check_evaluations()}
    assert set(verdicts) == {check.name for check in MESH_CHECKS}
    failed = {name for name, verdict in verdicts.items() if not verdict.passed}
    assert failed == {"every_form_has_its_meshes"}
    assert "no cap gave no mesh: the form is empty" in verdicts["every_form_has_its_meshes"].description
    (event,) = result.get_asset_materialization_events()
    told = event.materialization.metadata
    assert told["meshes"].value == 1 and told["failed"].value == 1
    assert "| red cap | 1 | 200 |" in told["levels_of_detail"].value


def test_every_file_tells_the_licences_of_what_the_form_came_from(store):
    make(store)
    output = store.get("meshes", KEY)
    document, _ = read_glb(output.path / "red-cap" / "red-cap_LOD0.glb")
    assert document["asset"]["extras"]["licences"] == ["CC0-1.0"] == output.record.licences
    assert document["asset"]["extras"]["height_m"] == 0.14


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"formats": ["fbx"]}, "format 'fbx' not known"),
        ({"face_budgets": [5]}, "expected 100 to 40000 faces"),
    ],
    ids=["format", "budget"],
)
def test_what_cannot_be_is_told_plainly(store, settings, message):
    result = make(store, **settings)
    assert not result.success
    (failure,) = result.get_step_failure_events()
    assert message in failure.event_specific_data.user_failure_data.description
