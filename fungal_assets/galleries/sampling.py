"""The gallery of tuned weights: planned, made picture by picture, shown as grids, its species recognised.

Pictures go to disk as they are made and a killed run goes on where it stopped, so memory does not grow with
the gallery. Which weights are loaded is proven by hash before the first picture. There is no safety checker, whatever
the base model is: the pocket model has none, and that of Stable Diffusion, which blackens what resembles a list of
phrases, is never loaded. So nothing is hidden, and nothing is filtered either.
Belongs here: the order of the work. The plan, the batches, the grids and the recognition have modules of their own.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.galleries.grids import write_grids
from fungal_assets.galleries.planning import BASE, COLUMNS, TUNED, Picture, plan_gallery, read_prompts
from fungal_assets.galleries.recognition import recognise_species
from fungal_assets.galleries.redrawing import first_at
from fungal_assets.galleries.sizes import sample_sizes
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.shards import write_table
from fungal_assets.store import Figures, hash_folder, write_atomically

# What people call a sampler, and the class of diffusers that is it.
SCHEDULERS = {
    "DDIM": "DDIMScheduler",
    "DPM++ 2M": "DPMSolverMultistepScheduler",
    "Euler": "EulerDiscreteScheduler",
    "UniPC": "UniPCMultistepScheduler",
}


@dataclass(frozen=True)
class Weights:
    """One model that a gallery shows.

    Args:
        model: `"tuned"` or `"base"`.
        path: Its diffusers folder.
        sha256: `hash_folder` over that folder, as proven.
        id: Its name for people.
    """

    model: str
    path: Path
    sha256: str
    id: str


def sample_gallery(
    pruned_weights: Path,
    prompts: Path,
    clusters: Path,
    folder: Path,
    *,
    base_model: str,
    works_at: str,
    images_per_prompt: int,
    controls: int,
    side_prompts: int,
    num_inference_steps: int,
    guidance_scale: float,
    scheduler: str,
    batch_size: int,
    size_px: int,
    sizes: Sequence[int],
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Sample the gallery of tuned weights, with the base model's pictures of the control prompts beside it.

    Args:
        pruned_weights: Folder with `pipeline/` and `weights.json`.
        prompts: Folder with `prompts.json`.
        clusters: Folder of the clusters that species are recognised by.
        folder: Where the gallery goes; pictures that are there already and are what is asked for are kept.
        base_model: Id of the model that was tuned.
        works_at: The size that pictures are drawn at: `"native"`, which the base model was made for, and where the
            gallery's is another they are brought to it (see `redrawing`); or `"partition"`, the gallery's own.
        images_per_prompt: Pictures per species prompt, and per control prompt and model.
        controls: How many control prompts.
        side_prompts: How many subspecies, mutant and context prompts at most, of each of the three.
        num_inference_steps: Denoising steps.
        guidance_scale: Classifier-free guidance; 1 is none.
        scheduler: A key of `SCHEDULERS`, or a class name among its values.
        batch_size: Pictures denoised at a time. A batch always has this size, so that a picture has the same
            bytes whatever is beside it; between two batch sizes it may differ by a grey level here and there.
        size_px: Side of the pictures, a multiple of 8.
        sizes: Sides at which the first picture of each species and control prompt is made too, multiples of 8; see
            `sizes`.
        seed: Seed of the run.
        tell: Gets lines of progress.

    Returns:
        Counts, `species_recognised` and its `chance`.

    Raises:
        InputError: A setting is out of range, or an input file is missing.
        ProvenanceError: Weights are not those that `weights.json` names.
    """
    from fungal_assets.diffusion.base_models import working_px

    class_name = _refuse_bad_settings(
        num_inference_steps, guidance_scale, scheduler, batch_size, [size_px, *sizes]
    )
    content = read_prompts(prompts)
    plan = plan_gallery(
        content["prompts"],
        images_per_prompt=images_per_prompt,
        controls=controls,
        seed=seed,
        side_prompts=side_prompts,
    )
    weights = prove_weights(pruned_weights, base_model)
    settings = {
        "negative_prompt": content.get("negative_prompt", ""),
        "num_inference_steps": num_inference_steps,
        "guidance_scale": guidance_scale,
        "scheduler": class_name,
        "batch_size": batch_size,
        "width": size_px,
        "height": size_px,
    }
    settings = first_at(settings, working_px(weights[BASE].path, works_at, size_px))
    _make_all(plan, weights, folder, settings, tell)
    rows = [picture.as_row(size_px=size_px, model_sha256=weights[picture.model].sha256) for picture in plan]
    write_table(folder / "gallery.parquet", rows, COLUMNS)
    models = {name: {"id": each.id, "sha256": each.sha256} for name, each in weights.items()}
    about = {"models": models, "settings": settings | {"seed": seed}}
    write_atomically(folder / "gallery.json", json.dumps(about, indent=1))
    write_grids(folder, rows)
    recognition = recognise_species(folder, rows, clusters)
    write_atomically(folder / "recognition.json", json.dumps(recognition, indent=1))
    tuned = weights[TUNED]
    sample_sizes(plan, sizes, tuned.path, tuned.sha256, clusters, folder, settings, tell)
    return _figures(plan, recognition)


