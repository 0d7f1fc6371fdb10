"""Assets of evolved forms: `cppn_forms`, bred by pattern producing networks from an object, a grown form or several.

`cppn_meshes` and `cppn_videos` take them the way of grown ones, and with them what a person bred and saved.
"""

import functools
import json
from pathlib import Path

import dagster as dg
from pydantic import Field

from fungal_assets.defs.forms import VideoFields, forms_3d, keep_videos, video_checks
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.meshes import MeshFields, keep_meshes, mesh_checks
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.growth import NOTE
from fungal_assets.store import Output, Store, hash_file, hash_folder
from fungal_assets.verdicts import Verdict

GROW_ANCESTORS = "fungal grow --with ancestors"


class CppnFormsConfig(StageConfig):
    """What forms descend from, what they are bred for, and how long."""

    ancestors: list[str] | None = Field(
        default=None,
        description="Objects that forms descend from: mesh files (GLB, OBJ, STL, PLY), 'form:NAME' for a grown form, "
        "'form:' for all, 'fungarium:MORPHOTYPE' or 'fungarium:MORPHOTYPE:SEED'. Several make chimeras. Empty for up "
        "to three of the grown forms, and for three of the fungarium where none is grown.",
    )
    population: int | None = Field(default=None, ge=4, le=2000, description="Genomes of a generation.")
    generations: int | None = Field(default=None, ge=1, le=10_000, description="Generations to breed.")
    fitness: str | None = Field(
        default=None,
        pattern="^(novelty|target|words)$",
        description="What they are bred for: to be unlike all others and alive, to match an object, or to fit words.",
    )
    target: str | None = Field(
        default=None, description="Object to match, addressed as an ancestor; for 'target'."
    )
    words: str | None = Field(
        default=None, description="What the judge is to see, such as 'a morel mushroom'; for 'words'."
    )
    forms: int | None = Field(
        default=None, ge=1, le=200, description="How many forms are grown whole and kept."
    )
    grid_size: int | None = Field(
        default=None, ge=16, le=128, description="Samples along a side of the grid that forms are bred on."
    )
    form_grid_size: int | None = Field(
        default=None, ge=24, le=320, description="The same of the forms that are kept."
    )
    max_faces: int | None = Field(default=None, ge=500, le=2_000_000, description="Budget of a mesh, faces.")
    seed: int | None = Field(default=None, ge=0, description="Seed of all chance.")


