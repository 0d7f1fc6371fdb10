"""Families: what a model of each is asked is what its own pipeline asks it, and an XL goes the whole way."""

import json
import shutil

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.checks import (
    check_loss_moves,
    check_pruned_from_tuned,
    check_pruned_loads,
    check_weights_changed,
)
from fungal_assets.diffusion.encoding import (
    embed_texts,
    encode_tokens,
    read_tensors,
    tokenize_texts,
    write_tensors,
)
from fungal_assets.diffusion.families import FAMILIES, UNET, family_of, parts_of
from fungal_assets.diffusion.headers import read_header
from fungal_assets.diffusion.inversion import EMBEDDINGS_FILE, INITIAL_FILE
from fungal_assets.diffusion.kohya import name_layer
from fungal_assets.diffusion.lora import LORA_FILE
from fungal_assets.diffusion.original_layout import find_unnamed, name_unet, to_original
from fungal_assets.diffusion.pruning import KOHYA_FILE, SINGLE_FILE
from fungal_assets.diffusion.single_files import convert_checkpoint
from fungal_assets.errors import InputError
from fungal_assets.forms.directions import ScoreDistillation, ViewText
from fungal_assets.forms.guidance import DiffusionGuide
from fungal_assets.galleries.batches import _denoise, _embed
from fungal_assets.galleries.planning import Picture
from fungal_assets.shards import read_table
from fungal_assets.store import hash_files
from fungal_assets_tests.diffusion.conftest import SETTINGS, prune, tune
from fungal_assets_tests.diffusion.exported import (
    TOLERANCE,
    assert_formats_agree,
    differ,
    draw_plainly,
    run_plainly,
    write_tuned,
)

PROMPTS = ["a photo of a golden bonnet", "an ashen cap"]


@pytest.fixture(params=["sd", "xl"])
def loaded(request, sd_dirs, xl_dir):
    """A pipeline of each family."""
    folder = {"sd": sd_dirs[1], "xl": xl_dir}[request.param]
    return load_pipeline(folder, device="cpu", dtype=torch.float32)


def test_there_is_a_case_of_every_family(sd_dirs, xl_dir):
    """Of those with a UNet; the other one has tests of its own."""
    pipelines = [load_pipeline(folder, device="cpu", dtype=torch.float32) for folder in (sd_dirs[1], xl_dir)]
    expected = [family for family in FAMILIES if family.denoiser == UNET]
    assert [type(family_of(pipeline)) for pipeline in pipelines] == expected


def test_what_the_model_is_asked_is_what_its_pipeline_asks_it(loaded):
    """Noisy latents, noise level, texts and all beside them, as the pipeline gives them to its UNet."""
    asked, family = [], family_of(loaded)
    hook = loaded.unet.register_forward_hook(
        lambda _, args, kwargs, output: asked.append((args, kwargs, output)), with_kwargs=True
    )
    loaded(PROMPTS[0], num_inference_steps=1, guidance_scale=3.0, output_type="latent")
    hook.remove()
    ((x_t, t), _, (expected,)) = asked[0]
    text = embed_texts(loaded, ["", PROMPTS[0]])
    with torch.no_grad():
        found = family.predict(loaded.unet, x_t, t.expand(2), text)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    with torch.no_grad():
        other = family.predict(loaded.unet, x_t, t.expand(2), embed_texts(loaded, ["", PROMPTS[1]]))
    assert not torch.allclose(other[1], expected[1], atol=1e-3)


def test_texts_mean_the_same_within_the_step_and_every_text_encoder_is_reached(loaded):
    texts = ["", *PROMPTS]
    encoded = encode_tokens(loaded, tokenize_texts(loaded, texts))
    torch.testing.assert_close(encoded.detach(), embed_texts(loaded, texts), rtol=1e-5, atol=1e-6)
    encoded.square().sum().backward()
    for name in family_of(loaded).text_encoders:
        assert getattr(loaded, name).get_input_embeddings().weight.grad.any(), name


