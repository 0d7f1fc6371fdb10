"""The resolution atlas: the same prompts and noise at several sizes, and where in the model their pictures part ways.

Belongs here: the stage from weights to tables, figure and sentences. The walk is in `walking`, the arithmetic in
`measures`. It is made in one go of a minute or two; one that was killed is made again.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fungal_assets.errors import InputError
from fungal_assets.galleries.atlas import FLOOR
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


@dataclass(frozen=True)
class Atlas:
    """What was measured.

    Args:
        native_px: The size that the others are compared with.
        sizes_px: All sizes, ascending.
        alignments: Rows of `ALIGNMENTS`; `compared` is a size in px or `FLOOR`.
        entropies: Rows of `ENTROPIES`.
        spectra: Rows of `SPECTRA`.
        places: Rows of `PLACES`.
        pictures: How many there are of each size.
    """

    native_px: int
    sizes_px: Sequence[int]
    alignments: Sequence[Mapping[str, Any]]
    entropies: Sequence[Mapping[str, Any]]
    spectra: Sequence[Mapping[str, Any]]
    places: Sequence[Mapping[str, Any]]
    pictures: int


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
    _write_figure(atlas, folder)
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
    return _figures(atlas)


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

    pipeline = load_pipeline(weights, device=pick_device(), dtype=torch.float32)
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
    from fungal_assets.galleries.atlas.drawing import draw_pictures
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


def _write_figure(atlas: Atlas, folder: Path) -> None:
    from fungal_assets.galleries.atlas.drawing import draw_figure

    draw_figure(atlas, folder / "atlas.webp")


# -- what it says ----------------------------------------------------------------------------------------------------


def tell_findings(atlas: Atlas) -> list[str]:
    """Sentences that a reader can check against the tables."""
    last = max(row["step"] for row in atlas.alignments)
    sentences = []
    for size in (size for size in atlas.sizes_px if size != atlas.native_px):
        first = {part: _mean(atlas, str(size), part, 0) for part in PARTS}
        floor = {part: _mean(atlas, FLOOR, part, 0) for part in PARTS}
        sentences.append(
            f"At the first step, {size} px is like {atlas.native_px} px by {_list(first)} "
            f"({', '.join(PARTS)}), where {atlas.native_px} px from other seeds is like it by {_list(floor)}."
        )
    gap, block, size = max(
        (_block(atlas, FLOOR, block) - _block(atlas, str(size), block), block, size)
        for block in {row["block"] for row in atlas.alignments}
        for size in atlas.sizes_px
        if size != atlas.native_px
    )
    sentences.append(
        f"They part most in {block}: over all steps, {size} px is like {atlas.native_px} px by "
        f"{_block(atlas, str(size), block):.2f} there, and other seeds by {_block(atlas, FLOOR, block):.2f}"
        f"{', so that it is the size and not the picture that is told apart' if gap > 0 else ''}."
    )
    sentences.append(
        "At the last step all blocks together are alike by "
        + " and ".join(
            f"{_mean(atlas, str(size), None, last):.2f} ({size} px)"
            for size in atlas.sizes_px
            if size != atlas.native_px
        )
        + f", other seeds by {_mean(atlas, FLOOR, None, last):.2f}."
    )
    return [*sentences, _tell_places(atlas), _tell_attention(atlas)]


PARTS = ("down", "mid", "up")
"""The way down, the middle and the way up of a UNet; the first convolution belongs to the way down."""


def part_of(block: str) -> str:
    """Which part of the UNet a block belongs to."""
    return next((part for part in PARTS if block.startswith(part)), "down")


def _mean(atlas: Atlas, compared: str, part: str | None, step: int) -> float:
    found = [
        row["alignment"]
        for row in atlas.alignments
        if row["compared"] == compared
        and row["step"] == step
        and part in (None, part_of(row["block"]))
        and row["alignment"] is not None
    ]
    return sum(found) / len(found) if found else math.nan


def _block(atlas: Atlas, compared: str, block: str) -> float:
    """Mean likeness of a block over all steps; 1 where it was never measured, so that nothing parts there."""
    found = [
        row["alignment"]
        for row in atlas.alignments
        if row["compared"] == compared and row["block"] == block and row["alignment"] is not None
    ]
    return sum(found) / len(found) if found else 1.0


def _list(shares: Mapping[str, float]) -> str:
    return ", ".join(f"{share:.2f}" for share in shares.values())


def mean_entropies(atlas: Atlas) -> dict[str, dict[int, float]]:
    """How widely each self-attention looks, by its name and by size, over all steps."""
    found: dict[str, dict[int, list[float]]] = {}
    for row in atlas.entropies:
        if row["attention"].endswith("attn1"):
            found.setdefault(row["attention"], {}).setdefault(row["size_px"], []).append(row["entropy_share"])
    return {
        name: {size: sum(shares) / len(shares) for size, shares in sizes.items()}
        for name, sizes in found.items()
    }


def _tell_places(atlas: Atlas) -> str:
    rows = [row for row in atlas.places if row["size_px"] == atlas.native_px]
    most = max(rows, key=lambda row: row["shared"])
    return (
        f"At {atlas.native_px} px and the first step, {most['shared']:.2f} of what differs within a picture is alike "
        f"in all {atlas.pictures} pictures in {most['block']}; with borders joined to the opposite ones it is "
        f"{most['shared_wrapped']:.2f}, where {1 / atlas.pictures:.2f} is chance."
    )


def _tell_attention(atlas: Atlas) -> str:
    spread = mean_entropies(atlas)
    if not spread:
        return "The model has no self-attention."
    name = max(spread, key=lambda name: max(spread[name].values()) - min(spread[name].values()))
    shares = ", ".join(f"{spread[name][size]:.2f} at {size} px" for size in atlas.sizes_px)
    return f"Self-attention changes most in {name}, whose entropy is this share of the widest: {shares}."


def _figures(atlas: Atlas) -> Figures:
    last = max(row["step"] for row in atlas.alignments)
    found: dict[str, Any] = {
        "sizes": len(atlas.sizes_px),
        "blocks": len({row["block"] for row in atlas.alignments}),
    }
    for compared in [str(size) for size in atlas.sizes_px if size != atlas.native_px] + [FLOOR]:
        name = f"{compared}_px" if compared != FLOOR else "other_seeds"
        found[f"alike_{name}_first"] = round(_mean(atlas, compared, None, 0), 4)
        found[f"alike_{name}_last"] = round(_mean(atlas, compared, None, last), 4)
    return found
