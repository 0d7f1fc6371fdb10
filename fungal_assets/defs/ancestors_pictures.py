"""The asset `cppn_pictures`: pictures evolved by pattern producing networks, from chance, of any resolution."""

import functools
from pathlib import Path

import dagster as dg
from pydantic import Field

from fungal_assets.defs.ancestors_cppn import newest_forms
from fungal_assets.defs.forms import forms_3d
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep, told_plainly
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Output, hash_file, hash_folder
from fungal_assets.verdicts import Verdict


class CppnPicturesConfig(StageConfig):
    """What pictures are bred for, and how long."""

    fitness: str | None = Field(
        default=None,
        pattern="^(target|words|novelty)$",
        description="What they are bred for: to match one of several targets, to fit one of several words, or to be "
        "unlike all others.",
    )
    targets: list[str] | None = Field(
        default=None,
        description="What 'target' breeds for: pictures of yours with a free subject (PNG, JPEG, WebP), or objects, "
        "addressed as ancestors of forms. Empty for up to three of the grown forms, and for three of the fungarium "
        "where none is grown.",
    )
    words: list[str] | None = Field(
        default=None, description="What 'words' breeds for, such as ['a morel mushroom']."
    )
    population: int | None = Field(default=None, ge=12, le=2000, description="Genomes of a generation.")
    generations: int | None = Field(default=None, ge=1, le=10_000, description="Generations to breed.")
    pictures: int | None = Field(default=None, ge=1, le=200, description="How many pictures are kept.")
    size_px: int | None = Field(default=None, ge=64, le=8192, description="Side of those, px.")
    seed: int | None = Field(default=None, ge=0, description="Seed of all chance.")


def _replayed(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.picture_checks import check_replay

    return check_replay(output.path)


def _same_at_any_size(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.picture_checks import check_sizes

    return check_sizes(output.path)


def _present(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.picture_checks import check_presence

    return check_presence(output.path)


def _different(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.ancestors.picture_checks import check_difference

    return check_difference(output.path)


PICTURE_CHECKS = (
    Check("genomes_draw_again", "Every genome draws its picture again.", _replayed, blocking=True),
    Check("same_at_any_size", "A picture drawn small is the large one seen smaller.", _same_at_any_size),
    Check("pictures_show_something", "Every picture has a figure that stands off its ground.", _present),
    Check("pictures_differ", "No two pictures are alike.", _different),
)


@dg.asset(
    group_name="ancestors",
    kinds={"pytorch", "image"},
    code_version="1",
    deps=[forms_3d],
    check_specs=check_specs("cppn_pictures", PICTURE_CHECKS),
)
def cppn_pictures(
    context: dg.AssetExecutionContext,
    config: CppnPicturesConfig,
    store: StoreResource,
    profile: ProfileResource,
) -> dg.MaterializeResult:
    """Pictures evolved by pattern producing networks from chance, with genomes that draw them at any size."""
    from fungal_assets.ancestors.breeding import PICTURE_NOTES
    from fungal_assets.ancestors.origins import FORM, choose_origins, is_path
    from fungal_assets.ancestors.picture_evolving import evolve_pictures
    from fungal_assets.ancestors.sessions import list_saved

    settings = config.fill("cppn_pictures", profile)
    grown = newest_forms(store.open())
    with told_plainly():
        targets = choose_origins(settings["targets"], None if grown is None else grown.path)
    settings |= {"targets": targets if settings["fitness"] == "target" else []}
    saved = list_saved(store.open().root, PICTURE_NOTES)
    sources = {
        name: hash_file(Path(name)) for name in settings["targets"] if is_path(name) and Path(name).is_file()
    }
    sources |= {f"bred/{path.parents[1].name}/{path.name}": hash_folder(path) for path in saved}
    return keep(
        context,
        store,
        inputs=[grown] if grown and any(name.startswith(FORM) for name in settings["targets"]) else [],
        settings=settings,
        sources=sources,
        build=functools.partial(evolve_pictures, None if grown is None else grown.path, saved),
        checks=PICTURE_CHECKS,
        preview=sheets("pictures.webp", "lineage.webp"),
    )
