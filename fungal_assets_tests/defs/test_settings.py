"""Settings: an asset's config fields are exactly the keyword-only arguments of the function that it calls.

The arguments `recipe`, `trials` and `watching` stand for the fields of their classes.
"""

import importlib
import inspect

import pytest

from fungal_assets.defs.building import build_definitions
from fungal_assets.defs.keeping import config_of

GIVEN_BY_THE_STEP = {"tell", "method", "on_step", "known", "earlier", "team"}
READ_BY_THE_STEP = {
    "forms_3d": {"max_species"},
    "species": {"keeps_names"},
    "fine_tuned_weights": {"processes"},
    "dcgan_weights": {"preset"},
}
"""They decide which species are grown, which names are kept and which settings are filled in, before the fingerprint is
taken, and who trains."""
STAGES = {
    "raw_images": ("collection.admission", "admit_images", ()),
    "prepared_images": ("collection.preparation", "prepare_images", ("size_px", "larger")),
    "feature_vectors": ("morphology.features", "extract_features", ()),
    "clusters": ("morphology.clusters", "find_clusters", ()),
    "name_lexicon": ("nomenclature.lexicon", "compile_lexicon", ()),
    "species": ("nomenclature.species", "name_species", ()),
    "captions": ("nomenclature.captions", "caption_images", ()),
    "prompts": ("nomenclature.prompts", "write_prompts", ()),
    "captioned_dataset": ("dataset.building", "build_dataset", ("records",)),
    "rehearsal": ("diffusion.rehearsal", "rehearse", ("size_px",)),
    "fine_tuned_weights": ("diffusion.training", "tune", ()),
    "pruned_weights": ("diffusion.strengths", "export_weights", ()),
    "sample_galleries": ("galleries.sampling", "sample_gallery", ("size_px",)),
    "forgetting_report": ("galleries.forgetting", "report_forgetting", ()),
    "species_report": ("galleries.species_report", "report_species", ()),
    "resolution_atlas": ("galleries.atlas.building", "draw_atlas", ("size_px",)),
    "weights_comparison": ("exhibition.comparison", "compare_weights", ()),
    "forms_3d": ("forms.growing", "grow_forms", ()),
    "meshes": ("forms.exporting", "build_meshes", ()),
    "videos_3d": ("forms.filming", "film_forms", ()),
    "field_guide": ("exhibition.field_guide", "build_field_guide", ()),
    "cppn_forms": ("ancestors.evolving", "evolve_forms", ()),
    "cppn_meshes": ("forms.exporting", "build_meshes", ()),
    "cppn_videos": ("forms.filming", "film_forms", ()),
    "cppn_pictures": ("ancestors.picture_evolving", "evolve_pictures", ()),
    "dcgan_weights": ("ancestors.dcgan_training", "train_dcgan", ("size_px",)),
    "dcgan_gallery": ("ancestors.dcgan_gallery", "make_dcgan_gallery", ()),
    "published_dataset": ("publication.publishing", "publish", ()),
    "published_weights": ("publication.publishing", "publish", ()),
}


@pytest.fixture(autouse=True, scope="module")
def _definitions():
    """The classes of settings are known by being defined."""
    build_definitions()


def _arguments(function):
    """What is given to it by name, a recipe's fields one by one."""
    found = {}
    for item in inspect.signature(function).parameters.values():
        if item.name in ("recipe", "trials", "watching"):
            kind = getattr(importlib.import_module(function.__module__), item.annotation)
            found |= inspect.signature(kind).parameters
        elif item.kind is item.KEYWORD_ONLY:
            found[item.name] = item
    return found


@pytest.mark.parametrize("asset", STAGES)
def test_no_setting_is_dead_and_none_is_missing(asset):
    module, name, given = STAGES[asset]
    function = getattr(importlib.import_module(f"fungal_assets.{module}"), name)
    arguments = _arguments(function)
    fields = set(config_of(asset).model_fields) - READ_BY_THE_STEP.get(asset, set())
    assert fields == set(arguments) - GIVEN_BY_THE_STEP - set(given)
    assert all(
        argument.default is inspect.Parameter.empty
        for argument in arguments.values()
        if argument.name not in GIVEN_BY_THE_STEP
    ), "a default in the stage function would hide the profile's value"
