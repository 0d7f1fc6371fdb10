"""LoRA: every setting changes what it says, and every export of each draws what was tuned."""

import json
import shutil

import pytest
import torch

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.checks import check_pruned_from_tuned, check_pruned_loads, check_weights_changed
from fungal_assets.diffusion.encoding import embed_texts, read_tensors, write_tensors
from fungal_assets.diffusion.headers import read_header
from fungal_assets.diffusion.inversion import Words
from fungal_assets.diffusion.lora import LORA_FILE, UNET_LAYERS, Lora, parts_in
from fungal_assets.diffusion.pruning import KOHYA_FILE
from fungal_assets.profiles import LORA_TARGETS
from fungal_assets.shards import read_table
from fungal_assets.store import hash_files
from fungal_assets_tests.diffusion.conftest import SETTINGS, prune, tune
from fungal_assets_tests.diffusion.exported import (
    TOLERANCE,
    assert_formats_agree,
    differ,
    draw_plainly,
    write_tuned,
)

BLOCKS = {
    "attention": ("Attention",),
    "transformer": ("Transformer2DModel",),
    "all": ("Transformer2DModel", "ResnetBlock2D", "Downsample2D", "Upsample2D"),
}
"""sd-scripts adds a LoRA to each linear layer and convolution in these classes, the last three by `conv_dim`."""


UNET, TEXT = "unet/diffusion_pytorch_model.safetensors", "text_encoder/model.safetensors"


def read_layers(path):
    """Tensors of a part of a pipeline, of a text encoder under the names that its files had before transformers 5."""
    prefix = "text_model." if path.parent.name.startswith("text_encoder") else ""
    return {prefix + name.removeprefix(prefix): values for name, values in read_tensors(path).items()}


def layers_in(model, classes):
    """Names of the linear layers and convolutions in modules of these classes, with dots."""
    return {
        f"{place}.{name}"
        for place, block in model.named_modules()
        if type(block).__name__ in classes
        for name, layer in block.named_modules()
        if isinstance(layer, torch.nn.Linear | torch.nn.Conv2d)
    }


def layers_of(lora, part="unet"):
    return {name.removeprefix(f"{part}.").split(".lora_")[0] for name in lora if name.startswith(f"{part}.")}


@pytest.mark.parametrize("targets", LORA_TARGETS)
@pytest.mark.parametrize("version", [1, 2], ids=["sd1.5", "sd2.1"])
def test_it_is_added_to_the_layers_that_its_targets_say(version, targets, sd_dirs, tmp_path):
    pipeline = load_pipeline(sd_dirs[version], device="cpu", dtype=torch.float32)
    expected = layers_in(pipeline.unet, BLOCKS[targets])
    lora = Lora(2, targets=targets)
    lora.attach(pipeline, Words([], "mushroom"), seed=0)
    lora.save(pipeline, tmp_path)
    assert layers_of(read_tensors(tmp_path / LORA_FILE)) == expected
    assert len(expected) == {"attention": 16 * 8, "transformer": 16 * 12, "all": 16 * 12 + 86}[targets]


def test_the_targets_are_those_that_can_be_asked_for():
    assert tuple(UNET_LAYERS) == LORA_TARGETS


def test_alpha_scales_what_is_learnt_and_is_multiplied_in_where_it_is_kept(
    base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path
):
    """After one step every second matrix has moved by the same amount, whatever alpha is; its effect is alpha's."""
    settings = SETTINGS | {"max_steps": 1, "lora_alpha": 10.0}
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    learnt, kept = read_tensors(tmp_path / "resume/state.safetensors"), read_tensors(tmp_path / LORA_FILE)
    for name, values in kept.items():
        raw = learnt["weights." + name.removeprefix("unet.").replace(".weight", ".default.weight")]
        assert torch.equal(values, raw * 2.5 if ".lora_B." in name else raw)
    assert json.loads((tmp_path / "training.json").read_text())["lora_alpha"] == 10
    assert json.loads((tuned_dir / "training.json").read_text())["lora_alpha"] == 0


