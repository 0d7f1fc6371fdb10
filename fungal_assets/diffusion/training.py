"""Fine-tuning a base model on a captioned dataset: the stage behind `fine_tuned_weights`.

Here the parts are put together: base model, encoded dataset, rehearsal, method, loop, and the files that
stay. What is kept says nothing of when or how fast it was made, so the same work has the same hash; times are
in the figures.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fungal_assets.dataset.splitting import TEST, TRAIN
from fungal_assets.diffusion.base_models import BaseModel, load_pipeline, native_px, resolve_base_model
from fungal_assets.diffusion.curves import write_curves
from fungal_assets.diffusion.devices import deterministic, pick_device, suit_attention, suit_memory
from fungal_assets.diffusion.families import family_of, text_encoders_of
from fungal_assets.diffusion.manifest import Manifest
from fungal_assets.diffusion.stepping import OPTIMISERS, PRECISIONS, arrange, keep_code_in, refuse_impossible
from fungal_assets.diffusion.watching import Watching, tell_of_looks, too_small
from fungal_assets.errors import InputError
from fungal_assets.profiles import LORA_TARGETS, NATIVE, WORKS_AT
from fungal_assets.progress import OnStep, Tell, ignore_step, stay_silent
from fungal_assets.store import Figures, write_atomically

if TYPE_CHECKING:
    import torch
    from diffusers import DiffusionPipeline

    from fungal_assets.diffusion.batches import Batches
    from fungal_assets.diffusion.encoding import EncodedDataset
    from fungal_assets.diffusion.inversion import Words
    from fungal_assets.diffusion.looks import Looker
    from fungal_assets.diffusion.loop import Loop
    from fungal_assets.diffusion.methods import Method
    from fungal_assets.diffusion.rehearsal import Rehearsal
    from fungal_assets.diffusion.states import Progress
    from fungal_assets.diffusion.team import Team

SETTINGS_OF_METHODS = {
    "lora_rank": "lora",
    "lora_alpha": "lora",
    "lora_targets": "lora",
    "has_dora": "lora",
    "trains_text_encoder": "lora",
    "vectors_per_species": "textual_inversion",
}
"""Settings that only one method has, and which."""
STATES_NAME, MANIFEST_NAME = ".resume", ".shards.json"
HELD_OUT_PROBES, HELD_OUT_ROWS = 8, 64
"""Batches of held-out pictures that the loss is measured over, before and after, and the most pictures in them."""


@dataclass(frozen=True)
class Recipe:
    """The settings of a run that decide its result.

    Args:
        max_steps: Steps of the optimiser; where these would leave out rows of a large dataset, as many as train on
            every row once.
        batch_size: Rows that the model sees at once, rehearsal included.
        accumulation_steps: How many times so many rows make a step of the optimiser: two times 4 rows learn as 8 do, in
            half the memory.
        learning_rate: Peak; it warms up over a twentieth of the steps and falls as a cosine to a tenth.
        lora_rank: Rank of the added matrices; only for `"lora"`.
        lora_alpha: Numerator of its scale, whose denominator is the rank; 0 for the rank; only for `"lora"`.
        lora_targets: Which layers it is added to, one of `LORA_TARGETS`; only for `"lora"`.
        has_dora: Whether it is a DoRA, whose magnitudes learn apart from the directions; only for `"lora"`.
        trains_text_encoder: Whether the text encoder learns as well; only for `"lora"`.
        vectors_per_species: How many vectors a species' name has; only for `"textual_inversion"`.
        class_noun: The word that they begin as; only for `"textual_inversion"`.
        works_at: The size that pictures are learnt at, one of `WORKS_AT`: the one that the base model was made for, to
            which they are brought, or their own, the partition's.
        rehearsal_share: Share of each batch that is rehearsal, 0 to below 1.
        class_share: Share of the draws from the dataset that come with a wording that says what all species are and no
            name, 0 to below 1.
        name_share: Share of them that come with the species' name alone, so that the name comes to mean what else it
            would leave to the other words; with `class_share` below 1.
        min_snr_gamma: Caps the weight of nearly clean noise levels; 0 for none.
        ema_decay: The weights written are an average over the steps, of which this share stays at each, 0 to below 1;
            in the first steps less, (1 + n) / (10 + n) after n. 0 for the last step's weights.
        noise_offset: How much of the noise is the same all over a channel, 0 to below 1; 0 for none.
        crops: How many crops of each picture are learnt from beside it, each mirrored too.
        optimiser: One of `OPTIMISERS`.
        precision: One of `PRECISIONS`, of the arithmetic within a step; what learns is kept in float32.
        checkpoints_gradients: Whether activations are computed again on the way back instead of kept: less memory,
            slower.
        is_channels_last: Whether the model's tensors lie with their channels last on any machine, as the matrix units
            of GPUs want; where not, they lie as `devices.suit_memory` has it.
        compiles: Whether the model is compiled, which takes minutes once and makes each step shorter.
        seed: Decides everything random.
    """

    max_steps: int
    batch_size: int
    accumulation_steps: int
    learning_rate: float
    lora_rank: int
    lora_alpha: float
    lora_targets: str
    has_dora: bool
    trains_text_encoder: bool
    vectors_per_species: int
    class_noun: str
    works_at: str
    rehearsal_share: float
    class_share: float
    name_share: float
    min_snr_gamma: float
    ema_decay: float
    noise_offset: float
    crops: int
    optimiser: str
    precision: str
    checkpoints_gradients: bool
    is_channels_last: bool
    compiles: bool
    seed: int

    def check(self, *others: str) -> None:
        """Refuse settings that cannot be, all at once.

        Args:
            others: What cannot be of other settings.

        Raises:
            InputError: Some cannot be.
        """
        least = {"max_steps": 1, "batch_size": 1, "lora_rank": 1, "vectors_per_species": 1}
        least |= {"min_snr_gamma": 0, "lora_alpha": 0, "accumulation_steps": 1, "crops": 0}
        faults = too_small(self, least)
        if not self.learning_rate > 0:
            faults.append(f"learning_rate is {self.learning_rate}, above 0 expected")
        for name, known in {"optimiser": OPTIMISERS, "precision": PRECISIONS}.items():
            if getattr(self, name) not in known:
                faults.append(f"{name} is {getattr(self, name)!r}, one of {known!r} expected")
        for name in ("rehearsal_share", "class_share", "name_share", "noise_offset", "ema_decay"):
            if not 0 <= getattr(self, name) < 1:
                faults.append(f"{name} is {getattr(self, name)}, 0 to below 1 expected")
        if self.class_share + self.name_share >= 1:
            faults.append(
                f"class_share and name_share are {self.class_share + self.name_share:g}, below 1 expected"
            )
        if self.lora_targets not in LORA_TARGETS:
            faults.append(f"lora_targets is {self.lora_targets!r}, one of {LORA_TARGETS!r} expected")
        if self.works_at not in WORKS_AT:
            faults.append(f"works_at is {self.works_at!r}, one of {WORKS_AT!r} expected")
        faults += others
        if faults:
            raise InputError(f"these settings of fine_tuned_weights cannot be: {'; '.join(faults)}.")

    def of_method(self) -> dict[str, Any]:
        """The settings that `get_method` takes."""
        return {name: getattr(self, name) for name in SETTINGS_OF_METHODS}

    def with_names_only(self) -> Recipe:
        """The recipe without what says no name: it can't teach a method that learns names, nor make it forget."""
        return replace(self, rehearsal_share=0.0, class_share=0.0, name_share=0.0)