def _figures(plan: Sequence[Picture], recognition: Mapping[str, Any]) -> Figures:
    kinds = [picture.kind for picture in plan]
    return {
        "pictures": len(plan),
        "species_pictures": kinds.count("species"),
        "control_pictures": kinds.count("control"),
        "prompts": len({picture.prompt_id for picture in plan}),
        "species_recognised": recognition["species_recognised"],
        "chance": recognition["chance"],
    }


def prove_weights(pruned_weights: Path, base_model: str) -> dict[str, Weights]:
    """The tuned and the base model by name, both hashed and found to be what `weights.json` says.

    Raises:
        InputError: `weights.json` or the base model is missing.
        ProvenanceError: A hash differs; both are compared before it is raised.
    """
    from fungal_assets.diffusion.base_models import read_json, resolve_base_model

    record = read_json(pruned_weights / "weights.json")
    base = resolve_base_model(base_model)
    pipeline = pruned_weights / "pipeline"
    tuned = Weights(TUNED, pipeline, hash_folder(pipeline), f"{base.id} tuned by {record['method']}")
    expected = {"pipeline": record["pipeline_sha256"], "base model": record["base_model"]["sha256"]}
    found = {"pipeline": tuned.sha256, "base model": base.sha256}
    faults = [
        f"the {name} has the hash {found[name][:16]}…, but weights.json says {expected[name][:16]}…"
        for name in expected
        if found[name] != expected[name]
    ]
    if faults:
        raise ProvenanceError(
            f"{pruned_weights}: {'; '.join(faults)}. A gallery shows only the weights that it names: prune "
            f"them again (fungal grow --until pruned_weights) with base_model={base_model!r}."
        )
    return {TUNED: tuned, BASE: Weights(BASE, base.path, base.sha256, base.id)}


def _make_all(
    plan: Sequence[Picture],
    weights: Mapping[str, Weights],
    folder: Path,
    settings: Mapping[str, Any],
    tell: Tell,
) -> None:
    """Make what is missing of the plan, one model after the other."""
    from fungal_assets.galleries.batches import is_made, make_pictures

    ticker, done = None, 0
    for model, each in weights.items():
        asked = [picture for picture in plan if picture.model == model]
        missing = [picture for picture in asked if not is_made(folder, picture, settings, each.sha256)]
        done += len(asked) - len(missing)
        ticker = ticker or Ticker(tell, "pictures", len(plan), done=done)
        for _ in make_pictures(missing, each.path, each.sha256, folder, settings):
            done += 1
            ticker.tick(done)


def _refuse_bad_settings(
    num_inference_steps: int, guidance_scale: float, scheduler: str, batch_size: int, sizes: Sequence[int]
) -> str:
    """Check the settings, all faults at once; returns the scheduler's class name."""
    class_name = SCHEDULERS.get(scheduler, scheduler)
    faults = []
    if class_name not in SCHEDULERS.values():
        faults.append(f"scheduler={scheduler!r} is not one of {', '.join(SCHEDULERS)}")
    if num_inference_steps < 1 or batch_size < 1:
        faults.append(
            f"num_inference_steps={num_inference_steps!r} and batch_size={batch_size!r} must be 1 or more"
        )
    if guidance_scale < 0:
        faults.append(f"guidance_scale={guidance_scale!r} must be 0 or more")
    faults += [f"size_px={size!r} must be a multiple of 8" for size in sizes if size < 8 or size % 8]
    if faults:
        raise InputError(f"The gallery cannot be sampled: {'; '.join(faults)}. Change the settings.")
    return class_name