def test_the_empty_text_of_an_xl_is_what_its_pipeline_leads_away_from(xl_dir, tmp_path):
    pipeline = load_pipeline(xl_dir, device="cpu", dtype=torch.float32)
    assert not embed_texts(pipeline, [""]).any()
    shutil.copytree(xl_dir, tmp_path / "xl")
    index = json.loads((xl_dir / "model_index.json").read_text())
    (tmp_path / "xl/model_index.json").write_text(json.dumps(index | {"force_zeros_for_empty_prompt": False}))
    other = load_pipeline(tmp_path / "xl", device="cpu", dtype=torch.float32)
    _, hidden, _, summary = other.encode_prompt(PROMPTS[0], device="cpu", negative_prompt="")
    (packed,) = embed_texts(other, [""])
    assert torch.equal(packed[:-1], hidden[0]) and torch.equal(packed[-1, :40], summary[0])
    assert torch.equal(encode_tokens(other, tokenize_texts(other, [""]))[0], packed)


def test_both_tokenizers_of_an_xl_read_a_text_each_with_its_own_padding(xl_dir):
    pipeline = load_pipeline(xl_dir, device="cpu", dtype=torch.float32)
    first, second = tokenize_texts(pipeline, PROMPTS).chunk(2, dim=1)
    assert first.shape == second.shape == (2, pipeline.tokenizer.model_max_length)
    assert set(first[:, -1].tolist()) == {pipeline.tokenizer.pad_token_id}
    assert set(second[:, -1].tolist()) == {pipeline.tokenizer_2.pad_token_id}
    assert pipeline.tokenizer.pad_token_id != pipeline.tokenizer_2.pad_token_id


def test_a_gallery_draws_what_a_plain_call_draws(loaded):
    settings = {"num_inference_steps": 3, "guidance_scale": 4.0, "width": 64, "height": 64}
    pictures = [
        Picture(f"prompt-{at}", "control", None, text, None, None, "base", 0, seed=at)
        for at, text in enumerate(PROMPTS)
    ]
    drawn = _denoise(loaded, pictures, lambda text: _embed(loaded, text, ""), settings)
    for picture, image in zip(pictures, drawn, strict=True):
        generator = torch.Generator().manual_seed(picture.seed)
        plain = loaded(picture.text, generator=generator, **settings).images[0]
        assert np.abs(np.asarray(image, dtype=int) - np.asarray(plain, dtype=int)).max() <= 1


def test_a_guide_leads_from_the_empty_text_towards_a_prompt(loaded):
    guide = DiffusionGuide(loaded)
    generator = torch.Generator().manual_seed(0)
    latents, noise = (torch.randn(2, 4, 8, 8, generator=generator) for _ in range(2))
    steps, texts = torch.tensor([300, 700]), guide.embed(PROMPTS)
    found = ScoreDistillation(2.0)(guide, latents, steps, noise, [ViewText(text) for text in texts])
    alpha_bar = guide.alpha_bars[steps].view(-1, 1, 1, 1)
    x_t = alpha_bar.sqrt() * latents + (1 - alpha_bar).sqrt() * noise
    with torch.no_grad():
        both = [
            guide.family.predict(loaded.unet, x_t, steps, text) for text in (texts, guide.embed(["", ""]))
        ]
    said, unsaid = (alpha_bar.sqrt() * v + (1 - alpha_bar).sqrt() * x_t for v in both)
    torch.testing.assert_close(found, unsaid + 2 * (said - unsaid) - noise, rtol=1e-4, atol=1e-4)
    picture = guide.to_latents(torch.rand(1, 3, 64, 64, generator=generator))
    assert picture.shape == (1, 4, 8, 8) and picture.isfinite().all()
    assert guide.paint(PROMPTS[0], [0], guidance_scale=2.0, steps=2)[0].shape == (64, 64, 3)