def test_an_alpha_of_the_rank_is_no_alpha(base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path):
    settings = SETTINGS | {"lora_alpha": float(SETTINGS["lora_rank"])}
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    for name in (LORA_FILE, "loss.parquet"):
        assert (tmp_path / name).read_bytes() == (tuned_dir / name).read_bytes()


@pytest.mark.parametrize("version", [1, 2], ids=["sd1.5", "sd2.1"])
def test_a_lora_of_all_layers_with_an_alpha_draws_the_same_by_every_format(version, sd_dirs, tmp_path):
    settings = {"lora_targets": "all", "lora_alpha": 12.0}
    tuned = write_tuned(sd_dirs[version], tmp_path / "tuned", method="lora", **settings)
    prune(tuned, tmp_path / "pruned", sd_dirs[version])
    pictures = draw_plainly(sd_dirs[version], tmp_path / "pruned", tmp_path)
    assert_formats_agree(pictures)
    assert check_pruned_loads(tmp_path / "pruned").passed
    assert check_pruned_from_tuned(tmp_path / "pruned", tuned).passed
    header = read_header(tmp_path / "pruned" / KOHYA_FILE)
    assert json.loads(header["ss_network_args"]) == {"conv_dim": "4", "conv_alpha": "4"}
    unet = load_pipeline(sd_dirs[version], device="cpu", dtype=torch.float32).unet
    names = {"lora_unet_" + layer.replace(".", "_") for layer in layers_in(unet, BLOCKS["all"])}
    kohya = read_tensors(tmp_path / "pruned" / KOHYA_FILE)
    kinds = ("lora_down.weight", "lora_up.weight", "alpha")
    assert set(kohya) == {f"{name}.{kind}" for name in names for kind in kinds}
    assert {float(kohya[f"{name}.alpha"]) for name in names} == {4.0}


DORA = {"has_dora": True, "trains_text_encoder": True, "lora_targets": "all", "lora_alpha": 8.0}


@pytest.fixture(scope="module")
def dora(sd_dirs, tmp_path_factory):
    """A DoRA of all layers of Stable Diffusion 1.5 in small, texts' as well, and its exports: two folders."""
    place = tmp_path_factory.mktemp("dora")
    tuned = write_tuned(sd_dirs[1], place / "tuned", method="lora", **DORA)
    prune(tuned, place / "pruned", sd_dirs[1])
    return tuned, place / "pruned"


def as_comfyui(weight, lora, layer, *, strength=1.0):
    """What ComfyUI makes of a layer: the sum of a LoRA, and of a DoRA its rows over the norms of the base's."""
    down, up, alpha = (
        lora[f"{layer}.{kind}"].float() for kind in ("lora_down.weight", "lora_up.weight", "alpha")
    )
    change = (up.flatten(1) @ down.flatten(1)).view(weight.shape) * alpha / len(down)
    moved = weight + change
    if f"{layer}.dora_scale" in lora:
        norms = weight.flatten(1).norm(dim=1).view(-1, *[1] * (weight.ndim - 1))
        moved = moved * lora[f"{layer}.dora_scale"].float() / norms
    return weight + strength * (moved - weight)


@pytest.mark.parametrize("strength", [1.0, 0.3])
def test_comfyui_makes_of_a_dora_the_weights_that_are_in_the_pipeline(strength, dora, sd_dirs, tmp_path):
    tuned, pruned = dora
    if strength < 1:
        prune(tuned, tmp_path, sd_dirs[1], strength=strength)
        for name in (LORA_FILE, KOHYA_FILE):
            assert read_header(tmp_path / name)["strength"] == "1.0"
            whole, kept = read_tensors(pruned / name), read_tensors(tmp_path / name)
            assert all(torch.equal(kept[key], values) for key, values in whole.items())
        assert json.loads((tmp_path / "weights.json").read_text())["lora_strength"] == 1.0
        pruned = tmp_path
    lora = read_tensors(pruned / KOHYA_FILE)
    for name, prefix, count in ((UNET, "lora_unet", 16 * 12 + 86), (TEXT, "lora_te", 2 * 6)):
        base, fused = read_layers(sd_dirs[1] / name), read_layers(pruned / "pipeline" / name)
        moved = 0
        for key, weight in base.items():
            layer = f"{prefix}_{key.removesuffix('.weight').replace('.', '_')}"
            is_learnt = f"{layer}.dora_scale" in lora
            expected = as_comfyui(weight, lora, layer, strength=strength) if is_learnt else weight
            torch.testing.assert_close(fused[key].float(), expected, rtol=2e-3, atol=1e-4, msg=key)
            moved += is_learnt
        assert moved == count


