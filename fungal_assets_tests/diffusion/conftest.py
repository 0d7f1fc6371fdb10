"""A tiny world: a real base model of 64 px at random weights, a dataset of two shards, and prompts."""

import functools
import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from fungal_assets.diffusion.headers import Origin
from fungal_assets.diffusion.training import Recipe
from fungal_assets.diffusion.watching import Watching
from fungal_assets.shards import ShardWriter, image_schema

SIDE_PX = 64
SETTINGS = {
    "method": "lora",
    "max_steps": 6,
    "batch_size": 4,
    "accumulation_steps": 1,
    "learning_rate": 3e-3,
    "lora_rank": 4,
    "lora_alpha": 0.0,
    "lora_targets": "transformer",
    "has_dora": False,
    "trains_text_encoder": False,
    "vectors_per_species": 2,
    "class_noun": "mushroom",
    "works_at": "native",
    "rehearsal_prompts": 2,
    "rehearsal_share": 0.25,
    "class_share": 0.2,
    "name_share": 0.2,
    "min_snr_gamma": 5.0,
    "ema_decay": 0.0,
    "noise_offset": 0.0,
    "crops": 0,
    "optimiser": "adamw",
    "precision": "auto",
    "checkpoints_gradients": False,
    "is_channels_last": False,
    "compiles": False,
    "checkpoint_every_s": 0.0,
    "seed": 3,
}

UNWATCHED = {
    "watch_every_steps": 0,
    "watched_species": 2,
    "watched_controls": 3,
    "watch_inference_steps": 2,
    "watch_guidance_scale": 2.0,
    "judge": "pocket",
    "stops_below_retention": 0.0,
    "patience_looks": 0,
    "must_learn_within": 0.0,
}

ORIGIN = Origin("d" * 64, ("ashen cap", "golden bonnet"), ("Apache-2.0", "CC0-1.0"))


def picture(seed: int) -> bytes:
    """A PNG of one coloured disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIDE_PX, :SIDE_PX]
    disc = (x - rng.integers(20, 44)) ** 2 + (y - rng.integers(20, 44)) ** 2 < 15**2
    pixels = np.where(disc[..., None], rng.integers(0, 255, 3), 230).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def write_dataset(
    folder: Path, rows: int, *, shards: int = 2, held_out: int = 0, class_texts: tuple = ("a mushroom",)
) -> Path:
    """Training rows with their caption, another wording and `class_texts`, and behind them rows that are held out."""
    write_split(folder, "train", range(rows), shards, class_texts)
    if held_out:
        write_split(folder, "test", range(rows, rows + held_out), 1, class_texts)
    return folder


def write_split(folder: Path, split: str, numbers: range, shards: int, class_texts: tuple) -> None:
    """The rows of one split, a number deciding each one's picture and name."""
    lists = dict.fromkeys(("texts", "class_texts"), pa.list_(pa.string()))
    schema = image_schema({"image_id": pa.string(), "text": pa.string(), "species": pa.string()} | lists)
    with ShardWriter(folder / "data", schema, shards=shards, stem=split) as writer:
        for number in numbers:
            image = {"bytes": picture(number), "path": f"{number}.png"}
            name = ("golden bonnet", "ashen cap")[number % 2]
            told = {"text": f"a photo of {name}", "texts": [f"a photo of {name}", f"in moss, {name}"]}
            told["species"] = name
            row = {"image": image, "image_id": f"{number:016x}", "class_texts": list(class_texts)}
            writer.write(row | told)