def test_a_guide_in_half_precision_encodes_in_single_where_that_overflows_and_paints_in_its_own(loaded):
    is_fragile = type(loaded).__name__ == "StableDiffusionXLPipeline"
    guide = DiffusionGuide(loaded.to(dtype=torch.float16))
    assert guide.to_latents(torch.rand(1, 3, 64, 64)).dtype == torch.float32
    assert loaded.vae.dtype == (torch.float32 if is_fragile else torch.float16)
    assert guide.paint(PROMPTS[0], [0], guidance_scale=2.0, steps=2)[0].shape == (64, 64, 3)


def test_a_refiner_is_refused(xl_dir, tmp_path):
    shutil.copytree(xl_dir, tmp_path / "refiner", ignore=shutil.ignore_patterns("text_encoder", "tokenizer"))
    index = json.loads((xl_dir / "model_index.json").read_text())
    index |= {"text_encoder": [None, None], "tokenizer": [None, None]}
    (tmp_path / "refiner/model_index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="no first text encoder, so it is a refiner.*Choose the base model"):
        load_pipeline(tmp_path / "refiner", device="cpu", dtype=torch.float32)


WORDS = """
import sys
import numpy as np
import torch
from diffusers import StableDiffusionXLPipeline
from safetensors.torch import load_file

base, pruned, out = sys.argv[1:]

def draw(pipeline, prompt):
    pipeline.set_progress_bar_config(disable=True)
    settings = {"num_inference_steps": 5, "guidance_scale": 2.0, "output_type": "np"}
    return pipeline(prompt, generator=torch.Generator().manual_seed(0), **settings).images[0]

def load(folder):
    return StableDiffusionXLPipeline.from_pretrained(folder, dtype=torch.float32)

grown, plain, taught = load(pruned + "/pipeline"), load(base), load(base)
vectors = load_file(pruned + "/embeddings/a1111/golden-bonnet.safetensors")
for part, number in (("clip_l", ""), ("clip_g", "_2")):
    reader = {name: getattr(taught, name + number) for name in ("text_encoder", "tokenizer")}
    taught.load_textual_inversion(vectors[part].float(), token="golden-bonnet", **reader)
pictures = {"pruned": draw(grown, "a photo of a golden bonnet"), "a1111": draw(taught, "a photo of a golden-bonnet")}
pictures |= {"base": draw(plain, "a photo of a golden bonnet")}
pictures |= {"control": draw(grown, "a cup"), "base control": draw(plain, "a cup")}
np.savez(out, **pictures)
"""


def test_words_of_an_xl_are_words_of_both_text_encoders(xl_dir, dataset_dir, prompts_dir, tmp_path):
    settings = SETTINGS | {"method": "textual_inversion"}
    tune(dataset_dir, prompts_dir, tmp_path / "tuned", base_model=str(xl_dir), **settings)
    assert check_weights_changed(tmp_path / "tuned", base_model=str(xl_dir)).passed
    learnt, initial = (read_tensors(tmp_path / "tuned" / name) for name in (EMBEDDINGS_FILE, INITIAL_FILE))
    for name, vectors in learnt.items():
        assert vectors.shape == (2, 32 + 40) and (vectors != initial[name]).all()
    strong = {name: vectors + torch.randn(vectors.shape) for name, vectors in learnt.items()}
    write_tensors(tmp_path / "tuned" / EMBEDDINGS_FILE, strong)
    prune(tmp_path / "tuned", tmp_path / "pruned", xl_dir)
    assert check_pruned_loads(tmp_path / "pruned").passed
    assert not (tmp_path / "pruned/embeddings/diffusers").exists()
    run_plainly(WORDS, xl_dir, tmp_path / "pruned", tmp_path / "pictures.npz")
    pictures = np.load(tmp_path / "pictures.npz")
    assert differ(pictures["pruned"], pictures["base"]) > 20 * TOLERANCE
    assert differ(pictures["pruned"], pictures["a1111"]) < TOLERANCE
    assert differ(pictures["control"], pictures["base control"]) < TOLERANCE


def stop(step, _figures):
    if step == 3:
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"method": "lora"}, id="lora"),
        pytest.param({"method": "lora", "trains_text_encoder": True, "has_dora": True}, id="dora of texts"),
        pytest.param({"method": "full"}, id="full"),
    ],
)
def test_an_xl_is_tuned_and_pruned(changed, xl_dir, dataset_dir, prompts_dir, tmp_path):
    """The rehearsal begins at no loss; a run that was stopped ends bit-equal to an unbroken one."""
    run = {"base_model": str(xl_dir), **SETTINGS, **changed}
    tune(dataset_dir, prompts_dir, tmp_path / "whole", **run)
    if "has_dora" in changed:
        with pytest.raises(KeyboardInterrupt):
            tune(dataset_dir, prompts_dir, tmp_path / "broken", **run, on_step=stop)
        tune(dataset_dir, prompts_dir, tmp_path / "broken", **run)
        assert hash_files(tmp_path / "broken") == hash_files(tmp_path / "whole")
    assert read_table(tmp_path / "whole/loss.parquet")[0]["rehearsal_loss"] < 1e-9
    assert check_loss_moves(tmp_path / "whole").passed or changed["method"] == "lora"
    assert check_weights_changed(tmp_path / "whole", base_model=str(xl_dir)).passed
    prune(tmp_path / "whole", tmp_path / "pruned", xl_dir, strength=0.5)
    assert check_pruned_loads(tmp_path / "pruned").passed
    assert check_pruned_from_tuned(tmp_path / "pruned", tmp_path / "whole").passed


