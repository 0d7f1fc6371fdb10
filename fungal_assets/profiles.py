"""The one dial: a profile is a row of values, never a branch.

Each row gives every asset's settings, and states the machine it is meant for and what to expect there. An asset's
config may override any of its settings; what is left empty comes from here. Figures under `expected` are measured
(docs/log.md) where the profile could be run, and marked as estimates where it could not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fungal_assets.errors import InputError

RESOLUTIONS = ("64", "128", "256", "512", "1024")
METHODS = ("full", "lora", "textual_inversion")
METHODS_OF_NAMES = ("textual_inversion",)
"""They learn names and leave the base model as it is, so that nothing is rehearsed."""
LORA_TARGETS = ("attention", "transformer", "all")
NATIVE, PARTITION = "native", "partition"
WORKS_AT = (NATIVE, PARTITION)
"""The sizes that a base model can work at: the one that it was made for, or the partition's."""


@dataclass(frozen=True)
class Profile:
    """One row of the preset table.

    Args:
        name: What `--profile` takes.
        meant_for: The machine and the person.
        resolution: Default partition, pixels.
        method: Default fine-tuning method.
        network: What it needs from outside.
        expected: Time and memory on its machine, and whether measured or estimated.
        settings: Values by asset, then by config field; of what depends on the method, those of `method`.
        by_method: The values of other methods where theirs differ, by method, asset and field.
    """

    name: str
    meant_for: str
    resolution: str
    method: str
    network: str
    expected: str
    settings: Mapping[str, Mapping[str, Any]]
    by_method: Mapping[str, Mapping[str, Mapping[str, Any]]]

    def fill(self, asset: str, given: Mapping[str, Any], method: str | None = None) -> dict[str, Any]:
        """The settings of an asset: those given, and this row's value for each that is None, the method's own first."""
        of_method = self.by_method.get(method or self.method, {})
        row = {**self.settings.get(asset, {}), **of_method.get(asset, {})}
        return {name: row[name] if value is None else value for name, value in given.items()}


def get_profile(name: str) -> Profile:
    """The row of that name.

    Raises:
        InputError: There is no such profile.
    """
    if name not in PROFILES:
        raise InputError(f"profile {name!r} is not known; the profiles are {', '.join(PROFILES)}.")
    return PROFILES[name]


_PUBLICATION: dict[str, Any] = {
    "repo_id": "",
    "branch": "main",
    "is_private": True,
    "is_dry_run": False,
    "deletes_foreign": False,
}

_OF_THE_PRESET = (
    "max_steps",
    "batch_size",
    "latent_size",
    "width",
    "learning_rate",
    "discriminator_rate",
    "loss",
    "has_spectral_norm",
    "augmentation",
    "flips",
    "ema_decay",
)
"""Settings of a DCGAN that its preset gives where they are left empty."""

_MESHES: dict[str, Any] = {
    "face_budgets": [8000, 2000, 500],
    "texture_px": 512,
    "height_m": 0.14,
    "heights_m": {},
    "formats": ["usdz", "ply", "obj"],
}
_VIDEOS: dict[str, Any] = {
    "frames": 120,
    "size_px": 256,
    "frames_per_s": 30,
    "formats": ["pyramid", "black", "vertical", "quilt", "group"],
    "pyramid_screen": "below",
    "screen_mm": 70.0,
    "orientation": "landscape",
    "display": "portrait",
    "quilt_px": 960,
    "individuals": 7,
    "seed": 0,
}