def write_prompts(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    names = ("ashen cap", "golden bonnet")
    rows = [
        {
            "kind": "species",
            "text": f"a photo of {name}",
            "species_id": f"species-{n:02d}",
            "prompt_id": f"species-{n}",
        }
        for n, name in enumerate(names)
    ]
    rows += [
        {"kind": "control", "text": text, "expected": text, "prompt_id": text}
        for text in ("apple", "girl", "tree")
    ]
    rows += [{"kind": "rehearsal", "text": text} for text in ("hamburger", "girl holding a basket", "flower")]
    (folder / "prompts.json").write_text(json.dumps({"prompts": rows}))
    return folder


@pytest.fixture(scope="session")
def pipeline():
    from fungal_assets.pocket.architecture import build_pipeline

    return build_pipeline("tiny", seed=0)


@pytest.fixture(scope="session")
def base_dir(pipeline, tmp_path_factory):
    folder = tmp_path_factory.mktemp("base") / "tiny"
    pipeline.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def dataset_dir(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset"), 13, held_out=3)


@pytest.fixture(scope="session")
def prompts_dir(tmp_path_factory):
    return write_prompts(tmp_path_factory.mktemp("prompts"))


@functools.cache
def rehearse(prompts: Path, base_model: str, count: int) -> Path:
    """The folder of a rehearsal of so many prompts, beside these, made once."""
    from fungal_assets.diffusion import rehearsal
    from fungal_assets.diffusion.encoding import key_of

    folder = prompts / f".rehearsal-{key_of(base_model, count)}"
    if (folder / rehearsal.ABOUT_FILE).is_file():
        return folder
    how = {
        "works_at": "native",
        "num_inference_steps": 12,
        "guidance_scale": 3.0,
        "size_px": SIDE_PX,
        "seed": SETTINGS["seed"],
    }
    rehearsal.rehearse(prompts, folder, base_model=base_model, rehearsal_prompts=count, **how)
    return folder


def tune(dataset: Path, prompts: Path, folder: Path, *, method: str, base_model: str, **settings):
    """Tune as the settings say, with so many `rehearsal_prompts`, if any; the figures."""
    from fungal_assets.diffusion import training

    count = settings.pop("rehearsal_prompts")
    rehearsal = rehearse(prompts, base_model, count) if count and Path(base_model).is_dir() else None
    given = ("checkpoint_every_s", "tell", "on_step", "clusters", "logs")
    how = {name: settings.pop(name) for name in given if name in settings}
    watching = Watching(**{name: settings.pop(name, value) for name, value in UNWATCHED.items()})
    return training.tune(
        dataset,
        rehearsal,
        folder,
        prompts,
        method=method,
        base_model=base_model,
        recipe=Recipe(**settings),
        watching=watching,
        **how,
    )


@pytest.fixture(scope="session")
def killed_by(base_dir, dataset_dir, prompts_dir):
    """Tunes into a folder in a process of its own that ends by SIGKILL, in a look or after a step; its exit code."""
    command = [sys.executable, "-m", "fungal_assets_tests.diffusion.forking"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:

        def killed(folder, place, at, **settings):
            places = [str(path) for path in (dataset_dir, prompts_dir, folder, base_dir)]
            order = {"places": places, "place": place, "at": at, "settings": settings}
            print(json.dumps(order, default=str), file=parent.stdin, flush=True)
            return int(parent.stdout.readline())

        yield killed


@pytest.fixture(scope="session")
def tuned_by(base_dir, dataset_dir, prompts_dir, tmp_path_factory):
    """One unbroken run of each method that is asked for."""

    @functools.cache
    def made(method, ema_decay):
        folder = tmp_path_factory.mktemp(f"tuned-{method}")
        settings = SETTINGS | {"method": method, "ema_decay": ema_decay}
        tune(dataset_dir, prompts_dir, folder, base_model=str(base_dir), **settings)
        return folder

    # The cache would take a default that is given for another run than one that is left out.
    return lambda method, ema_decay=0.0: made(method, ema_decay)


@pytest.fixture(scope="session")
def tuned_dir(tuned_by):
    """One unbroken run of a LoRA."""
    return tuned_by("lora")


def prune(tuned: Path, folder: Path, base: Path, *, strength: float = 1.0, has_single_file: bool = True):
    """Prune into a folder, with all exports; the figures."""
    from fungal_assets.diffusion.pruning import prune_weights

    return prune_weights(
        tuned, folder, ORIGIN, base_model=str(base), strength=strength, has_single_file=has_single_file
    )


def stable_diffusion(version: int):
    """A pipeline with the blocks, and so the names, of Stable Diffusion 1.5 or 2.1 at small widths, random weights."""
    import torch
    from diffusers import AutoencoderKL, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel

    from fungal_assets.pocket.architecture import assemble, train_tokenizer

    tokenizer = train_tokenizer(["a photo of a golden bonnet, of an ashen cap"], vocabulary=600)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(version)
        unet = UNet2DConditionModel(
            sample_size=SIDE_PX // 8,
            block_out_channels=(16, 32, 64, 64),
            cross_attention_dim=32,
            norm_num_groups=8,
            attention_head_dim=8 if version == 1 else (1, 2, 4, 4),
            use_linear_projection=version == 2,
        )
        vae = AutoencoderKL(
            block_out_channels=(4, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            norm_num_groups=4,
            sample_size=SIDE_PX,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=4,
                max_position_embeddings=32,
                hidden_act="quick_gelu" if version == 1 else "gelu",
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
                pad_token_id=tokenizer.pad_token_id,
            )
        )
    return assemble(vae, unet, text_encoder, tokenizer)


def stable_diffusion_xl():
    """A pipeline with the blocks, and so the names, of Stable Diffusion XL at small widths, random weights."""
    import torch
    from diffusers import AutoencoderKL, StableDiffusionXLPipeline, UNet2DConditionModel
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

    from fungal_assets.pocket.architecture import build_scheduler, train_tokenizer

    told = ["a photo of a golden bonnet, of an ashen cap!"]
    tokenizer, tokenizer_2 = (train_tokenizer(told, vocabulary=600) for _ in range(2))
    tokenizer_2.pad_token = "!"
    text = {
        "vocab_size": len(tokenizer),
        "num_attention_heads": 4,
        "max_position_embeddings": 32,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(10)
        unet = UNet2DConditionModel(
            sample_size=SIDE_PX // 8,
            block_out_channels=(16, 32, 64),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            transformer_layers_per_block=(1, 2, 3),
            attention_head_dim=(1, 2, 4),
            cross_attention_dim=32 + 40,
            norm_num_groups=8,
            use_linear_projection=True,
            addition_embed_type="text_time",
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=40 + 6 * 8,
        )
        vae = AutoencoderKL(
            block_out_channels=(4, 8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            layers_per_block=2,
            norm_num_groups=4,
            sample_size=SIDE_PX,
        )
        small = CLIPTextConfig(hidden_size=32, intermediate_size=64, num_hidden_layers=2, **text)
        large = {"hidden_size": 40, "intermediate_size": 80, "num_hidden_layers": 3, "projection_dim": 40}
        large_config = CLIPTextConfig(**large, hidden_act="gelu", **text)
        encoders = {
            "text_encoder": CLIPTextModel(small),
            "text_encoder_2": CLIPTextModelWithProjection(large_config),
        }
    return StableDiffusionXLPipeline(
        vae=vae,
        unet=unet,
        tokenizer=tokenizer,
        tokenizer_2=tokenizer_2,
        scheduler=build_scheduler(),
        add_watermarker=False,
        **encoders,
    )


@pytest.fixture(scope="session")
def xl_dir(tmp_path_factory):
    """A folder of Stable Diffusion XL in small."""
    folder = tmp_path_factory.mktemp("sd") / "sdxl"
    stable_diffusion_xl().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def sd_dirs(tmp_path_factory):
    """Folders of Stable Diffusion 1.5 and 2.1 in small, by version."""
    folders = {version: tmp_path_factory.mktemp("sd") / f"sd{version}" for version in (1, 2)}
    for version, folder in folders.items():
        stable_diffusion(version).save_pretrained(folder)
    return folders