def _reproduced(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.checks import check_reproduction

    return check_reproduction(output.path)


def _viable(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.checks import check_viability

    return check_viability(output.path)


def _different(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.checks import check_difference

    return check_difference(output.path)


def _still_fungi(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.checks import check_still_fungi

    return check_still_fungi(output.path)


def _closed(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.checks import check_meshes

    return check_meshes(output.path)


def _replayed(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.checks import check_replay

    return check_replay(output.path)


CPPN_CHECKS = (
    Check(
        "ancestors_are_reproduced",
        "The genomes that evolution starts from grow their ancestors again.",
        _reproduced,
        blocking=True,
    ),
    Check(
        "forms_are_viable", "Every form is one piece, stands, and touches nothing.", _viable, is_severe=True
    ),
    Check("forms_differ", "Every form differs from each of its ancestors.", _different),
    Check(
        "forms_are_still_fungi",
        "The judge calls the forms fungi in at least half of their views.",
        _still_fungi,
    ),
    Check("evolved_meshes_are_closed", "Every mesh is one closed piece.", _closed, blocking=True),
    Check("genomes_replay", "Every genome grows its form again.", _replayed, blocking=True),
)


@dg.asset(
    group_name="ancestors",
    kinds={"pytorch", "gltf"},
    code_version="2",
    deps=[forms_3d],
    check_specs=check_specs("cppn_forms", CPPN_CHECKS),
)
def cppn_forms(
    context: dg.AssetExecutionContext, config: CppnFormsConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Forms evolved by pattern producing networks from objects or grown forms, with genomes, lineage and meshes."""
    from fungal_assets.ancestors.evolving import evolve_forms
    from fungal_assets.ancestors.origins import FORM, choose_origins, is_path
    from fungal_assets.ancestors.sessions import list_saved

    settings = config.fill("cppn_forms", profile)
    grown = newest_forms(store.open())
    with told_plainly():
        origins = choose_origins(settings["ancestors"], None if grown is None else grown.path)
    settings |= {"ancestors": origins}
    named = [*origins, settings["target"]]
    saved = list_saved(store.open().root)
    sources = {name: hash_file(Path(name)) for name in named if is_path(name) and Path(name).is_file()}
    sources |= {f"bred/{path.parents[1].name}/{path.name}": hash_folder(path) for path in saved}
    return keep(
        context,
        store,
        inputs=[grown] if grown is not None and any(name.startswith(FORM) for name in named) else [],
        settings=settings,
        sources=sources,
        build=functools.partial(evolve_forms, None if grown is None else grown.path, saved),
        checks=CPPN_CHECKS,
        preview=sheets("forms.webp", "lineage.webp", animations="*/turntable.webp"),
    )


class CppnMeshesConfig(MeshFields, StageConfig):
    """How fine the meshes of evolved forms are, how large, and in which formats."""


class CppnVideosConfig(VideoFields, StageConfig):
    """How evolved forms are filmed, and for which screens."""


CPPN_MESH_CHECKS = mesh_checks("cppn_forms", notes="name, lineage, ancestors and licences")
CPPN_VIDEO_CHECKS = video_checks("cppn_forms")


@dg.asset(
    group_name="ancestors",
    kinds={"gltf", "usd"},
    code_version="1",
    deps=[cppn_forms],
    check_specs=check_specs("cppn_meshes", CPPN_MESH_CHECKS),
)
def cppn_meshes(
    context: dg.AssetExecutionContext,
    config: CppnMeshesConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Every evolved form as closed, textured meshes in metres: levels of detail, as GLB, USDZ, PLY and OBJ."""
    settings = config.fill("cppn_meshes", profile)
    return keep_meshes(context, store, _evolved(store), settings, CPPN_MESH_CHECKS)


@dg.asset(
    group_name="ancestors",
    kinds={"video"},
    code_version="1",
    pool="render",
    deps=[cppn_forms],
    check_specs=check_specs("cppn_videos", CPPN_VIDEO_CHECKS),
)
def cppn_videos(
    context: dg.AssetExecutionContext,
    config: CppnVideosConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Every evolved form turning on black as video, for pyramids, clear screens and phones, as `videos_3d` makes it."""
    settings = config.fill("cppn_videos", profile)
    return keep_videos(context, store, _evolved(store), settings, CPPN_VIDEO_CHECKS)


def _evolved(store: StoreResource) -> Output:
    with told_plainly():
        return store.get("cppn_forms", command=GROW_ANCESTORS)


def observe_saved(saved: Path) -> None:
    """Tell of what a person bred and saved on the page of its asset, which keeps it from its next making on.

    Args:
        saved: The folder of a form or a picture.
    """
    from fungal_assets.ancestors.breeding import FORM_NOTES, PICTURE_NOTES

    is_form = (saved / FORM_NOTES).exists()
    notes = json.loads((saved / (FORM_NOTES if is_form else PICTURE_NOTES)).read_text())
    shown = sheets("*.png", animations="turntable.webp")(saved)
    genome = json.loads((saved / "genome.json").read_text())
    metadata = {
        "bred": dg.MetadataValue.text(notes["common_name"]),
        "text": dg.MetadataValue.text(notes["text"]),
        "path": dg.MetadataValue.path(str(saved)),
        "generation": dg.MetadataValue.int(notes["generation"]),
        "lineage": dg.MetadataValue.json(
            [
                {name: each[name] for name in ("key", "generation", "parents", "mutations")}
                for each in genome["descent"]
            ]
        ),
        **{name: dg.MetadataValue.md(text) for name, text in shown.items()},
    }
    with dg.DagsterInstance.get() as instance:
        key = "cppn_forms" if is_form else "cppn_pictures"
        instance.report_runless_asset_event(dg.AssetObservation(key, metadata=metadata))


def newest_forms(store: Store) -> Output | None:
    """The forms of the last growth, else the newest; None if none was ever grown."""
    noted = (store.read_note(NOTE) or {}).get("outputs", {}).get("forms_3d")
    for partition in (noted, store.newest_partition("forms_3d")):
        if partition is not None and store.find("forms_3d", partition) is not None:
            return store.get("forms_3d", partition)
    return None


def newest_pictures(store: Store) -> Output | None:
    """The evolved pictures; None if there are none."""
    is_there = store.find("cppn_pictures") is not None
    return store.get("cppn_pictures", command=GROW_ANCESTORS) if is_there else None
