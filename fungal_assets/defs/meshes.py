"""Asset `meshes` of the stage `forms`: every form for games, phones, printers and 3D programs.

Settings, checks and the step itself serve any asset that keeps forms.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import Field

from fungal_assets.defs.forms import forms_3d
from fungal_assets.defs.keeping import Check, Inputs, StageConfig, check_specs, keep
from fungal_assets.defs.partitions import growth_partitions
from fungal_assets.defs.previewing import sheets
from fungal_assets.defs.resources import ProfileResource, StoreResource
from fungal_assets.store import Output
from fungal_assets.verdicts import Verdict

_LEVELS_SHOWN = 12


class MeshFields(dg.Config):
    """The settings of meshes, whatever their forms are."""

    face_budgets: list[int] | None = Field(
        default=None,
        min_length=1,
        max_length=6,
        description="Faces of each level of detail, 100 to 40,000 each; a mesh keeps more only where fewer would tear "
        "it.",
    )
    texture_px: int | None = Field(
        default=None,
        ge=64,
        le=4096,
        description="Side of the finest level's texture, pixels; each further level's is half as wide.",
    )
    height_m: float | None = Field(
        default=None, ge=0.001, le=100, description="From the ground to the top, metres."
    )
    heights_m: dict[str, float] | None = Field(
        default=None, description="The same for single species, by common name or slug, metres."
    )
    formats: list[str] | None = Field(
        default=None,
        description="Formats beside GLB: `usdz`, `ply`, `obj` for each level; `splat_ply` and `splat`, Gaussian splats "
        "of the finest.",
    )


class MeshesConfig(MeshFields, StageConfig):
    """How fine the meshes are, how large, and in which formats."""


def _of_all_forms(source: str, output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.mesh_checks import check_all_forms

    return check_all_forms(output.path, inputs[source].path)


def _closed(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.mesh_checks import check_closed

    return check_closed(output.path)


def _near(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.mesh_checks import check_levels

    return check_levels(output.path)


def _standing(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.mesh_checks import check_standing

    return check_standing(output.path)


def _painted(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.mesh_checks import check_textures

    return check_textures(output.path)


def _read_back(output: Output, inputs: Inputs) -> Verdict:
    from fungal_assets.forms.mesh_checks import check_formats

    return check_formats(output.path)


def mesh_checks(source: str, *, notes: str) -> tuple[Check, ...]:
    """The checks of meshes.

    Args:
        source: The asset that keeps their forms.
        notes: What stands in every file, in words.
    """
    return (
        Check(
            "every_form_has_its_meshes",
            "Every form that was grown has its meshes, with all files.",
            functools.partial(_of_all_forms, source),
            is_severe=True,
        ),
        Check(
            "meshes_are_closed",
            "Every level of detail is one closed, manifold body.",
            _closed,
            blocking=True,
        ),
        Check(
            "levels_keep_to_budget_and_form",
            "Every level of detail has no more faces than asked for, and lies near its form.",
            _near,
        ),
        Check(
            "meshes_stand_in_metres",
            "Every mesh has its height in metres, stands on the ground at the origin, and has finite, unit normals.",
            _standing,
            blocking=True,
        ),
        Check(
            "textures_show_the_form", "Every texture has the colours of its form.", _painted, blocking=True
        ),
        Check(
            "every_format_reads_back",
            f"Every file reads back as the same mesh, with {notes}.",
            _read_back,
            blocking=True,
        ),
    )


MESH_CHECKS = mesh_checks("forms_3d", notes="species, prompt, seed, weights and licences")


@dg.asset(
    group_name="forms",
    kinds={"gltf", "usd"},
    code_version="1",
    partitions_def=growth_partitions,
    deps=[forms_3d],
    check_specs=check_specs("meshes", MESH_CHECKS, growth_partitions),
)
def meshes(
    context: dg.AssetExecutionContext, config: MeshesConfig, store: StoreResource, profile: ProfileResource
) -> dg.MaterializeResult:
    """Every form as closed, textured meshes in metres: levels of detail, as GLB, USDZ, PLY and OBJ."""
    grown = store.get("forms_3d", context.partition_key)
    return keep_meshes(context, store, grown, config.fill("meshes", profile), MESH_CHECKS)


def keep_meshes(
    context: dg.AssetExecutionContext,
    store: StoreResource,
    forms: Output,
    settings: Mapping[str, Any],
    checks: Sequence[Check],
) -> dg.MaterializeResult:
    """Make the running asset's meshes of an output of forms; the rest as `keep` does it."""
    from fungal_assets.forms.exporting import build_meshes

    return keep(
        context,
        store,
        inputs=[forms],
        settings=settings,
        build=functools.partial(build_meshes, forms.path, forms.record.licences),
        checks=checks,
        preview=_preview,
    )


def _preview(folder: Path) -> Mapping[str, str]:
    """The textures, and a table of the levels of detail."""
    rows = [
        f"| {made['common_name']} | {level['level']} | {level['faces']} | {level['vertices']} | "
        f"{level['texture_px']} | {level['farthest_share']:.1%} | {level['mean_share']:.2%} |"
        for made in json.loads((folder / "meshes.json").read_text())["meshes"]
        for level in made["levels"]
    ]
    header = "| form | level | faces | vertices | texture px | farthest off | mean off |\n|---|---|---|---|---|---|---|"
    more = [f"\nand {len(rows) - _LEVELS_SHOWN} more in meshes.json"] if len(rows) > _LEVELS_SHOWN else []
    table = "\n".join([header, *rows[:_LEVELS_SHOWN], *more])
    return {**sheets("textures.webp")(folder), "levels_of_detail": table}
