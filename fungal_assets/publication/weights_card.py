"""The model card that goes up with weights: what they are, what of, how to load them, and what they forgot.

It opens with the YAML that the hub reads. Belongs here: the text. The files are in `contents`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fungal_assets.diffusion.cards import Card
from fungal_assets.diffusion.pruning import SINGLE_FILE
from fungal_assets.store import Record


def weights_card(
    *,
    repo_id: str,
    record: Record,
    about: Mapping[str, Any],
    base: Card | None,
    base_card: str | None,
    retention: Mapping[str, Any],
) -> str:
    """The text of `README.md`.

    Args:
        repo_id: The repository that it goes to.
        record: The record of the pruned weights.
        about: Their `weights.json`.
        base: The base model's card, where it has one.
        base_card: Name of the file beside it that tells of the base model, where there is one.
        retention: The figures of the forgetting report.
    """
    method, resolution = str(record.partition).split("|")
    origin = about["base_model"]
    named = 'subfolder="lora", weight_name="pytorch_lora_weights.safetensors"'
    load_lora = f'pipeline.load_lora_weights("{repo_id}", {named})' if about["lora_sha256"] else None
    lines = [
        "",
        "# Fungal assets: weights",
        "",
        f"A text-to-image model of invented fungi, tuned from `{origin['id']}` by the method `{method}` at "
        f"{resolution} px, in half precision. The species are clusters of pictures that look alike; their names "
        "are no real ones.",
        "",
        "```python",
        "from diffusers import DiffusionPipeline",
        f'pipeline = DiffusionPipeline.from_pretrained("{repo_id}")',
        "```",
        "",
        *_lora_lines(load_lora, origin["id"], base),
        *_single_file_lines(about["single_file_sha256"]),
        "There is no safety checker in it: whoever shows its pictures to others looks at them first.",
        "",
        "## What it still knows",
        "",
        f"Retention {_figure(retention, 'retention')} (interval {_figure(retention, 'retention_low')} to "
        f"{_figure(retention, 'retention_high')}): how much of the base model's knowledge beside fungi is left, on "
        "control prompts, tuned over base.",
        "",
        "## What it is made of",
        "",
        f"- base model: `{origin['id']}`, sha256 `{origin['sha256']}`, licence {base.licence if base else 'not known'}"
        + (f"; see `{base_card}`" if base_card else ""),
        f"- strength: {about['strength']} of the way from the base model to the tuned weights",
        f"- licences of all that went in: {', '.join(record.licences) or 'none known'}",
        "- `provenance.json`: the hashes of the inputs and of every file",
        "",
    ]
    return "".join(["---\n", _front_matter(base, about), "---\n", "\n".join(lines)])


def _front_matter(base: Card | None, about: Mapping[str, Any]) -> str:
    lines = [
        "pretty_name: Fungal assets",
        f"license: {base.licence.lower() if base else 'other'}",
        "library_name: diffusers",
        "pipeline_tag: text-to-image",
        *([f"base_model: {base.hub_id}", "base_model_relation: finetune"] if base and base.hub_id else []),
        f"tags: [text-to-image, stable-diffusion, diffusers, fungi, art, {about['method']}]",
    ]
    return "".join(f"{line}\n" for line in lines)


def _lora_lines(load: str | None, base_id: str, base: Card | None) -> list[str]:
    if load is None:
        return []
    where = base.hub_id if base and base.hub_id else base_id
    return [
        f"The update alone lies in `lora/`, for a pipeline of the base model (`{where}`): under diffusers' names and, "
        "in `kohya_lora_weights.safetensors`, under those that ComfyUI and A1111 read.",
        "",
        "```python",
        load,
        "```",
        "",
    ]


def _single_file_lines(sha256: str | None) -> list[str]:
    if sha256 is None:
        return []
    return [
        f"`{SINGLE_FILE}` is the whole model once more as one file in Stable Diffusion's original layout, for ComfyUI "
        "and A1111. The header of every weights file names the base model, the dataset and the species.",
        "",
    ]


def _figure(figures: Mapping[str, Any], name: str) -> str:
    value = figures.get(name, "undefined")
    return f"{value:.2f}" if isinstance(value, float) else str(value)
