"""The stage `forms_3d`: one solid form per species, out of the tuned weights and its prompt.

Belongs here: how one species is grown and what is kept of it. What is to be grown stands in `planning`, how a form
grows in `distillation`. Heavy modules are imported inside functions, so that a worker shares out its threads first.
"""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets import compute
from fungal_assets.errors import InputError
from fungal_assets.forms.planning import (
    LIST_NAME,
    NOTES_NAME,
    Growth,
    find_earlier,
    find_named,
    plan_growths,
    take_over,
)
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

    from fungal_assets.forms.distillation import Recipe
    from fungal_assets.forms.volume import Volume

_FROM_GUESS: Mapping[str, Any] = {"start": 0.55, "density_rate": 0.04, "colour_rate": 0.004}
"""What a first guess changes of the recipe: most of it is kept, its edges move slowly and its colours hardly."""
_FROM_LIFTED: Mapping[str, Any] = {"start": 0.3, "density_rate": 0.04, "colour_rate": 0.002}
_LIFTED_SHARE = 0.1
"""Of the iterations: what was lifted has its form already, and distillation only makes its sides agree."""
SHEET_NAME = "forms.webp"
_TILE_PX, _SMALL_PX, _NAME_PX = 160, 96, 84
_SHEET_VIEWS = ((0, 10), (45, 10), (90, 10), (135, 10), (180, 10), (270, 10), (30, 50), (30, -5))