def test_a_lora_of_an_xl_draws_the_same_by_every_format(xl_dir, tmp_path):
    settings = {"trains_text_encoder": True, "lora_targets": "all", "lora_alpha": 8.0}
    tuned = write_tuned(xl_dir, tmp_path / "tuned", method="lora", **settings)
    prune(tuned, tmp_path / "pruned", xl_dir)
    pictures = draw_plainly(xl_dir, tmp_path / "pruned", tmp_path)
    assert_formats_agree(pictures)
    for name in (KOHYA_FILE, SINGLE_FILE):
        architecture = read_header(tmp_path / "pruned" / name)["modelspec.architecture"]
        assert architecture.removesuffix("/lora") == "stable-diffusion-xl-v1-base"
    assert read_header(tmp_path / "pruned" / KOHYA_FILE)["ss_base_model_version"] == "sdxl_base_v1-0"
    lora, kohya = (read_tensors(tmp_path / "pruned" / name) for name in (LORA_FILE, KOHYA_FILE))
    assert len(kohya) * 2 == len(lora) * 3
    layers = {name.split(".")[0] for name in kohya}
    assert {layer for layer in layers if layer.startswith("lora_te")} == {
        f"lora_te{number}_text_model_encoder_layers_{at}_{kind}"
        for number, depth in ((1, 2), (2, 3))
        for at in range(depth)
        for kind in ("mlp_fc1", "mlp_fc2", *(f"self_attn_{one}_proj" for one in ("q", "k", "v", "out")))
    }
    assert not [layer for layer in layers if "down_blocks" in layer or "resnets" in layer]
    assert {
        "lora_unet_input_blocks_1_0_in_layers_2",
        "lora_unet_input_blocks_3_0_op",
        "lora_unet_input_blocks_4_0_skip_connection",
        "lora_unet_input_blocks_4_1_proj_in",
        "lora_unet_input_blocks_8_1_transformer_blocks_2_attn2_to_out_0",
        "lora_unet_middle_block_1_transformer_blocks_0_ff_net_0_proj",
        "lora_unet_middle_block_2_out_layers_3",
        "lora_unet_output_blocks_2_2_conv",
        "lora_unet_output_blocks_8_0_emb_layers_1",
    } <= layers