@dataclass(frozen=True)
class _Prepared:
    """All that a loop needs.

    Args:
        pipeline: The base model, with what learns attached.
        parameters: What learns, by name.
        batches: What each step sees.
        held_out: The same of held-out pictures, if there are any.
        rehearsed: The rehearsed prompts, and the hash of what the base model said to them.
        truncated: How many texts are longer than the text encoder reads.
    """

    pipeline: DiffusionPipeline
    parameters: Mapping[str, torch.nn.Parameter]
    batches: Batches
    held_out: Batches | None
    rehearsed: dict[str, Any]
    truncated: int


def tune(
    captioned_dataset: Path,
    rehearsal: Path | None,
    folder: Path,
    prompts: Path | None = None,
    clusters: Path | None = None,
    logs: Path | None = None,
    *,
    method: str,
    base_model: str,
    recipe: Recipe,
    watching: Watching,
    checkpoint_every_s: float,
    tell: Tell = stay_silent,
    on_step: OnStep = ignore_step,
    team: Team | None = None,
) -> Figures:
    """Fine-tune a base model; called again on the folder of a broken run, it goes on where that one was.

    Args:
        captioned_dataset: A complete output; every row of every training shard of its `data/` is read, and of what is
            held out as much as the loss on it is measured over.
        rehearsal: A complete output of the same base model; None only where nothing is to be rehearsed.
        folder: Filled with the weights, `loss.parquet`, `curves.png`, `training.json` and `resume/`; where the run is
            looked at, with `looks.parquet` and, in `looks/`, a sheet per look and what was found in it.
        prompts: A complete output, some of whose prompts are drawn in looks; None only where there are none.
        clusters: A complete output, by which looks recognise species; without, they don't.
        logs: Folder for event files, outside of the output; without, or without TensorBoard, none are written.
        method: `"lora"`, `"full"` or `"textual_inversion"`; the last rehearses nothing and reads no text without a
            name, as the base model stays as it is.
        base_model: Card name, local folder or hub id.
        recipe: The settings that decide the result.
        watching: When the run is looked at, and when it ends early.
        checkpoint_every_s: Seconds between two resume states.
        tell: Progress.
        on_step: Hears the number of every step done, its losses and learning rate, and what a look after it found.
        team: The processes that train together, all of which call this; this one alone by default. The main one makes
            what is cached, looks and writes; the others tell and return nothing.

    Raises:
        InputError: A setting, the method or the base model cannot be used.
        ProvenanceError: Another base model was rehearsed.
        TrainingError: A row was lost or cannot be read, or training cannot go on.
        ProvenanceError: A shard is missing, damaged, or not the one that the run began with.
    """
    from fungal_assets.diffusion.encoding import CACHE_NAME
    from fungal_assets.diffusion.estimating import tell_memory
    from fungal_assets.diffusion.events import written_down
    from fungal_assets.diffusion.methods import get_method
    from fungal_assets.diffusion.states import write_state
    from fungal_assets.diffusion.team import Alone

    start_s = time.monotonic()
    recipe.check(*watching.faults())
    refuse_impossible(
        pick_device(), optimiser=recipe.optimiser, precision=recipe.precision, compiles=recipe.compiles
    )
    team = team or Alone()
    if recipe.batch_size < team.size:
        raise InputError(
            f"batch_size is {recipe.batch_size} and {team.size} processes train: each needs a row. Set "
            f"fine_tuned_weights.processes to {recipe.batch_size} or less, or raise batch_size."
        )
    chosen = get_method(method, **recipe.of_method())
    if chosen.learns_names:
        recipe = recipe.with_names_only()
    base = resolve_base_model(base_model)
    data = captioned_dataset / "data"
    with deterministic(pick_device()):
        with team.main_first():
            manifest = Manifest.of(data, folder / MANIFEST_NAME)
            ready = _prepare(manifest, rehearsal, folder, base, chosen, recipe, tell)
            if recipe.compiles:
                keep_code_in(folder / CACHE_NAME / "code", is_main=team.is_main)
        batches, held_out = ready.batches, ready.held_out
        recipe = _for_every_row(recipe, batches, tell)
        decided_by = [base.sha256, manifest.sha256, ready.rehearsed]
        loop = _loop(ready, chosen, recipe, watching, folder, decided_by, checkpoint_every_s, team)
        tell_memory(loop, ready.pipeline, method=method, tell=tell)
        # What learns begins as nothing, or as a word of the base's, so that this is the base's loss, also where a
        # stopped run is gone on with.
        base_held_out_loss = loop.loss_over(held_out, HELD_OUT_PROBES) if held_out else None
        if watching.watch_every_steps and team.is_main:
            _begin_looking(loop, ready, watching, prompts, clusters, folder, recipe.seed, base_held_out_loss)
        loop_start_s = time.monotonic()
        with written_down(on_step, logs if team.is_main else None, folder) as hear:
            progress = loop.run(tell, _holding(manifest, hear, checkpoint_every_s) if team.is_main else hear)
        loop_s = time.monotonic() - loop_start_s
        if team.is_main:
            # It holds what learnt as it is, and its average too; what is kept takes its place below.
            write_state(folder / "resume", loop.learner, progress, loop.run_key)
        with loop.kept(progress) as step_kept:
            last_probe_loss = loop.probe_loss()
            held_out_loss = _kept_held_out_loss(loop, held_out, progress, step_kept)
            if team.is_main:
                chosen.save(ready.pipeline, folder)
    if not team.is_main:
        return {}
    result = {
        "rows": batches.encoded.row_count,
        "rows_trained_on": batches.rows_seen(step_kept),
        "steps": progress.step,
        "step_kept": step_kept,
        "stopped_because": watching.why_stop(progress.looks) or "",
        "epochs": round(batches.epochs(step_kept), 3),
        "captions_truncated": ready.truncated,
        **batches.count_texts(step_kept),
        "rehearsal_points": batches.rehearsal.row_count if batches.rehearsal else 0,
        "probe_loss_before": progress.probe_loss,
        "probe_loss_after": last_probe_loss,
        **_held_out_result(held_out, base_held_out_loss, held_out_loss),
        **tell_of_looks(progress.looks, step_kept),
        "parameters": sum(param.numel() for param in loop.parameters.values()),
        "processes": team.size,
    }
    manifest.hold()
    record = _record(base, chosen, recipe, ready.rehearsed, batches, step_kept) | vars(watching) | result
    _write(folder, progress, record)
    times = {"seconds": round(time.monotonic() - start_s, 1), "training_seconds": round(loop_s, 1)}
    return result | times | {"weights_mb": round((folder / chosen.weights_file).stat().st_size / 1e6, 3)}