_SHARED: dict[str, dict[str, Any]] = {
    "raw_images": {
        "source": "specimens",
        "min_side_px": 96,
        "max_megapixels": 64.0,
        "min_sharpness": 0.002,
        "max_blockiness": 3.5,
        "max_pixelation": 0.9,
        "min_fungus_probability": 0.0,
        "crop": "subject",
        "ground": "white",
    },
    "prepared_images": {"shape": "square", "jpeg_quality": 95},
    "feature_vectors": {"extractor": "efficientnet-lite0", "batch_size": 16},
    "clusters": {"algorithm": "kmeans", "min_clusters": 8, "max_clusters": 16, "seed": 0},
    "name_lexicon": {"extra_names": ""},
    "species": {"keeps_names": True, "min_form_likeness": 0.5, "seed": 0},
    "captions": {
        "class_noun": "mushroom",
        "cluttered_opening": "a snapshot of",
        "wordings": 5,
        "class_wordings": 2,
        "captioner": "",
        "seed": 0,
    },
    "prompts": {
        "class_noun": "mushroom",
        "mutants": 4,
        "view_words": {
            "front": "front view",
            "side": "side view",
            "back": "back view",
            "above": "seen from above",
            "below": "seen from below",
        },
        "context_groups": ["habitat", "closeness", "season", "weather", "company"],
        "templates": "",
        "extra_controls": "",
        "seed": 0,
    },
    "captioned_dataset": {"max_shard_mb": 256.0, "has_imagefolder": True, "held_out_share": 0.05},
    "rehearsal": {"works_at": NATIVE, "num_inference_steps": 12, "guidance_scale": 3.0, "seed": 0},
    "fine_tuned_weights": {
        "lora_alpha": 0.0,
        "lora_targets": "transformer",
        "has_dora": False,
        "trains_text_encoder": False,
        "class_noun": "mushroom",
        "works_at": NATIVE,
        "rehearsal_share": 0.25,
        "class_share": 0.15,
        "name_share": 0.4,
        "min_snr_gamma": 5.0,
        "ema_decay": 0.0,
        "optimiser": "adamw",
        "precision": "auto",
        "checkpoints_gradients": False,
        "compiles": False,
        "seed": 0,
        "judge": "pocket",
        "patience_looks": 0,
        "must_learn_within": 0.5,
    },
    "pruned_weights": {
        "strengths": [0.4, 0.6, 0.8, 1.0],
        "min_retention": 0.9,
        "judge": "pocket",
        "seed": 0,
    },
    "sample_galleries": {
        "works_at": NATIVE,
        "side_prompts": 100,
        "scheduler": "DPM++ 2M",
        "batch_size": 8,
        "seed": 0,
    },
    "forgetting_report": {"judge": "pocket", "text_judge": "pocket"},
    "species_report": {"min_variety": 0.3, "max_copied_share": 0.02},
    "resolution_atlas": {"scales": [0.5, 2.0], "pictures": 12, "scheduler": "DPM++ 2M", "seed": 0},
    "weights_comparison": {"most_models": 5},
    "forms_3d": {
        "species_names": [],
        "views_per_step": 2,
        "first_guesses": 8,
        "distillation": "sds",
        "shaded_share": 0.0,
        "warm_up": 0.0,
        "first_meshes": {},
        "tiny_encoder": "",
        "seed": 0,
    },
    "meshes": _MESHES,
    "videos_3d": _VIDEOS,
    "field_guide": {"title": "Field guide"},
    "cppn_forms": {
        "ancestors": [],
        "fitness": "novelty",
        "target": "",
        "words": "",
        "grid_size": 32,
        "seed": 0,
    },
    "cppn_meshes": _MESHES,
    "cppn_videos": _VIDEOS,
    "cppn_pictures": {"fitness": "target", "targets": [], "words": [], "size_px": 512, "seed": 0},
    "dcgan_weights": {
        "preset": "small-data",
        **dict.fromkeys(_OF_THE_PRESET),
        "watched_pictures": 64,
        "patience_looks": 0,
        "held_out_share": 0.15,
        "checkpoint_every_s": 30.0,
        "seed": 0,
    },
    "dcgan_gallery": {
        "pictures": 64,
        "walk_stops": 8,
        "frames_per_stop": 12,
        "frames_per_s": 16,
        "seed": 0,
    },
    "published_dataset": _PUBLICATION,
    "published_weights": _PUBLICATION,
}


_WORDS_OF_THE_POCKET_MODEL = {
    "front": "side view",
    "side": "side view",
    "back": "side view",
    "angled": "three-quarter view",
    "above": "seen from above",
    "below": "seen from below",
}
"""It learnt of fronts and backs from brackets only; a cap on a stem is the same all round."""


