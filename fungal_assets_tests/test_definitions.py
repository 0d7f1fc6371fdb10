"""The graph: it loads, lightly; every asset says what it is and is checked; nothing points the wrong way."""

import ast
import importlib
import json
import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

import fungal_assets
from fungal_assets.defs.building import CHECKS, PRELOADED_MODULES, build_definitions
from fungal_assets.defs.jobs import (
    ATLAS_ASSETS,
    BRANCHES,
    COLLECTION_ASSETS,
    COMPARISON_ASSETS,
    GROWTH_ASSETS,
    PUBLICATION_ASSETS,
)
from fungal_assets.growth import assets_of

HEAVY = (
    "torch",
    "diffusers",
    "transformers",
    "peft",
    "sklearn",
    "datasets",
    "skimage",
    "scipy",
    "onnxruntime",
    "matplotlib",
    "av",
    "pandas",
    "faiss",
    "numpy",
    "pyarrow",
    "huggingface_hub",
)
GRAPH = {
    "raw_images": [],
    "prepared_images": ["raw_images"],
    "feature_vectors": ["raw_images"],
    "clusters": ["feature_vectors", "raw_images"],
    "name_lexicon": [],
    "species": ["clusters", "feature_vectors", "name_lexicon", "raw_images"],
    "captions": ["clusters", "feature_vectors", "raw_images", "species"],
    "prompts": ["name_lexicon", "species"],
    "captioned_dataset": ["captions", "feature_vectors", "prepared_images", "raw_images", "species"],
    "rehearsal": ["prompts"],
    "fine_tuned_weights": ["captioned_dataset", "clusters", "prompts", "rehearsal"],
    "pruned_weights": ["captioned_dataset", "clusters", "fine_tuned_weights", "prompts"],
    "sample_galleries": ["clusters", "prompts", "pruned_weights"],
    "forgetting_report": ["fine_tuned_weights", "pruned_weights", "sample_galleries"],
    "species_report": ["captioned_dataset", "clusters", "pruned_weights", "sample_galleries"],
    "resolution_atlas": ["prompts", "pruned_weights"],
    "weights_comparison": ["forgetting_report", "species_report"],
    "forms_3d": ["clusters", "prompts", "pruned_weights", "sample_galleries", "species"],
    "meshes": ["forms_3d"],
    "videos_3d": ["forms_3d"],
    "field_guide": [
        "captions",
        "clusters",
        "fine_tuned_weights",
        "forgetting_report",
        "forms_3d",
        "meshes",
        "prompts",
        "resolution_atlas",
        "sample_galleries",
        "species",
        "species_report",
        "videos_3d",
        "weights_comparison",
    ],
    "cppn_forms": ["forms_3d"],
    "cppn_meshes": ["cppn_forms"],
    "cppn_videos": ["cppn_forms"],
    "cppn_pictures": ["forms_3d"],
    "dcgan_weights": ["prepared_images"],
    "dcgan_gallery": ["clusters", "dcgan_weights", "prepared_images", "sample_galleries"],
    "published_dataset": ["captioned_dataset"],
    "published_weights": ["forgetting_report", "pruned_weights", "sample_galleries"],
}


@pytest.fixture(scope="module")
def definitions():
    return build_definitions()


@pytest.fixture(scope="module")
def specs(definitions):
    return {spec.key.to_user_string(): spec for spec in definitions.resolve_all_asset_specs()}


def test_the_definitions_load(definitions):
    dg.Definitions.validate_loadable(definitions)


def test_the_graph_is_the_road(specs):
    found = {
        name: sorted(dep.asset_key.to_user_string() for dep in spec.deps) for name, spec in specs.items()
    }
    assert found == GRAPH


def test_every_asset_says_what_it_is(specs):
    for name, spec in specs.items():
        assert spec.description and spec.group_name != "default" and spec.kinds and spec.code_version, name


def test_every_asset_is_checked_and_most_are_blocked_on(definitions):
    keys = definitions.resolve_asset_graph().asset_check_keys
    assert {(key.asset_key.to_user_string(), key.name) for key in keys} == {
        (asset, check.name) for asset, checks in CHECKS.items() for check in checks
    }
    assert set(CHECKS) == set(GRAPH)
    without = {asset for asset, checks in CHECKS.items() if not any(check.blocking for check in checks)}
    assert without == {"forgetting_report"}, "low retention is to be seen in the field guide"


def test_the_jobs_hold_every_asset_once():
    beside = [asset for branch in BRANCHES for asset in assets_of(branch)]
    asked_for = [*ATLAS_ASSETS, *COMPARISON_ASSETS, *PUBLICATION_ASSETS]
    kept = [*COLLECTION_ASSETS, *GROWTH_ASSETS, *beside, *asked_for]
    assert sorted(kept) == sorted(GRAPH)


def test_what_starts_by_itself_is_off(definitions):
    assert all(
        item.default_status.value == "STOPPED" for item in [*definitions.schedules, *definitions.sensors]
    )


@pytest.mark.parametrize("name", PRELOADED_MODULES)
def test_preloaded_modules_exist(name):
    importlib.import_module(name)


def test_loading_the_definitions_imports_no_heavy_library():
    code = (
        "import json, sys; from fungal_assets.definitions import defs; defs(); "
        f"print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == []


def test_pure_code_knows_nothing_of_dagster():
    root = Path(fungal_assets.__file__).parent
    dagster_layer = {"defs", "definitions.py", "growth.py", "auditing.py", "reporting.py", "cli.py"}
    for path in root.rglob("*.py"):
        if path.relative_to(root).parts[0] in dagster_layer:
            continue
        for node in ast.walk(ast.parse(path.read_text())):
            names = [item.name for item in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            wrong = [name for name in names if name.startswith(("dagster", "fungal_assets.def"))]
            assert not wrong, f"{path}: {wrong}"