def _holding(manifest: Manifest, on_step: OnStep, every_s: float) -> OnStep:
    """`on_step`, and a look at the shards as often as a state is kept."""
    looked_s = time.monotonic()

    def heard(step: int, figures: Mapping[str, float]) -> None:
        nonlocal looked_s
        if time.monotonic() - looked_s >= every_s:
            manifest.hold()
            looked_s = time.monotonic()
        on_step(step, figures)

    return heard


def _prepare(
    manifest: Manifest,
    rehearsal: Path | None,
    folder: Path,
    base: BaseModel,
    method: Method,
    recipe: Recipe,
    tell: Tell,
) -> _Prepared:
    """Load, encode, and attach what learns."""
    import torch

    from fungal_assets.diffusion.batches import CAPTION_DROPOUT, Batches
    from fungal_assets.diffusion.encoding import CACHE_NAME, count_truncated, encode_dataset, tokenize_texts
    from fungal_assets.diffusion.inversion import with_token_ids
    from fungal_assets.diffusion.objectives import Objective

    rehearsed, points = _read_rehearsal(rehearsal, base, recipe)
    data = manifest.folder
    if recipe.class_share > 0:
        remedy = "captions.class_wordings to 1 or more and grow captions again"
        _refuse_rows_without("class_texts", data, "class_share", remedy)
    if recipe.name_share > 0:
        _refuse_rows_without("species", data, "name_share", "grow captioned_dataset again")
    device, cache = pick_device(), folder / CACHE_NAME
    pipeline = load_pipeline(base.path, device=device, dtype=torch.float32)
    suit_memory(pipeline)
    family = family_of(pipeline)
    if method.learns_texts and not family.learns_texts:
        raise InputError(
            f"{family.title} has three text encoders whose words are not learnt here: use method 'lora' without "
            "trains_text_encoder, or 'full'."
        )
    how: dict[str, Any] = {
        "base_sha256": base.sha256,
        "cache": cache,
        "tell": tell,
        "has_embeddings": not method.learns_texts,
        "data_sha256": manifest.sha256,
        "size_px": native_px(base.path) if recipe.works_at == NATIVE else None,
    }
    encoded = encode_dataset(data, pipeline, **how, crops=recipe.crops)
    held_out = _encode_held_out(data, pipeline, how)
    manifest.hold()
    objective = Objective.of(pipeline.scheduler, recipe.min_snr_gamma, device)
    _refuse_other_resolution(points, encoded, data)
    _tell_shapes(encoded, recipe, tell)
    pipeline.vae.to("cpu")
    pipeline.unet.train()
    suit_attention(pipeline.unet, device)
    parameters = method.attach(pipeline, _words(encoded, data, recipe, method), seed=recipe.seed)
    truncated = count_truncated(pipeline, encoded.told)
    if truncated:
        tell(
            f"{truncated} of {len(encoded.told) - 1} texts are longer than the text encoder reads; their ends "
            f"are not learnt"
        )
    if method.learns_names:
        encoded = with_token_ids(encoded, pipeline, data)
        held_out = with_token_ids(held_out, pipeline, data) if held_out else None
    elif method.learns_texts:
        encoded = replace(encoded, texts=tokenize_texts(pipeline, encoded.told))
        held_out = replace(held_out, texts=tokenize_texts(pipeline, held_out.told)) if held_out else None
        said = ["", *rehearsed["rehearsed_prompts"]]
        points = replace(points, texts=tokenize_texts(pipeline, said)) if points else None
    else:
        for text_encoder in text_encoders_of(pipeline).values():
            text_encoder.to("cpu")
    batches = Batches(
        encoded=encoded,
        rehearsal=points,
        objective=objective,
        batch_size=recipe.batch_size * recipe.accumulation_steps,
        rehearsal_share=recipe.rehearsal_share,
        class_share=recipe.class_share,
        name_share=recipe.name_share,
        seed=recipe.seed,
        device=device,
        caption_dropout=0.0 if method.learns_names else CAPTION_DROPOUT,
        noise_offset=recipe.noise_offset,
    )
    unseen = replace(batches, encoded=held_out, rehearsal=None, rehearsal_share=0.0) if held_out else None
    return _Prepared(pipeline, parameters, batches, unseen, rehearsed, truncated)


