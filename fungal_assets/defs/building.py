"""Assembling the definitions from the modules of this package, and the executor they run under."""

import dagster as dg

from fungal_assets.defs import (
    ancestors_cppn,
    ancestors_pictures,
    atlas,
    collection,
    comparison,
    dataset,
    dcgan,
    diffusion,
    exhibition,
    forms,
    galleries,
    meshes,
    morphology,
    nomenclature,
    publication,
    rehearsal,
)
from fungal_assets.defs.jobs import default_jobs
from fungal_assets.defs.resources import HubResource, ProfileResource, StoreResource
from fungal_assets.defs.schedules import default_schedules
from fungal_assets.defs.sensors import default_sensors

ASSET_MODULES = (
    collection,
    morphology,
    nomenclature,
    dataset,
    rehearsal,
    diffusion,
    galleries,
    atlas,
    comparison,
    forms,
    meshes,
    exhibition,
    ancestors_cppn,
    ancestors_pictures,
    publication,
    dcgan,
)

# The checks of every asset, for whoever looks at outputs outside a run.
CHECKS = {
    "raw_images": collection.RAW_CHECKS,
    "prepared_images": collection.PREPARED_CHECKS,
    "feature_vectors": morphology.VECTOR_CHECKS,
    "clusters": morphology.CLUSTER_CHECKS,
    "name_lexicon": nomenclature.LEXICON_CHECKS,
    "species": nomenclature.SPECIES_CHECKS,
    "captions": nomenclature.CAPTION_CHECKS,
    "prompts": nomenclature.PROMPT_CHECKS,
    "captioned_dataset": dataset.DATASET_CHECKS,
    "rehearsal": rehearsal.REHEARSAL_CHECKS,
    "fine_tuned_weights": diffusion.TUNED_CHECKS,
    "pruned_weights": diffusion.PRUNED_CHECKS,
    "sample_galleries": galleries.GALLERY_CHECKS,
    "forgetting_report": galleries.REPORT_CHECKS,
    "species_report": galleries.SPECIES_REPORT_CHECKS,
    "resolution_atlas": atlas.ATLAS_CHECKS,
    "weights_comparison": comparison.COMPARISON_CHECKS,
    "forms_3d": forms.FORM_CHECKS,
    "meshes": meshes.MESH_CHECKS,
    "videos_3d": forms.VIDEO_CHECKS,
    "field_guide": exhibition.GUIDE_CHECKS,
    "cppn_forms": ancestors_cppn.CPPN_CHECKS,
    "cppn_meshes": ancestors_cppn.CPPN_MESH_CHECKS,
    "cppn_videos": ancestors_cppn.CPPN_VIDEO_CHECKS,
    "cppn_pictures": ancestors_pictures.PICTURE_CHECKS,
    "dcgan_weights": dcgan.DCGAN_WEIGHTS_CHECKS,
    "dcgan_gallery": dcgan.DCGAN_GALLERY_CHECKS,
    "published_dataset": publication.PUBLICATION_CHECKS,
    "published_weights": publication.PUBLICATION_CHECKS,
}

# Imported once by the fork server, so that a step's process starts in well under a second. Nothing here may touch CUDA.
PRELOADED_MODULES = (
    "dagster._core.storage.runs.sqlite",
    "dagster._core.storage.event_log.sqlite",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "alembic.command",
    "fungal_assets.definitions",
)

executor = dg.multiprocess_executor.configured(
    {
        "max_concurrent": 2,
        "start_method": {"forkserver": {"preload_modules": list(PRELOADED_MODULES)}},
    }
)


def build_definitions() -> dg.Definitions:
    """A fresh set of definitions; tests build their own."""
    return dg.Definitions(
        assets=dg.load_assets_from_modules(ASSET_MODULES),
        jobs=default_jobs,
        schedules=default_schedules,
        sensors=default_sensors,
        resources={"store": StoreResource(), "profile": ProfileResource(), "hub": HubResource()},
        executor=executor,
    )