def test_a_lora_of_the_published_xl_has_722_layers_as_sd_scripts_counts_them(xl_dir):
    """With the published depths, at small widths; each has a name of its own in the original code's numbering."""
    config = dict(UNet2DConditionModel.load_config(xl_dir / "unet")) | {
        "transformer_layers_per_block": [1, 2, 10]
    }
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config(config)
    layers = {
        f"{place}.{name}"
        for place, block in unet.named_modules()
        if type(block).__name__ == "Transformer2DModel"
        for name, layer in block.named_modules()
        if isinstance(layer, torch.nn.Linear)
    }
    names = name_unet(unet.state_dict())
    named = {name_layer(f"unet.{layer}", names) for layer in layers}
    assert len(layers) == len(named) == 722
    assert {name.split("_")[2] for name in named} == {"input", "middle", "output"}


PUBLISHED = {
    "model.diffusion_model.label_emb.0.0.weight": (64, 88),
    "model.diffusion_model.label_emb.0.2.weight": (64, 64),
    "model.diffusion_model.input_blocks.3.0.op.weight": (16, 16, 3, 3),
    "model.diffusion_model.input_blocks.4.0.skip_connection.weight": (32, 16, 1, 1),
    "model.diffusion_model.input_blocks.8.1.transformer_blocks.2.attn2.to_k.weight": (64, 72),
    "model.diffusion_model.middle_block.1.proj_in.weight": (64, 64),
    "model.diffusion_model.output_blocks.2.2.conv.weight": (64, 64, 3, 3),
    "model.diffusion_model.output_blocks.5.2.conv.weight": (32, 32, 3, 3),
    "model.diffusion_model.output_blocks.8.0.skip_connection.weight": (16, 32, 1, 1),
    "conditioner.embedders.0.transformer.text_model.embeddings.position_embedding.weight": (32, 32),
    "conditioner.embedders.0.transformer.text_model.encoder.layers.1.self_attn.q_proj.weight": (32, 32),
    "conditioner.embedders.1.model.positional_embedding": (32, 40),
    "conditioner.embedders.1.model.transformer.resblocks.2.attn.in_proj_weight": (120, 40),
    "conditioner.embedders.1.model.transformer.resblocks.2.mlp.c_fc.weight": (80, 40),
    "conditioner.embedders.1.model.ln_final.weight": (40,),
    "conditioner.embedders.1.model.text_projection": (40, 40),
}
"""Names of the published checkpoint's tensors, at the widths of the small model."""


def test_the_single_file_of_an_xl_has_the_published_names(xl_dir):
    pipeline = load_pipeline(xl_dir, device="cpu", dtype=torch.float32)
    assert find_unnamed(pipeline) == []
    whole = to_original(pipeline)
    assert {name: tuple(whole[name].shape) for name in PUBLISHED if name in whole} == PUBLISHED
    projection = pipeline.text_encoder_2.text_projection.weight
    assert torch.equal(whole["conditioner.embedders.1.model.text_projection"], projection.T)


def test_a_single_file_of_an_xl_becomes_a_base_model_again(xl_dir, tmp_path):
    pipeline = load_pipeline(xl_dir, device="cpu", dtype=torch.float32)
    write_tensors(tmp_path / "xl.safetensors", to_original(pipeline))
    convert_checkpoint(tmp_path / "xl.safetensors", tmp_path / "xl", weights="plain", like=str(xl_dir))
    read = load_pipeline(tmp_path / "xl", device="cpu", dtype=torch.float32)
    for part, model in parts_of(pipeline).items():
        found = getattr(read, part).state_dict()
        for name, values in model.state_dict().items():
            assert torch.equal(found[name], values.half().float()), f"{part}.{name}"