def _read_rehearsal(
    rehearsal: Path | None, base: BaseModel, recipe: Recipe
) -> tuple[dict[str, Any], Rehearsal | None]:
    """What `training.json` says of the rehearsal, and its points; neither where nothing is to be rehearsed.

    Raises:
        InputError: It is missing though some is to be rehearsed.
        ProvenanceError: Another base model was rehearsed.
    """
    from fungal_assets.diffusion.rehearsal import read_about, read_points

    if recipe.rehearsal_share == 0:
        return {"rehearsed_prompts": [], "rehearsal_sha256": None}, None
    if rehearsal is None:
        raise InputError(
            f"rehearsal_share is {recipe.rehearsal_share}, but there is no rehearsal. Grow one: fungal grow --until "
            "rehearsal, or set fine_tuned_weights.rehearsal_share to 0."
        )
    points, about = read_points(rehearsal, base), read_about(rehearsal)
    texts = [row["text"] for row in about["prompts"]]
    return {"rehearsed_prompts": texts, "rehearsal_sha256": about["points_sha256"]}, points


def _refuse_other_resolution(points: Rehearsal | None, encoded: EncodedDataset, data: Path) -> None:
    """Raise where what is rehearsed is of another resolution than the pictures."""
    from fungal_assets.diffusion.encoding import PX_PER_LATENT

    side = encoded.resolution_px // PX_PER_LATENT
    expected = (encoded.latents.shape[2], side, side)
    if points is not None and tuple(points.x_t.shape[1:]) != expected:
        raise InputError(
            f"the rehearsed latents are {tuple(points.x_t.shape[1:])} and those of the pictures of {data} {expected}; "
            "both of one resolution were expected. Give rehearsal.works_at and fine_tuned_weights.works_at the same, "
            "and grow both."
        )


