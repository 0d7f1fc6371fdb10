"""The resolution atlas: the same prompts and noise at several sizes, and where in the model their pictures part ways.

Belongs here: the stage from weights to its folder. The walk is in `walking`, the arithmetic in `measures`, what it
says in `findings`. It is made in one go of a minute or two; one that was killed is made again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fungal_assets.errors import InputError
from fungal_assets.galleries.atlas.drawing import draw_figure, draw_pictures
from fungal_assets.galleries.atlas.findings import Atlas, figures_of, tell_findings
from fungal_assets.galleries.batches import scheduler_for
from fungal_assets.galleries.planning import TUNED, picture_seed, read_prompts, spread
from fungal_assets.galleries.sampling import SCHEDULERS, prove_weights
from fungal_assets.progress import Tell, Ticker, stay_silent
from fungal_assets.shards import write_table
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    from diffusers import DiffusionPipeline

    from fungal_assets.galleries.atlas.walking import Step

ALIGNMENTS = pa.schema(
    [
        ("step", pa.int32()),
        ("timestep", pa.int32()),
        ("block", pa.string()),
        ("compared", pa.string()),
        ("alignment", pa.float64()),
    ]
)
ENTROPIES = pa.schema(
    [
        ("step", pa.int32()),
        ("attention", pa.string()),
        ("size_px", pa.int32()),
        ("entropy_share", pa.float64()),
    ]
)
SPECTRA = pa.schema(
    [("step", pa.int32()), ("size_px", pa.int32()), ("periods", pa.int32()), ("power", pa.float64())]
)

PLACES = pa.schema(
    [
        ("block", pa.string()),
        ("size_px", pa.int32()),
        ("shared", pa.float64()),
        ("shared_wrapped", pa.float64()),
    ]
)


def draw_atlas(
    pruned_weights: Path,
    prompts: Path,
    folder: Path,
    *,
    base_model: str,
    size_px: int,
    scales: Sequence[float],
    pictures: int,
    num_inference_steps: int,
    guidance_scale: float,
    scheduler: str,
    seed: int,
    tell: Tell = stay_silent,
) -> Figures:
    """Walk the tuned weights at several sizes, and keep what their blocks, attentions and predictions show.

    Args:
        pruned_weights: Folder with `pipeline/` and `weights.json`.
        prompts: Folder with `prompts.json`; half of the pictures are of species, half of controls.
        folder: Gets `alignments.parquet`, `entropies.parquet`, `spectra.parquet`, `places.parquet`, `atlas.json`,
            `atlas.webp` (the figure) and `pictures.webp`.
        base_model: Id of the model that was tuned.
        size_px: The native size.
        scales: The other sizes as multiples of it.
        pictures: How many prompts at most, one picture of each at each size.
        num_inference_steps: Denoising steps.
        guidance_scale: Classifier-free guidance.
        scheduler: A key of `sampling.SCHEDULERS`.
        seed: Seed of the run.
        tell: Gets lines of progress.

    Returns:
        `sizes`, `blocks`, and the mean likeness of the blocks to the native size at the first and the last step, by
        what is compared.

    Raises:
        InputError: A setting is out of range, or an input file is missing.
        ProvenanceError: Weights are not those that `weights.json` names.
    """
    sizes_px = _sizes(size_px, scales)
    _refuse_bad_settings(pictures, num_inference_steps, scheduler)
    asked = _choose_prompts(read_prompts(prompts)["prompts"], pictures)
    weights = prove_weights(pruned_weights, base_model)[TUNED]
    pipeline = _load(weights.path, SCHEDULERS[scheduler])
    how: dict[str, Any] = {"num_inference_steps": num_inference_steps, "guidance_scale": guidance_scale}
    seeds = [picture_seed(seed, row["prompt_id"], 0) for row in asked]
    atlas = _walk_all(pipeline, asked, seeds, size_px, sizes_px, how, folder, tell)
    for name, rows, schema in (
        ("alignments", atlas.alignments, ALIGNMENTS),
        ("entropies", atlas.entropies, ENTROPIES),
        ("spectra", atlas.spectra, SPECTRA),
        ("places", atlas.places, PLACES),
    ):
        write_table(folder / f"{name}.parquet", rows, schema)
    draw_figure(atlas, folder / "atlas.webp")
    about = {
        "native_px": size_px,
        "sizes_px": sizes_px,
        "model": {"id": weights.id, "sha256": weights.sha256},
        "prompts": [row["text"] for row in asked],
        "seeds": seeds,
        "settings": how | {"scheduler": scheduler},
        "findings": tell_findings(atlas),
    }
    write_atomically(folder / "atlas.json", json.dumps(about, indent=1))
    return figures_of(atlas)


def _sizes(size_px: int, scales: Sequence[float]) -> list[int]:
    """All sizes, ascending.

    Raises:
        InputError: One can't be.
    """
    sizes = sorted({size_px, *(round(size_px * scale) for scale in scales)})
    faults = [f"{size} px is no multiple of 16" for size in sizes if size < 16 or size % 16]
    faults += [f"{size} px does not divide {sizes[-1]} px" for size in sizes if sizes[-1] % max(size, 1)]
    if faults or len(sizes) < 2:
        raise InputError(
            f"scales={list(scales)!r} of {size_px} px can't be: "
            f"{'; '.join(faults) or 'there is nothing to compare'}. "
            "Give halves and doubles of the native size, such as [0.5, 2]."
        )
    return sizes


def _refuse_bad_settings(pictures: int, num_inference_steps: int, scheduler: str) -> None:
    faults = [
        f"{name}={value!r}, at least {least} was expected"
        for name, value, least in (
            ("pictures", pictures, 4),
            ("num_inference_steps", num_inference_steps, 2),
        )
        if value < least
    ]
    if scheduler not in SCHEDULERS:
        faults.append(f"scheduler={scheduler!r} is not one of {', '.join(SCHEDULERS)}")
    if faults:
        raise InputError(f"The atlas cannot be drawn: {'; '.join(faults)}. Change the settings.")


def _choose_prompts(rows: Sequence[Mapping[str, Any]], count: int) -> list[Mapping[str, Any]]:
    """Half species and half control prompts, each spread over its kind; all of a kind that has fewer."""
    species, controls = ([row for row in rows if row["kind"] == kind] for kind in ("species", "control"))
    return [*spread(species, count - count // 2), *spread(controls, count // 2)]


def _load(weights: Path, scheduler: str) -> DiffusionPipeline:
    """In full precision everywhere: likeness of activations is measured, not their looks."""
    import torch

    from fungal_assets.diffusion.base_models import load_pipeline
    from fungal_assets.diffusion.devices import pick_device
    from fungal_assets.diffusion.families import UNET, family_of

    pipeline = load_pipeline(weights, device=pick_device(), dtype=torch.float32)
    family = family_of(pipeline)
    if family.denoiser != UNET:
        raise InputError(
            f"an atlas follows the blocks of a UNet; {family.title} has none. Tune another base model."
        )
    pipeline.scheduler = scheduler_for(pipeline, scheduler)
    return pipeline


def _walk_all(
    pipeline: DiffusionPipeline,
    asked: Sequence[Mapping[str, Any]],
    seeds: Sequence[int],
    native_px: int,
    sizes_px: Sequence[int],
    how: Mapping[str, Any],
    folder: Path,
    tell: Tell,
) -> Atlas:
    """Walk, and write the pictures of the end."""
    from fungal_assets.galleries.atlas.walking import find_places, walk

    texts = [row["text"] for row in asked]
    steps_asked = how["num_inference_steps"]
    places = find_places(pipeline, texts, sizes_px=sizes_px, seeds=seeds, num_inference_steps=steps_asked)
    walked = walk(pipeline, texts, native_px=native_px, sizes_px=sizes_px, seeds=seeds, **how)
    ticker = Ticker(tell, "steps", steps_asked)
    steps: list[Step] = []
    for one in walked:
        if isinstance(one, dict):
            draw_pictures(one, texts, folder / "pictures.webp")
        else:
            steps.append(one)
            ticker.tick(len(steps))
    return Atlas(
        native_px,
        sizes_px,
        [row for step in steps for row in _alignment_rows(step)],
        [
            {"step": step.number, "attention": name, "size_px": size, "entropy_share": share}
            for step in steps
            for size, shares in step.entropies.items()
            for name, share in shares.items()
        ],
        [
            {"step": step.number, "size_px": size, "periods": periods, "power": power}
            for step in steps
            for size, powers in step.spectra.items()
            for periods, power in enumerate(powers.tolist(), 1)
        ],
        [
            {"block": block, "size_px": size, "shared": shared, "shared_wrapped": wrapped}
            for size, blocks in places.items()
            for block, (shared, wrapped) in blocks.items()
        ],
        len(texts),
    )


def _alignment_rows(step: Step) -> list[dict[str, Any]]:
    return [
        {
            "step": step.number,
            "timestep": step.timestep,
            "block": block,
            "compared": compared,
            "alignment": None if math.isnan(found) else found,
        }
        for compared, blocks in step.alignments.items()
        for block, found in blocks.items()
    ]
