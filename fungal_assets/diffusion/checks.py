"""Checks on tuned and pruned weights: what must be true of them before anyone looks at a picture."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from fungal_assets.dataset.splitting import TRAIN
from fungal_assets.diffusion.base_models import load_pipeline, load_single_file, read_json
from fungal_assets.diffusion.families import family_of, parts_of
from fungal_assets.diffusion.headers import read_header
from fungal_assets.diffusion.pruning import KOHYA_FILE, SINGLE_FILE, TRANSFORMER_FILE, UNET_FILE
from fungal_assets.shards import count_rows_by_shard, read_table
from fungal_assets.store import hash_file, hash_folder
from fungal_assets.verdicts import Verdict

LEAST_FALL = 0.005
FAULTS_TOLD = 8
LORA_START = "lora_B"


def check_loss_moves(fine_tuned_weights: Path) -> Verdict:
    """The loss on the fixed probe fell by `LEAST_FALL` of itself, and the loss of every step was finite.

    The probe decides, as it has the same rows and noise before and after; single steps differ by luck of the
    draw.
    Their smoothed ends (a tenth of the steps each) stand in the figures.
    """
    training = read_json(fine_tuned_weights / "training.json")
    curve = read_table(fine_tuned_weights / "loss.parquet")
    losses = [row["specimen_loss"] for row in curve if row["specimen_loss"] is not None]
    broken = [row["step"] for row in curve if not math.isfinite(row["loss"])]
    span = max(1, len(losses) // 10)
    before, after = training["probe_loss_before"], training["probe_loss_after"]
    fall = 1 - after / before if before else 0.0
    figures = {
        "fall": round(fall, 4),
        "probe_loss_before": before,
        "probe_loss_after": after,
        "smoothed_first": sum(losses[:span]) / span if losses else 0.0,
        "smoothed_last": sum(losses[-span:]) / span if losses else 0.0,
        "steps_not_finite": len(broken),
    }
    finding = (
        f"probe loss {before:.4f} before, {after:.4f} after: a fall of {fall:.1%}, {LEAST_FALL:.1%} expected."
    )
    if broken:
        finding += f" The loss of {len(broken)} steps is not finite, the first at step {broken[0]}."
    passed = not broken and fall >= LEAST_FALL
    return Verdict(
        passed, finding if passed else f"{finding} Raise max_steps or change learning_rate.", figures
    )


def check_every_row_trained_on(fine_tuned_weights: Path, captioned_dataset: Path) -> Verdict:
    """As many rows of each training shard were trained on as its footer promises."""
    training = read_json(fine_tuned_weights / "training.json")
    promised = count_rows_by_shard(captioned_dataset / "data", TRAIN)
    seen = training["rows_trained_on_by_shard"]
    rows, trained_on = sum(promised.values()), sum(seen.values())
    figures = {
        "rows": rows,
        "rows_trained_on": trained_on,
        "shards": len(promised),
        "epochs": training["epochs"],
    }
    finding = (
        f"{trained_on} of {rows} rows of {len(promised)} shards were trained on, {training['epochs']:.2f} times each "
        "on average."
    )
    short = [
        f"{name} {seen.get(name, 0)} of {promised.get(name, 0)}"
        for name in sorted(promised | seen)
        if seen.get(name) != promised.get(name)
    ]
    if not short and training["rows"] == training["rows_trained_on"] == rows:
        return Verdict(True, finding, figures)
    faults = f" By shard: {', '.join(short[:FAULTS_TOLD])}." if short else ""
    if training["stopped_because"]:
        why = f"Training ended early, as {training['stopped_because']}; step {training['step_kept']} is kept."
        remedy = "Lower learning_rate, or raise rehearsal_share or batch_size."
        return Verdict(False, f"{finding}{faults} {why} {remedy}", figures)
    needed = math.ceil(training["step_kept"] / max(training["epochs"], 1e-9))
    return Verdict(False, f"{finding}{faults} Raise max_steps to at least {needed}, or batch_size.", figures)


def check_class_share(fine_tuned_weights: Path, *, class_share: float, name_share: float) -> Verdict:
    """So many draws came without a name, and with the name alone, as the shares say.

    To less than one draw and, as names are counted among the draws that say one, to less than two.

    Args:
        fine_tuned_weights: A complete output.
        class_share: By its settings; textual inversion learns names alone and draws none without.
        name_share: By its settings; textual inversion draws the wordings of the dataset alone.
    """
    training = read_json(fine_tuned_weights / "training.json")
    if training["method"] == "textual_inversion":
        class_share = name_share = 0.0
    drawn, nameless, names = (
        training[key] for key in ("specimens_drawn", "class_texts_drawn", "names_drawn")
    )
    share = nameless / max(1, drawn)
    figures = {
        "class_share": round(share, 4),
        "name_share": round(names / max(1, drawn), 4),
        "texts": training["texts"],
        "texts_drawn": training["texts_drawn"],
    }
    finding = (
        f"{nameless} of {drawn} draws came without a name ({share:.1%}), {class_share:.1%} were asked for, and {names} "
        f"with the name alone, {name_share:.1%} were asked for; "
        f"{training['texts_drawn']} of {training['texts']} texts were drawn."
    )
    if abs(nameless - class_share * drawn) < 1 and abs(names - name_share * drawn) < 2:
        return Verdict(True, finding, figures)
    return Verdict(False, f"{finding} Grow fine_tuned_weights again.", figures)


def check_learns_beyond_its_rows(fine_tuned_weights: Path) -> Verdict:
    """The loss on pictures that were held out of training fell too, or none were held out."""
    training = read_json(fine_tuned_weights / "training.json")
    rows = training["held_out_rows"]
    if not rows:
        return Verdict(True, "no picture was held out: nothing to measure on.", {"held_out_rows": 0})
    before, after = training["held_out_loss_before"], training["held_out_loss_after"]
    fall = 1 - after / before if before else 0.0
    figures = {
        "held_out_rows": rows,
        "held_out_loss_before": before,
        "held_out_loss_after": after,
        "fall": round(fall, 4),
    }
    finding = (
        f"loss on {rows} held-out pictures {before:.4f} before, {after:.4f} after: a fall of {fall:.1%}."
    )
    if fall > 0:
        return Verdict(True, finding, figures)
    return Verdict(False, f"{finding} It learnt its rows by heart: lower max_steps or lora_rank.", figures)


def check_weights_changed(fine_tuned_weights: Path, *, base_model: str) -> Verdict:
    """The tuned weights are finite and differ from the base model's.

    Args:
        fine_tuned_weights: A complete output.
        base_model: What they were tuned on; read only for method `"full"`.
    """
    training = read_json(fine_tuned_weights / "training.json")
    tensors = _read_numpy(fine_tuned_weights / training["weights_file"])
    not_finite = [name for name, values in tensors.items() if not np.isfinite(values).all()]
    changed = _changed(tensors, training["method"], base_model, fine_tuned_weights)
    figures = {"tensors": len(tensors), "not_finite": len(not_finite), "changed": changed}
    finding = f"{len(tensors)} tensors, {len(not_finite)} not finite; {changed} changed from the base model."
    still = _still_parts(tensors) if training["method"] == "lora" else []
    if still:
        finding += f" But nothing of {', '.join(still)} learnt."
    passed = not not_finite and changed > 0 and not still
    return Verdict(
        passed, finding if passed else f"{finding} Tune again with a lower learning_rate.", figures
    )


def _still_parts(tensors: dict[str, np.ndarray]) -> list[str]:
    """The parts of a pipeline that a LoRA has layers of, and whose second matrices are all zero."""
    moved = {name.split(".")[0] for name, values in tensors.items() if LORA_START in name and values.any()}
    return sorted({name.split(".")[0] for name in tensors} - moved)


def _changed(tensors: dict[str, np.ndarray], method: str, base_model: str, fine_tuned_weights: Path) -> int:
    if method == "lora":
        # A LoRA starts as nothing: its second matrices are zero until they learn.
        return sum(bool(values.any()) for name, values in tensors.items() if LORA_START in name)
    if method == "textual_inversion":
        from fungal_assets.diffusion.inversion import INITIAL_FILE

        initial = _read_numpy(fine_tuned_weights / INITIAL_FILE)
        return sum(not np.array_equal(values, initial[name]) for name, values in tensors.items())
    import torch

    unet = load_pipeline(base_model, device="cpu", dtype=torch.float32).unet.state_dict()
    return sum(not np.array_equal(values, unet[name].numpy()) for name, values in tensors.items())


def _read_numpy(path: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(path)


def check_pruned_from_tuned(pruned_weights: Path, fine_tuned_weights: Path) -> Verdict:
    """The pruned weights say that they come from these tuned ones, and their files are what they say."""
    weights = read_json(pruned_weights / "weights.json")
    training = read_json(fine_tuned_weights / "training.json")
    claims = {
        "tuned weights": (weights["tuned_sha256"], hash_file(fine_tuned_weights / training["weights_file"])),
        "base model": (weights["base_model"]["sha256"], training["base_model"]["sha256"]),
        "pipeline": (weights["pipeline_sha256"], hash_folder(pruned_weights / "pipeline")),
    }
    files = {"lora": training["weights_file"], "kohya_lora": KOHYA_FILE, "single_file": SINGLE_FILE}
    for kind, name in files.items():
        if (said := weights[f"{kind}_sha256"]) is not None:
            claims[kind] = (said, hash_file(pruned_weights / name))
    if "embeddings_sha256" in weights:
        claims["embeddings"] = (weights["embeddings_sha256"], hash_folder(pruned_weights / "embeddings"))
    differing = [name for name, (said, found) in claims.items() if said != found]
    figures = {"claims": len(claims), "differing": len(differing)}
    if differing:
        return Verdict(
            False, f"hashes differ for: {', '.join(differing)}. Grow pruned_weights again.", figures
        )
    return Verdict(
        True, f"all {len(claims)} hashes agree: these weights come from these tuned weights.", figures
    )


def check_strength(pruned_weights: Path) -> Verdict:
    """The strength is a given one, or the one that the table of what was measured says, and keeps enough."""
    from fungal_assets.diffusion.strengths import TABLE_FILE, pick_row

    strength = read_json(pruned_weights / "weights.json")["strength"]
    if not (pruned_weights / TABLE_FILE).is_file():
        return Verdict(True, f"the strength of {strength:g} was given, not chosen.", {"strength": strength})
    about = read_json(pruned_weights / TABLE_FILE)
    best, floor = pick_row(about["rows"], about["min_retention"]), about["min_retention"]
    figures = {"strength": strength, "retention": best["retention"], "min_retention": floor}
    finding = (
        f"of {len(about['rows'])} strengths {best['strength']:g} is the best: retention {best['retention']:.2f} "
        f"({floor:g} wanted), species recognised {best['species_recognised']:.2f}."
    )
    if best["strength"] != strength:
        return Verdict(False, f"{finding} But {strength:g} was taken. Grow pruned_weights again.", figures)
    if best["retention"] < floor:
        return Verdict(
            False,
            f"{finding} None keeps enough: raise rehearsal_share or lower max_steps of fine_tuned_weights.",
            figures,
        )
    return Verdict(True, finding, figures)


def check_pruned_loads(pruned_weights: Path) -> Verdict:
    """The pipeline loads, all its weights are finite, and one denoising step gives a finite answer.

    A single file loads as the same tensors, and its header and those of a LoRA say which base model they belong to.
    """
    import torch

    pipeline = load_pipeline(pruned_weights / "pipeline", device="cpu", dtype=torch.float32)
    parts = parts_of(pipeline)
    broken = [name for name, part in parts.items() if not _is_finite(part)]
    side = pipeline.unet.config.sample_size
    with torch.no_grad():
        family = family_of(pipeline)
        text = family.embed(pipeline, ["a photo"])
        x_t = torch.randn(
            1, pipeline.unet.config.in_channels, side, side, generator=torch.Generator().manual_seed(0)
        )
        answer = family.predict(pipeline.unet, x_t, torch.tensor([500]), text)
    spread = float(answer.std())
    figures = {"parts_not_finite": len(broken), "prediction_spread": spread}
    if broken or not math.isfinite(spread):
        names = ", ".join(broken) or "the prediction"
        return Verdict(False, f"not finite: {names}. Tune with a lower learning_rate.", figures)
    faults = [*_differing_in_single_file(pruned_weights, parts), *_silent_headers(pruned_weights)]
    if faults:
        return Verdict(False, f"{'; '.join(faults)}. Grow pruned_weights again.", figures)
    return Verdict(True, f"loads, all weights finite, a prediction with spread {spread:.3f}.", figures)


def _differing_in_single_file(pruned_weights: Path, parts: dict[str, Any]) -> list[str]:
    """What is not the pipeline's in a single file, read back by diffusers; none where there is no such file."""
    import torch

    single, folder = pruned_weights / SINGLE_FILE, pruned_weights / "pipeline"
    if not single.is_file():
        return []
    loaded = load_single_file(single, folder, dtype=torch.float32)
    faults = []
    for part, whole in parts.items():
        read = getattr(loaded, part).state_dict()
        differing = [
            name for name, values in whole.state_dict().items() if not torch.equal(read[name], values)
        ]
        faults += (
            [f"{SINGLE_FILE}: {len(differing)} tensors of {part} differ from the pipeline's"]
            if differing
            else []
        )
    return faults


def _silent_headers(pruned_weights: Path) -> list[str]:
    """Files whose header names another base model than `weights.json`, or none."""
    base = read_json(pruned_weights / "weights.json")["base_model"]["sha256"]
    exports = [
        path for place in ("lora", "single_file") for path in (pruned_weights / place).glob("*.safetensors")
    ]
    denoisers = [pruned_weights / name for name in (UNET_FILE, TRANSFORMER_FILE)]
    denoisers = [path for path in denoisers if path.is_file()]
    return [
        f"the header of {path.relative_to(pruned_weights).as_posix()} does not name the base model"
        for path in sorted([*denoisers, *exports])
        if read_header(path).get("base_model_sha256") != base
    ]


def _is_finite(part: object) -> bool:
    return all(bool(param.isfinite().all()) for param in part.parameters())  # type: ignore[attr-defined]