def _tell_shapes(encoded: EncodedDataset, recipe: Recipe, tell: Tell) -> None:
    """Say which shapes the pictures have, if there are several.

    Raises:
        InputError: The model is to be compiled, which would take minutes for every shape and number of rows.
    """
    counts = encoded.rows_by_shape()
    if counts and recipe.compiles:
        raise InputError(
            f"fine_tuned_weights.compiles is true, and the pictures have shapes of their own: {counts!r}. The model "
            "would be compiled for each; set compiles to false, or grow prepared_images with shape=square."
        )
    if counts:
        tell(f"pictures by shape: {', '.join(f'{count} of {shape}' for shape, count in counts.items())}")


def _words(encoded: EncodedDataset, data: Path, recipe: Recipe, method: Method) -> Words:
    """The names of the species in the training rows, for a method that learns them, and the class noun.

    Raises:
        InputError: Rows have no name.
    """
    from fungal_assets.diffusion.inversion import Words

    names = encoded.name_wordings
    if method.learns_names and not names.starts.diff().all():
        raise InputError(
            f"rows of {data} have no species, whose names {method.name!r} learns; a column 'species' with the name "
            "that their captions say is expected. Grow captioned_dataset again, or use another method."
        )
    return Words([encoded.told[text] for text in sorted(set(names.ids.tolist()))], recipe.class_noun)