def _row(**changed: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The shared settings with some assets' values changed or added."""
    return {asset: {**_SHARED.get(asset, {}), **changed.get(asset, {})} for asset in {**_SHARED, **changed}}


PROFILES: Mapping[str, Profile] = {
    "pocket": Profile(
        name="pocket",
        meant_for="a laptop without a GPU, CI, learning, a first look",
        resolution="128",
        method="lora",
        network="none",
        expected="461 s on two CPU cores with bfloat16 units, 802 s with AVX2 only (before); 2.2 GB (before)",
        settings=_row(
            prompts={
                "view_words": _WORDS_OF_THE_POCKET_MODEL,
                "context_groups": ["habitat", "closeness"],
            },
            rehearsal={"base_model": "pocket", "rehearsal_prompts": 24},
            fine_tuned_weights={
                "base_model": "pocket",
                "max_steps": 300,
                "batch_size": 8,
                "accumulation_steps": 1,
                "learning_rate": 1e-3,
                "lora_rank": 16,
                "vectors_per_species": 3,
                "noise_offset": 0.0,
                "crops": 0,
                "is_channels_last": False,
                "checkpoint_every_s": 10.0,
                "processes": 1,
                "watch_every_steps": 150,
                "watched_species": 4,
                "watched_controls": 10,
                "watch_inference_steps": 4,
                "watch_guidance_scale": 2.0,
                "stops_below_retention": 0.0,
            },
            pruned_weights={
                "base_model": "pocket",
                "strength": 0.6,
                "has_single_file": False,
                "images_per_prompt": 2,
                "controls": 12,
                "num_inference_steps": 10,
                "guidance_scale": 2.0,
            },
            sample_galleries={
                "base_model": "pocket",
                "images_per_prompt": 4,
                "controls": 12,
                "num_inference_steps": 10,
                "guidance_scale": 3.0,
                "sizes": [],
            },
            forgetting_report={"min_retention": 0.6},
            resolution_atlas={
                "base_model": "pocket",
                "num_inference_steps": 10,
                "guidance_scale": 2.0,
            },
            forms_3d={
                "max_species": 4,
                "iterations": 250,
                "grid_size": 48,
                "view_size_px": 64,
                "guidance_scale": 3.0,
                "grounds": {"on a black background": 0.02, "in snow": 0.92},
                "first_guess": "lifted",
                "guess_guidance_scale": 2.0,
                "processes": 2,
            },
            cppn_forms={
                "population": 24,
                "generations": 60,
                "forms": 6,
                "form_grid_size": 64,
                "max_faces": 12_000,
            },
            cppn_videos={"frames": 60, "frames_per_s": 15, "formats": ["pyramid", "black", "vertical"]},
            cppn_pictures={"population": 100, "generations": 150, "pictures": 6},
            dcgan_weights={"width": 16, "max_steps": 600, "watch_every_steps": 200},
        ),
        by_method={
            "full": {"fine_tuned_weights": {"learning_rate": 1e-4}},
            "textual_inversion": {
                "fine_tuned_weights": {"learning_rate": 2e-2},
                "pruned_weights": {"strength": 1.0},
            },
        },
    ),
    "studio": Profile(
        name="studio",
        meant_for="one rented GPU with 16 GB or more",
        resolution="512",
        method="lora",
        network="Hugging Face hub",
        expected="not measured yet: no GPU was at hand",
        settings=_row(
            raw_images={"min_side_px": 256},
            rehearsal={"base_model": "stable-diffusion-1.5", "rehearsal_prompts": 40},
            fine_tuned_weights={
                "base_model": "stable-diffusion-1.5",
                "max_steps": 3000,
                "batch_size": 4,
                "accumulation_steps": 2,
                "learning_rate": 1e-4,
                "lora_rank": 32,
                "vectors_per_species": 4,
                "noise_offset": 0.05,
                "crops": 1,
                "is_channels_last": True,
                "checkpoint_every_s": 120.0,
                "processes": 0,
                "watch_every_steps": 250,
                "watched_species": 8,
                "watched_controls": 24,
                "watch_inference_steps": 20,
                "watch_guidance_scale": 7.5,
                "stops_below_retention": 0.5,
            },
            pruned_weights={
                "base_model": "stable-diffusion-1.5",
                "strength": 1.0,
                "has_single_file": True,
                "images_per_prompt": 4,
                "controls": 30,
                "num_inference_steps": 25,
                "guidance_scale": 7.5,
            },
            sample_galleries={
                "base_model": "stable-diffusion-1.5",
                "images_per_prompt": 8,
                "controls": 30,
                "num_inference_steps": 25,
                "guidance_scale": 7.5,
                "sizes": [256, 1024],
            },
            forgetting_report={"min_retention": 0.9},
            resolution_atlas={
                "base_model": "stable-diffusion-1.5",
                "num_inference_steps": 25,
                "guidance_scale": 7.5,
            },
            forms_3d={
                "max_species": 12,
                "iterations": 1200,
                "grid_size": 96,
                "view_size_px": 512,
                "guidance_scale": 30.0,
                "grounds": {"on a black background": 0.0, "on a white background": 1.0},
                "first_guess": "revolved",
                "guess_guidance_scale": 7.5,
                "processes": 1,
            },
            **dict.fromkeys(
                ("meshes", "cppn_meshes"), {"face_budgets": [20000, 8000, 2000, 500], "texture_px": 2048}
            ),
            **dict.fromkeys(("videos_3d", "cppn_videos"), {"size_px": 720, "quilt_px": 0}),
            cppn_forms={
                "population": 150,
                "generations": 120,
                "forms": 12,
                "form_grid_size": 128,
                "max_faces": 60_000,
            },
            cppn_pictures={"population": 200, "generations": 600, "pictures": 12, "size_px": 2048},
            dcgan_weights={"width": 64, "batch_size": 32, "max_steps": 20_000, "watch_every_steps": 1000},
        ),
        by_method={
            "full": {
                "fine_tuned_weights": {
                    "learning_rate": 1e-5,
                    "batch_size": 2,
                    "accumulation_steps": 4,
                    "optimiser": "adafactor",
                    "checkpoints_gradients": True,
                }
            },
            "textual_inversion": {"fine_tuned_weights": {"learning_rate": 5e-4}},
        },
    ),
}
