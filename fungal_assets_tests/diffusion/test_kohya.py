"""kohya's names: every one is what the tree of modules says, by hand and for each block of Stable Diffusion."""

import torch

from fungal_assets.diffusion.encoding import read_tensors
from fungal_assets.diffusion.kohya import to_kohya
from fungal_assets.diffusion.lora import UNET_LAYERS
from fungal_assets_tests.diffusion.conftest import stable_diffusion

RANK = 4
ATTENDING = [f"down_blocks_{level}_attentions_{index}" for level in (0, 1, 2) for index in (0, 1)]
ATTENDING += ["mid_block_attentions_0"]
ATTENDING += [f"up_blocks_{level}_attentions_{index}" for level in (1, 2, 3) for index in (0, 1, 2)]
WIDTHS = {"down_blocks_0": 16, "down_blocks_1": 32, "down_blocks_2": 64, "mid_block": 64}
WIDTHS |= {"up_blocks_1": 64, "up_blocks_2": 32, "up_blocks_3": 16}
TEXT_WIDTH = 32


def expected_shapes(*, is_linear):
    """Names and shapes as sd-scripts makes them for SD 1.x and 2.x: one entry per layer of every transformer."""
    shapes = {}
    for place in ATTENDING:
        width = next(width for block, width in WIDTHS.items() if place.startswith(block))
        inside = f"lora_unet_{place}_transformer_blocks_0"
        layers = {
            f"{inside}_attn{kind}_to_{part}": (width, width) for kind in (1, 2) for part in ("q", "out_0")
        }
        layers |= {f"{inside}_attn1_to_{part}": (width, width) for part in "kv"}
        layers |= {f"{inside}_attn2_to_{part}": (width, TEXT_WIDTH) for part in "kv"}
        layers |= {f"{inside}_ff_net_0_proj": (8 * width, width), f"{inside}_ff_net_2": (width, 4 * width)}
        for layer, (rows, columns) in layers.items():
            shapes |= shapes_of(layer, rows, columns, ())
        for end in ("proj_in", "proj_out"):
            shapes |= shapes_of(f"lora_unet_{place}_{end}", width, width, () if is_linear else (1, 1))
    return shapes


def shapes_of(layer, rows, columns, kernel):
    down, up = (RANK, columns, *kernel), (rows, RANK, *kernel)
    return {f"{layer}.lora_down.weight": down, f"{layer}.lora_up.weight": up, f"{layer}.alpha": ()}


def lora_of(model, targets, folder, **layers):
    """A LoRA as diffusers writes it, read back."""
    from diffusers import StableDiffusionPipeline
    from peft import LoraConfig
    from peft.utils import get_peft_model_state_dict

    model.add_adapter(LoraConfig(r=RANK, lora_alpha=RANK, target_modules=list(targets)))
    for part in layers:
        layers[part] = get_peft_model_state_dict(model)
    StableDiffusionPipeline.save_lora_weights(folder, **layers)
    return read_tensors(folder / "pytorch_lora_weights.safetensors")


def test_every_name_and_shape_of_a_lora_of_stable_diffusion_is_that_of_sd_scripts(tmp_path):
    for version, is_linear in ((1, False), (2, True)):
        unet = stable_diffusion(version).unet
        lora = lora_of(unet, UNET_LAYERS["transformer"], tmp_path / str(version), unet_lora_layers=None)
        found = {name: tuple(values.shape) for name, values in to_kohya(lora, alpha=RANK).items()}
        expected = expected_shapes(is_linear=is_linear)
        assert found == expected
        assert len(found) == 16 * 12 * 3


def test_a_lora_of_the_text_encoder_has_the_prefix_that_transformers_leaves_out(tmp_path):
    encoder = stable_diffusion(1).text_encoder
    lora = lora_of(encoder, ["q_proj", "fc1"], tmp_path, text_encoder_lora_layers=None)
    shapes = {}
    for layer in (0, 1):
        inside = f"lora_te_text_model_encoder_layers_{layer}"
        shapes |= shapes_of(f"{inside}_self_attn_q_proj", 32, 32, ()) | shapes_of(
            f"{inside}_mlp_fc1", 64, 32, ()
        )
    assert {name: tuple(values.shape) for name, values in to_kohya(lora, alpha=RANK).items()} == shapes
    with_prefix = {
        name.replace("text_encoder.", "text_encoder.text_model.", 1): v for name, v in lora.items()
    }
    kept = with_prefix if not any("text_model" in name for name in lora) else lora
    assert to_kohya(kept, alpha=RANK).keys() == shapes.keys()


def test_alpha_is_what_was_given_in_the_tensors_own_precision():
    lora = {"unet.mid_block.a.lora_A.weight": torch.ones(4, 8).half()}
    renamed = to_kohya(lora, alpha=2.0)
    assert (
        renamed["lora_unet_mid_block_a.alpha"] == 2
        and renamed["lora_unet_mid_block_a.alpha"].dtype == torch.float16
    )
    assert torch.equal(renamed["lora_unet_mid_block_a.lora_down.weight"], torch.ones(4, 8).half())