def _encode_held_out(
    data: Path, pipeline: DiffusionPipeline, how: Mapping[str, Any]
) -> EncodedDataset | None:
    """What the loss on held-out pictures is measured over, if there are any."""
    from fungal_assets.diffusion.encoding import encode_dataset
    from fungal_assets.shards import count_rows, has_shards

    if not has_shards(data, TEST) or not count_rows(data, TEST):
        return None
    return encode_dataset(data, pipeline, **how, split=TEST, most_rows=HELD_OUT_ROWS)


def _held_out_result(held_out: Batches | None, before: float | None, after: float | None) -> dict[str, Any]:
    """What is told of the held-out pictures: how many, and the losses if there are any."""
    if held_out is None:
        return {"held_out_rows": 0}
    rows = held_out.encoded.row_count
    return {"held_out_rows": rows, "held_out_loss_before": before, "held_out_loss_after": after}


def _begin_looking(
    loop: Loop,
    ready: _Prepared,
    watching: Watching,
    prompts: Path | None,
    clusters: Path | None,
    folder: Path,
    seed: int,
    base_held_out_loss: float | None,
) -> None:
    """Look at the base model, and let the loop look from here on."""
    from fungal_assets.diffusion.looks import begin_looking

    start_s = time.monotonic()
    size_px = ready.batches.encoded.resolution_px
    how: dict[str, Any] = {"seed": seed, "run_key": loop.run_key, "size_px": size_px}
    begun = begin_looking(ready.pipeline, prompts, clusters, folder, watching, **how)
    loop.look = partial(_look, loop, ready.held_out, base_held_out_loss, begun)
    loop.look_s = time.monotonic() - start_s


def _look(
    loop: Loop, held_out: Batches | None, base_held_out_loss: float | None, looker: Looker, step: int
) -> dict[str, float | None]:
    """What a look after a step measures."""
    loss = loop.loss_over(held_out, HELD_OUT_PROBES) if held_out and step else base_held_out_loss
    return {"held_out_loss": loss, **looker.look(step)}


def _kept_held_out_loss(
    loop: Loop, held_out: Batches | None, progress: Progress, step_kept: int
) -> float | None:
    """Loss of the weights that are kept on held-out pictures: what the look at them measured, if there was one."""
    measured = [look["held_out_loss"] for look in progress.looks if look["step"] == step_kept]
    if measured or held_out is None:
        return measured[0] if measured else None
    return loop.loss_over(held_out, HELD_OUT_PROBES)