def grow_forms(
    pruned_weights: Path,
    species: Path,
    prompts: Path,
    clusters: Path,
    earlier: Path | None,
    folder: Path,
    *,
    species_names: list[str],
    iterations: int,
    grid_size: int,
    view_size_px: int,
    views_per_step: int,
    guidance_scale: float,
    grounds: Mapping[str, float],
    first_guess: str,
    first_guesses: int,
    guess_guidance_scale: float,
    distillation: str,
    shaded_share: float,
    warm_up: float,
    first_meshes: Mapping[str, str],
    tiny_encoder: str,
    processes: int,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Grow the forms.

    Args:
        pruned_weights: Complete output; its `pipeline/` is the guide, proven by hash.
        species: Complete output.
        prompts: Complete output.
        clusters: Complete output, for the judge.
        earlier: An earlier whole output, or None; a form of it that is the same work is taken over.
        folder: Filled with one folder per species and `forms.json`; complete species folders are kept. A form that came
            out empty or a fog has no folder; `forms.json` lists it under `failed`, with its `fault`.
        species_names: Common names or slugs to grow (`planning.settle_species`).
        iterations: See `distillation.Recipe`; so `grid_size`, `view_size_px`, `views_per_step`, `guidance_scale`.
        grid_size: Samples along each side.
        view_size_px: Side of the views that the guide sees.
        views_per_step: Views per step.
        guidance_scale: Of classifier-free guidance, in distillation.
        grounds: Grounds that the views are shown on: what is said of each after the prompt, and its lightness, 0 to 1.
        first_guess: What a form begins as: 'lifted' or 'revolved' from a picture (`lifting`, `revolving`), or an 'egg'.
        first_guesses: Pictures of each species on each ground that the guide paints first. The best of them becomes the
            first guess, and what is behind them is what the form is shown before; 0 to begin with an egg and show it
            before plain grounds.
        guess_guidance_scale: Of classifier-free guidance, in painting them.
        distillation: See `distillation.Recipe`; so `shaded_share` and `warm_up`.
        shaded_share: Share of the steps under a lamp.
        warm_up: Share of the steps without an encoder.
        first_meshes: Paths of GLB files that forms begin as instead, by common name or slug (`uploads`).
        tiny_encoder: Folder of a tiny autoencoder that encodes views for the guide, or empty text.
        processes: Species grown at once on this machine; the cores are shared among them.
        seed: Every species gets its own from it.
        tell: Told of progress.

    Raises:
        InputError: A species is not known, or has no prompt, or no form at all became a body.
        ProvenanceError: The guide is not the tuned weights.
    """
    from fungal_assets.forms.guidance import prove_guide

    start_s = time.monotonic()
    prove_guide(pruned_weights)
    planned = plan_growths(
        pruned_weights,
        species,
        prompts,
        iterations=iterations,
        grid_size=grid_size,
        view_size_px=view_size_px,
        views_per_step=views_per_step,
        guidance_scale=guidance_scale,
        grounds=grounds,
        first_guess=first_guess,
        first_guesses=first_guesses,
        guess_guidance_scale=guess_guidance_scale,
        distillation=distillation,
        shaded_share=shaded_share,
        warm_up=warm_up,
        first_meshes=first_meshes,
        tiny_encoder=tiny_encoder,
        seed=seed,
    )
    rows = [growth.species for growth in planned]
    chosen = find_named(rows, species_names)
    growths = [growth for growth in planned if growth.species in chosen]
    for growth in growths:
        place = folder / growth.species["slug"]
        if not (place / NOTES_NAME).exists() and (found := find_earlier(growth, earlier)):
            take_over(found, place)
            tell(f"{growth.species['common_name']}: taken over from an earlier growth")
    grown = compute.map(
        functools.partial(grow_form, pruned_weights / "pipeline", folder),
        growths,
        processes=processes,
        gpus=1,
        name=lambda growth: growth.species["common_name"],
        tell=tell,
    )
    failed = [form for form in grown if "fault" in form]
    if len(failed) == len(grown):
        raise InputError(f"no species became a form; {failed[0]['common_name']}: {failed[0]['fault']}")
    forms = _judge([form for form in grown if "fault" not in form], folder, clusters)
    write_atomically(folder / LIST_NAME, json.dumps({"forms": forms, "failed": failed}, indent=1))
    noted = [_times_path(folder, growth) for growth in growths]
    cpu_s = [json.loads(path.read_text())["cpu_seconds"] for path in noted if path.exists()]
    return {
        **_figures(forms),
        "failed": len(failed),
        "taken_over": len(growths) - len(cpu_s),
        "cpu_seconds_per_form": round(sum(cpu_s) / max(len(cpu_s), 1), 1),
        "seconds": round(time.monotonic() - start_s, 1),
    }


def _resume_path(folder: Path, growth: Growth) -> Path:
    return folder / ".resume" / f"{growth.species['slug']}.safetensors"


def _times_path(folder: Path, growth: Growth) -> Path:
    """Where the times are noted: not among what is kept, so that the same work has the same hash."""
    return _resume_path(folder, growth).with_suffix(".json")


def grow_form(guide_folder: Path, folder: Path, growth: Growth) -> dict[str, Any]:
    """Grow one species into its place in `folder`, unless it is complete there.

    Returns:
        The notes of form.json; of a form that is empty or a fog, which has no place in `folder`, its `common_name`,
        `slug` and `fault`.
    """
    place, resume_path = folder / growth.species["slug"], _resume_path(folder, growth)
    if (place / NOTES_NAME).exists():
        return json.loads((place / NOTES_NAME).read_text())
    from fungal_assets.diffusion.devices import pick_device
    from fungal_assets.forms.distillation import Recipe, distill
    from fungal_assets.forms.guessing import find_guess
    from fungal_assets.forms.guidance import load_guide
    from fungal_assets.forms.silhouettes import proportions_kept
    from fungal_assets.forms.solid import tidy
    from fungal_assets.forms.uploads import load_upload
    from fungal_assets.forms.views import view_prompts

    start_cpu_s, device = time.process_time(), pick_device()
    upload = load_upload(Path(growth.first_mesh), growth.recipe["grid_size"]) if growth.first_mesh else None
    encoder = Path(growth.tiny_encoder) if growth.tiny_encoder else None
    guide = load_guide(
        guide_folder, negative_prompt=growth.negative_prompt, tiny_encoder=encoder, device=device
    )
    guess, backdrops = find_guess(guide, growth, resume_path.with_suffix(".npz"))
    began_as = "mesh" if upload else guess.road if guess else "egg"
    changes = _changes_of(growth, began_as, is_painted=not upload or upload.is_painted)
    recipe = Recipe(**{**growth.recipe, **changes})
    embeddings = []
    for ground in growth.grounds:
        texts = view_prompts(", ".join(filter(None, (growth.prompt, ground))), growth.view_words)
        embeddings.append(dict(zip(texts, guide.embed(list(texts.values())), strict=True)))
    first = upload.volume if upload else guess.volume if guess else None
    grown = distill(
        guide, embeddings, recipe, first=first, backdrops=backdrops, resume_path=resume_path, device=device
    )
    resume_path.parent.mkdir(parents=True, exist_ok=True)
    times = {"cpu_seconds": round(time.process_time() - start_cpu_s, 2)}
    write_atomically(_times_path(folder, growth), json.dumps(times))
    try:
        volume = tidy(grown)
    except InputError as error:
        return {name: growth.species[name] for name in ("common_name", "slug")} | {"fault": str(error)}
    notes = _notes(growth, recipe, volume) | {"began_as": began_as}
    picture = None
    if guess and not upload:
        picture = guess.picture
        notes["proportions_kept"] = round(proportions_kept(volume, guess.proportions), 4)
    kept = _keep(place, volume, notes, picture)
    for path in (resume_path, resume_path.with_suffix(".npz")):
        path.unlink(missing_ok=True)
    return kept


def _changes_of(growth: Growth, began_as: str, *, is_painted: bool) -> dict[str, Any]:
    """What a form's beginning changes of the recipe; colours that nobody chose may change as from an egg."""
    if began_as == "lifted":
        return dict(_FROM_LIFTED) | {"iterations": max(1, round(_LIFTED_SHARE * growth.recipe["iterations"]))}
    kept = {} if began_as == "egg" else dict(_FROM_GUESS)
    if not is_painted:
        del kept["colour_rate"]
    return kept


def _notes(growth: Growth, recipe: Recipe, volume: Volume) -> dict[str, Any]:
    from fungal_assets.forms.solid import solidity
    from fungal_assets.forms.views import orbit

    named = {name: growth.species[name] for name in ("species_id", "cluster_id", "common_name", "slug")}
    figures = solidity(volume, orbit(8))
    return (
        named
        | {"scientific_name": growth.species.get("scientific_name", "")}
        | {"prompt": growth.prompt, "guide_sha256": growth.guide_sha256, "work_sha256": growth.work_sha256}
        | {"first_guess": growth.first_guess, "first_guesses": growth.first_guesses}
        | {"guess_guidance_scale": growth.guess_guidance_scale, "lifter_sha256": growth.lifter_sha256}
        | {"first_mesh_sha256": growth.first_mesh_sha256, "tiny_encoder_sha256": growth.tiny_encoder_sha256}
        | asdict(recipe)
        | {name: round(value, 4) for name, value in figures.items()}
    )


def _keep(folder: Path, volume: Volume, notes: Mapping[str, Any], guess: np.ndarray | None) -> dict[str, Any]:
    """Write volume, sheet, the picture that it began as, and the notes last; returns the notes as written."""
    from PIL import Image

    from fungal_assets.forms.keeping import save_volume

    folder.mkdir(parents=True, exist_ok=True)
    save_volume(folder / "form.npz", volume, notes)
    _save_sheet(folder / "views.webp", volume)
    if guess is not None:
        _save_picture(folder / "first_guess.webp", Image.fromarray(guess))
    write_atomically(folder / NOTES_NAME, json.dumps(notes, indent=1))
    return dict(notes)


def _save_sheet(path: Path, volume: Volume) -> None:
    from PIL import Image

    from fungal_assets.forms.showing import pictures
    from fungal_assets.forms.volume import Camera
    from fungal_assets.previews import contact_sheet

    cameras = [Camera(azimuth_deg, elevation_deg) for azimuth_deg, elevation_deg in _SHEET_VIEWS]
    tiles = [Image.fromarray(picture) for picture in pictures(volume, cameras, _TILE_PX)]
    labels = [f"{azimuth_deg} deg, {elevation_deg} up" for azimuth_deg, elevation_deg in _SHEET_VIEWS]
    sheet = contact_sheet(tiles, columns=4, labels=labels, tile_px=_TILE_PX, ground="#000000")
    _save_picture(path, sheet)


def draw_forms(names: Sequence[str], sights: Sequence[Sequence[Image.Image]]) -> Image.Image:
    """All forms from all sides, one row each with its name before it: RGB.

    Args:
        names: One per form.
        sights: Pictures of each form, the same number each.
    """
    from PIL import Image, ImageDraw, ImageFont

    font, tile_px, edge_px = ImageFont.load_default(11), _SMALL_PX, _NAME_PX
    sheet = Image.new("RGB", (edge_px + tile_px * len(sights[0]), tile_px * len(names)), "#585957")
    draw = ImageDraw.Draw(sheet)
    for row, (name, own) in enumerate(zip(names, sights, strict=True)):
        text = "\n".join(name.split())
        draw.multiline_text((6, row * tile_px + tile_px // 2), text, font=font, fill="white", anchor="lm")
        for column, picture in enumerate(own):
            small = picture.resize((tile_px, tile_px), Image.Resampling.LANCZOS)
            sheet.paste(small, (edge_px + column * tile_px, row * tile_px))
    return sheet


def _save_picture(path: Path, picture: Image.Image) -> None:
    temporary = path.with_name(f".{path.name}")
    picture.save(temporary, "WEBP", quality=88, method=4)
    temporary.replace(path)


def _judge(rows: Sequence[Mapping[str, Any]], folder: Path, clusters: Path) -> list[dict[str, Any]]:
    """The notes with the judges' figures, in each form.json too; draws the sheet of all forms."""
    from fungal_assets.forms.keeping import load_volume
    from fungal_assets.forms.recognition import judge_forms, look_at

    sights = {row["cluster_id"]: look_at(load_volume(folder / row["slug"] / "form.npz")) for row in rows}
    sheet = draw_forms([row["common_name"] for row in rows], [sight.pictures for sight in sights.values()])
    _save_picture(folder / SHEET_NAME, sheet)
    found = judge_forms(sights, clusters)
    forms = [
        dict(row) | {name: round(value, 4) for name, value in asdict(found[row["cluster_id"]]).items()}
        for row in rows
    ]
    for form in forms:
        write_atomically(folder / form["slug"] / NOTES_NAME, json.dumps(form, indent=1))
    return forms


def _figures(forms: Sequence[Mapping[str, Any]]) -> Figures:
    told = {
        "r_precision": "recognised",
        "janus_share": "janus_share",
        "silhouette_likeness": "silhouette_likeness",
        "alpha_coverage": "alpha_coverage",
        "alpha_entropy": "alpha_entropy",
        "opaque_share": "opaque_share",
    }
    means = {name: round(sum(form[key] for form in forms) / len(forms), 4) for name, key in told.items()}
    return {"forms": len(forms), **means}