def test_a_dora_draws_the_same_by_every_format_but_kohyas_of_which_diffusers_drops_the_magnitudes(
    dora, sd_dirs, tmp_path
):
    tuned, pruned = dora
    pictures = draw_plainly(sd_dirs[1], pruned, tmp_path)
    assert differ(pictures["fused"], pictures["base"]) > 20 * TOLERANCE
    assert differ(pictures["fused"], pictures["pytorch"]) < TOLERANCE
    assert differ(pictures["single"], pictures["fused"]) == 0
    assert differ(pictures["kohya"], pictures["fused"]) > 10 * TOLERANCE
    assert check_pruned_loads(pruned).passed and check_pruned_from_tuned(pruned, tuned).passed


def test_each_row_of_a_dora_has_the_norm_that_it_learnt(dora):
    tuned, pruned = dora
    fused = {
        "unet": read_layers(pruned / "pipeline" / UNET),
        "text_encoder": read_layers(pruned / "pipeline" / TEXT),
    }
    for name, magnitude in read_tensors(tuned / LORA_FILE).items():
        if "magnitude" in name:
            part, _, rest = name.partition(".")
            weight = fused[part][rest.split(".lora_")[0] + ".weight"].float()
            torch.testing.assert_close(
                weight.flatten(1).norm(dim=1), magnitude.flatten(), rtol=1e-3, atol=1e-4
            )


def test_a_dora_begins_as_the_base_model_and_its_magnitudes_learn(
    base_dir, dataset_dir, prompts_dir, tuned_dir, tmp_path
):
    settings = SETTINGS | {"has_dora": True}
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    plain, dora = (json.loads((folder / "training.json").read_text()) for folder in (tuned_dir, tmp_path))
    assert dora["held_out_loss_before"] == pytest.approx(plain["held_out_loss_before"], rel=1e-5)
    assert dora["probe_loss_after"] < dora["probe_loss_before"]
    unet = load_pipeline(base_dir, device="cpu", dtype=torch.float32).unet.state_dict()
    lora = {
        name: values for name, values in read_tensors(tmp_path / LORA_FILE).items() if "magnitude" in name
    }
    assert len(lora) * 2 == len(read_tensors(tuned_dir / LORA_FILE))
    for name, magnitude in lora.items():
        weight = unet[name.removeprefix("unet.").split(".lora_")[0] + ".weight"]
        assert not torch.equal(magnitude.flatten(), weight.flatten(1).norm(dim=1)), name


@pytest.fixture(scope="module")
def told_dir(base_dir, dataset_dir, prompts_dir, tmp_path_factory):
    """An unbroken run that trains the text encoder too."""
    folder = tmp_path_factory.mktemp("told")
    tune(
        dataset_dir, prompts_dir, folder, base_model=str(base_dir), **SETTINGS | {"trains_text_encoder": True}
    )
    return folder