def _refuse_rows_without(column: str, data: Path, share: str, remedy: str) -> None:
    """Raise where training rows say nothing in a column though a share of the draws is to come from it."""
    from fungal_assets.shards import read_rows

    told = [bool(row.get(column)) for row in read_rows(data, ["image_id", column], stem=TRAIN)]
    missing = told.count(False)
    if missing:
        raise InputError(
            f"{share} is above 0, but {missing} of {len(told)} rows of {data} have no {column}. Set "
            f"fine_tuned_weights.{share} to 0, or {remedy}."
        )


def _for_every_row(recipe: Recipe, batches: Batches, tell: Tell) -> Recipe:
    """The recipe with steps enough to train on every row once: no picture is left out."""
    needed = batches.steps_for_every_row()
    if needed <= recipe.max_steps:
        return recipe
    tell(
        f"{needed} steps instead of {recipe.max_steps}, so that all {batches.encoded.row_count} rows are seen"
    )
    return replace(recipe, max_steps=needed)


def _loop(
    ready: _Prepared,
    method: Method,
    recipe: Recipe,
    watching: Watching,
    folder: Path,
    decided_by: list[Any],
    checkpoint_every_s: float,
    team: Team,
) -> Loop:
    from fungal_assets.diffusion.encoding import encode_tokens, key_of
    from fungal_assets.diffusion.loop import Loop

    unet = arrange(
        ready.pipeline.unet,
        checkpoints_gradients=recipe.checkpoints_gradients,
        is_channels_last=recipe.is_channels_last,
        compiles=recipe.compiles,
    )
    return Loop(
        unet,
        ready.parameters,
        ready.batches,
        max_steps=recipe.max_steps,
        learning_rate=recipe.learning_rate,
        ema_decay=recipe.ema_decay,
        states=folder / STATES_NAME,
        run_key=key_of(method.name, vars(recipe), vars(watching), decided_by),
        checkpoint_every_s=checkpoint_every_s,
        watching=watching,
        predict=family_of(ready.pipeline).predict,
        encode=partial(encode_tokens, ready.pipeline) if method.learns_texts else None,
        optimiser=recipe.optimiser,
        precision=recipe.precision,
        accumulation_steps=recipe.accumulation_steps,
        team=team,
    )


def _record(
    base: BaseModel,
    method: Method,
    recipe: Recipe,
    rehearsed: Mapping[str, Any],
    batches: Batches,
    step_kept: int,
) -> dict[str, Any]:
    """What `training.json` says beside the results."""
    others = SETTINGS_OF_METHODS | {"class_noun": "textual_inversion"}
    settings = vars(recipe) | {name: None for name, owner in others.items() if method.name != owner}
    return {
        "base_model": base.as_json(),
        "method": method.name,
        "weights_file": method.weights_file,
        **rehearsed,
        "prediction_type": batches.objective.prediction_type,
        "resolution_px": batches.encoded.resolution_px,
        "rows_by_shard": dict(batches.encoded.rows_by_shard),
        **_shapes(batches.encoded),
        "rows_trained_on_by_shard": batches.rows_seen_by_shard(step_kept),
        **settings,
    }


def _shapes(encoded: EncodedDataset) -> dict[str, Any]:
    """How many pictures have which shape, where they are no squares."""
    counts = encoded.rows_by_shape()
    return {"rows_by_shape": counts} if counts else {}


def _write(folder: Path, progress: Progress, record: dict[str, Any]) -> None:
    """Write what stays beside the weights and the state."""
    from fungal_assets.galleries.looking_back import drop_other_looks

    write_curves(folder, progress.curve, progress.looks)
    drop_other_looks(folder, [int(look["step"] or 0) for look in progress.looks])
    write_atomically(folder / "training.json", json.dumps(record, indent=1, sort_keys=True))
