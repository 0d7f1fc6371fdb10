"""The original layout: diffusers' own reader takes every tensor back, and published names are there."""

import re

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint, convert_ldm_vae_checkpoint

from fungal_assets.diffusion.original_layout import find_unnamed, is_open_clip, to_original
from fungal_assets.errors import InputError
from fungal_assets_tests.diffusion.conftest import stable_diffusion

PUBLISHED = {
    1: {
        "model.diffusion_model.time_embed.0.weight": (64, 16),
        "model.diffusion_model.input_blocks.3.0.op.weight": (16, 16, 3, 3),
        "model.diffusion_model.input_blocks.4.0.skip_connection.weight": (32, 16, 1, 1),
        "model.diffusion_model.input_blocks.8.1.proj_in.weight": (64, 64, 1, 1),
        "model.diffusion_model.middle_block.1.transformer_blocks.0.attn2.to_k.weight": (64, 32),
        "model.diffusion_model.output_blocks.2.1.conv.weight": (64, 64, 3, 3),
        "model.diffusion_model.output_blocks.5.2.conv.weight": (64, 64, 3, 3),
        "model.diffusion_model.output_blocks.11.0.skip_connection.weight": (16, 32, 1, 1),
        "model.diffusion_model.out.2.weight": (4, 16, 3, 3),
        "first_stage_model.encoder.down.1.block.0.nin_shortcut.weight": (8, 4, 1, 1),
        "first_stage_model.encoder.down.0.downsample.conv.weight": (4, 4, 3, 3),
        "first_stage_model.decoder.up.3.upsample.conv.weight": (16, 16, 3, 3),
        "first_stage_model.decoder.up.0.block.0.conv1.weight": (4, 8, 3, 3),
        "first_stage_model.decoder.mid.attn_1.q.weight": (16, 16, 1, 1),
        "first_stage_model.decoder.mid.attn_1.proj_out.weight": (16, 16, 1, 1),
        "first_stage_model.post_quant_conv.weight": (4, 4, 1, 1),
        "cond_stage_model.transformer.text_model.embeddings.position_embedding.weight": (32, 32),
        "cond_stage_model.transformer.text_model.encoder.layers.1.self_attn.q_proj.weight": (32, 32),
        "cond_stage_model.transformer.text_model.final_layer_norm.bias": (32,),
    },
    2: {
        "model.diffusion_model.input_blocks.8.1.proj_in.weight": (64, 64),
        "cond_stage_model.model.positional_embedding": (32, 32),
        "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_weight": (96, 32),
        "cond_stage_model.model.transformer.resblocks.1.attn.in_proj_bias": (96,),
        "cond_stage_model.model.transformer.resblocks.1.attn.out_proj.weight": (32, 32),
        "cond_stage_model.model.transformer.resblocks.0.mlp.c_fc.weight": (64, 32),
        "cond_stage_model.model.ln_final.weight": (32,),
    },
}
"""Names of the published checkpoints' tensors, at the widths of the small models."""


@pytest.fixture(scope="module", params=[1, 2], ids=["sd1.5", "sd2.1"])
def version(request):
    return request.param


@pytest.fixture(scope="module")
def small(version):
    return stable_diffusion(version)


def test_the_names_and_shapes_are_those_of_the_published_checkpoints(small, version):
    whole = to_original(small)
    found = {name: tuple(whole[name].shape) for name in PUBLISHED[version] if name in whole}
    assert found == PUBLISHED[version]
    assert is_open_clip(small.text_encoder) == (version == 2)


def test_there_are_as_many_tensors_as_in_the_published_checkpoints(small):
    """686 of the UNet and 248 of the autoencoder, whatever their widths; none is left out or written twice."""
    counts = {"model.diffusion_model": 0, "first_stage_model": 0}
    for name in to_original(small):
        for part in counts:
            counts[part] += name.startswith(part + ".")
    assert counts == {"model.diffusion_model": 686, "first_stage_model": 248}


def test_diffusers_reads_every_tensor_of_unet_and_autoencoder_back(small):
    whole = to_original(small)
    for part, convert in ((small.unet, convert_ldm_unet_checkpoint), (small.vae, convert_ldm_vae_checkpoint)):
        read, expected = convert(dict(whole), config=dict(part.config)), part.state_dict()
        assert read.keys() == expected.keys()
        assert all(torch.equal(read[name], values) for name, values in expected.items())


def test_no_text_tensor_lacks_its_prefix(small, version):
    """transformers 5 leaves `text_model.` out in memory; a file without it is read as one without a text encoder."""
    names = [name for name in to_original(small) if name.startswith("cond_stage_model.")]
    pattern = r"cond_stage_model\.(transformer\.text_model|model)\.(?!text_model)"
    assert names and all(re.match(pattern, name) for name in names)
    assert {name.split(".")[1] for name in names} == {"transformer" if version == 1 else "model"}


def test_the_pocket_model_has_a_part_without_a_name(pipeline):
    assert find_unnamed(pipeline) == ["unet.add_embedding"]
    with pytest.raises(InputError, match="has no name for unet.add_embedding.*Use its diffusers folder"):
        to_original(pipeline)