def test_what_texts_mean_is_learnt_from_the_base_models_and_rehearsed_towards_its_predictions(
    told_dir, tuned_dir, base_dir
):
    """Encoded within the step a text means the same at first: the rehearsal begins at no loss."""
    told, plain = (read_table(folder / "loss.parquet") for folder in (told_dir, tuned_dir))
    assert told[0]["rehearsal_loss"] < 1e-9 and told[-1]["rehearsal_loss"] > 1e-9
    assert told[0]["specimen_loss"] == pytest.approx(plain[0]["specimen_loss"], rel=1e-5)
    assert told[-1]["specimen_loss"] != plain[-1]["specimen_loss"]
    lora = read_tensors(told_dir / LORA_FILE)
    assert parts_in(lora) == ["text_encoder", "unet"]
    assert all(values.any() for values in lora.values())
    assert layers_of(lora) == layers_of(read_tensors(tuned_dir / LORA_FILE))
    pipeline = load_pipeline(base_dir, device="cpu", dtype=torch.float32)
    before = embed_texts(pipeline, ["a photo of golden bonnet"])
    Lora(4).restore(pipeline, told_dir, strength=1.0)
    assert not torch.allclose(embed_texts(pipeline, ["a photo of golden bonnet"]), before, atol=1e-4)
    assert check_weights_changed(told_dir, base_model=str(base_dir)).passed


def test_each_rehearsed_text_is_read_within_the_step_and_meets_what_the_base_model_said_of_it(
    base_dir, dataset_dir, prompts_dir, tmp_path
):
    """Where nothing is learnt yet, every point agrees: a point with another's text would not."""
    settings = SETTINGS | {"trains_text_encoder": True, "learning_rate": 1e-9}
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    assert all(row["rehearsal_loss"] < 1e-9 for row in read_table(tmp_path / "loss.parquet"))


def test_a_stopped_run_that_trains_the_text_encoder_ends_bit_equal_to_an_unbroken_one(
    told_dir, base_dir, dataset_dir, prompts_dir, tmp_path
):
    def stop(step, _figures):
        if step == 3:
            raise KeyboardInterrupt

    settings = SETTINGS | {"trains_text_encoder": True}
    with pytest.raises(KeyboardInterrupt):
        tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings, on_step=stop)
    tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    assert hash_files(tmp_path) == hash_files(told_dir)


def test_a_text_encoder_that_did_not_learn_is_found(told_dir, base_dir, tmp_path):
    shutil.copytree(told_dir, tmp_path / "tuned")
    lora = read_tensors(told_dir / LORA_FILE)
    for name, values in lora.items():
        if name.startswith("text_encoder.") and "lora_B" in name:
            values.zero_()
    write_tensors(tmp_path / "tuned" / LORA_FILE, lora)
    verdict = check_weights_changed(tmp_path / "tuned", base_model=str(base_dir))
    assert not verdict.passed and "nothing of text_encoder learnt" in verdict.finding


@pytest.mark.parametrize("version", [1, 2], ids=["sd1.5", "sd2.1"])
def test_a_lora_of_the_text_encoder_draws_the_same_by_every_format(version, sd_dirs, tmp_path):
    tuned = write_tuned(sd_dirs[version], tmp_path / "tuned", method="lora", trains_text_encoder=True)
    prune(tuned, tmp_path / "pruned", sd_dirs[version])
    pictures = draw_plainly(sd_dirs[version], tmp_path / "pruned", tmp_path)
    assert_formats_agree(pictures)
    assert check_pruned_loads(tmp_path / "pruned").passed
    assert read_header(tmp_path / "pruned/pipeline" / TEXT)["base_model"] == sd_dirs[version].name
    base, fused = read_layers(sd_dirs[version] / TEXT), read_layers(tmp_path / "pruned/pipeline" / TEXT)
    lora, encoder = read_tensors(tmp_path / "pruned" / KOHYA_FILE), "text_model.encoder.layers"
    layers = {f"{encoder}.{at}.self_attn.{kind}_proj" for at in (0, 1) for kind in ("q", "k", "v", "out")}
    layers |= {f"{encoder}.{at}.mlp.{kind}" for at in (0, 1) for kind in ("fc1", "fc2")}
    names = {"lora_te_" + layer.replace(".", "_"): layer for layer in layers}
    assert {name.split(".")[0] for name in lora if name.startswith("lora_te")} == set(names)
    for name, layer in names.items():
        expected = as_comfyui(base[f"{layer}.weight"], lora, name)
        torch.testing.assert_close(fused[f"{layer}.weight"].float(), expected, rtol=2e-3, atol=1e-4, msg=name)
