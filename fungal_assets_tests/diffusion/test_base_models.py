import json

import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel

from fungal_assets.diffusion import devices
from fungal_assets.diffusion.base_models import load_pipeline, resolve_base_model, working_px
from fungal_assets.diffusion.cards import PACKAGE_DIR, cards_of, find_card, licences_of, read_cards
from fungal_assets.diffusion.devices import deterministic, mixed_precision, pick_device
from fungal_assets.errors import InputError
from fungal_assets.forms.guidance import load_guide
from fungal_assets.galleries.batches import load_sampler
from fungal_assets.pocket import JUDGE_DIR, MODEL_DIR
from fungal_assets.store import hash_folder
from fungal_assets_tests.diffusion.conftest import SETTINGS, rehearse, tune, write_prompts


def test_a_local_folder_is_known_by_its_name_and_the_hash_of_its_files(base_dir):
    base = resolve_base_model(str(base_dir))
    assert (base.id, base.path, base.revision) == ("tiny", base_dir, None)
    assert base.sha256 == hash_folder(base_dir)
    assert base.as_json() == {"id": "tiny", "sha256": base.sha256}


def test_a_pipeline_loads_with_the_weights_that_were_saved(base_dir, pipeline):
    loaded = load_pipeline(base_dir, device="cpu", dtype=torch.float32)
    assert loaded.safety_checker is None
    for name, values in pipeline.unet.state_dict().items():
        assert torch.equal(loaded.unet.state_dict()[name], values)
    assert load_pipeline(str(base_dir), device="cpu", dtype=torch.float16).unet.dtype == torch.float16


def test_a_model_works_at_the_size_that_it_was_made_for_or_at_the_partitions(base_dir, tmp_path):
    assert working_px(MODEL_DIR, "native", 256) == 128 and working_px(base_dir, "native", 256) == 64
    assert working_px(MODEL_DIR, "partition", 256) == 256
    with pytest.raises(InputError, match="works_at is 'own'; one of"):
        working_px(MODEL_DIR, "own", 256)
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "StableDiffusionPipeline"}))
    (tmp_path / "unet").mkdir()
    (tmp_path / "unet" / "config.json").write_text("{}")
    with pytest.raises(InputError, match=r"sample_size of its unet is None.*Set works_at to 'partition'"):
        working_px(tmp_path, "native", 256)


@pytest.mark.parametrize("name", ["nowhere", "./a/b", "/no/such", "a/b/c"])
def test_what_is_neither_folder_nor_card_nor_hub_id_is_refused(name):
    with pytest.raises(InputError, match="not a folder, not a card and not a hub id"):
        resolve_base_model(name)


def test_a_folder_without_a_pipeline_is_refused(tmp_path):
    with pytest.raises(InputError, match="no model_index.json"):
        resolve_base_model(str(tmp_path))


def test_a_pipeline_of_another_family_is_refused(tmp_path):
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": "FluxPipeline"}))
    with pytest.raises(InputError, match="holds a 'FluxPipeline'; .*'StableDiffusionPipeline'.*XL"):
        load_pipeline(tmp_path, device="cpu", dtype=torch.float32)


def test_pickled_weights_are_not_opened(pipeline, tmp_path):
    pipeline.save_pretrained(tmp_path)
    weights = tmp_path / "unet" / "diffusion_pytorch_model.safetensors"
    weights.unlink()
    torch.save(pipeline.unet.state_dict(), weights.with_suffix(".bin"))
    with pytest.raises(InputError, match="pickled weights"):
        load_pipeline(tmp_path, device="cpu", dtype=torch.float32)


def test_the_cards_name_the_model_in_the_package_and_those_of_the_hub():
    cards = read_cards()
    bases = ["pocket", "stable-diffusion-1.5", "stable-diffusion-xl"]
    others = ["pocket-judge", "pocket-lifter", "vgg16-fc2", "dinov2-small", "clip-vit-base-patch32"]
    assert list(cards) == [*bases, *others, "blip-image-captioning-large"]
    assert [card.name for card in cards_of("base")] == bases
    assert PACKAGE_DIR / cards["pocket"].path == MODEL_DIR
    assert PACKAGE_DIR / cards["pocket-judge"].path == JUDGE_DIR / "clip"
    assert find_card("pocket-judge") is None, "nothing is tuned from a judge"
    assert find_card("dinov2-small") is None and find_card("dinov2-small", role="extractor")
    assert find_card("stable-diffusion-v1-5/stable-diffusion-v1-5") == cards["stable-diffusion-1.5"]
    assert licences_of("stable-diffusion-1.5") == ["creativeml-openrail-m"]
    assert find_card("/some/folder") is None and licences_of("/some/folder") == []


def test_deterministic_algorithms_are_on_inside_and_as_before_outside():
    assert not torch.are_deterministic_algorithms_enabled()
    with deterministic(torch.device("cpu")):
        assert torch.are_deterministic_algorithms_enabled()
    assert not torch.are_deterministic_algorithms_enabled()


@pytest.mark.parametrize(("has_units", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_computes_in_bfloat16_where_it_has_units_for_it_and_is_asked(has_units, dtype, monkeypatch):
    monkeypatch.setattr(devices, "has_bfloat16_units", lambda: has_units)
    ones = torch.ones(2, 2)
    with mixed_precision(torch.device("cpu"), on_cpu=True):
        assert (ones @ ones).dtype == dtype
    with mixed_precision(torch.device("cpu")):
        assert (ones @ ones).dtype == torch.float32


def test_a_device_is_found():
    assert pick_device().type in ("cuda", "mps", "cpu")
    assert devices.has_bfloat16_units() in (True, False)


@pytest.mark.parametrize(("units", "is_last"), [("AVX2", True), ("AVX512", False)])
def test_weights_lie_channels_last_where_avx2_is_the_widest_and_give_the_same_picture(
    base_dir, monkeypatch, units, is_last
):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: units)
    loaded = load_pipeline(base_dir, device="cpu", dtype=torch.float32)
    before = paint(loaded)
    devices.suit_memory(loaded)
    kernels = [each for part in (loaded.unet, loaded.vae) for each in part.parameters() if each.ndim == 4]
    wide = [kernel for kernel in kernels if min(kernel.shape[1:3]) > 1]
    assert wide and all(kernel.is_contiguous(memory_format=torch.channels_last) == is_last for kernel in wide)
    np.testing.assert_allclose(paint(loaded), before, atol=2 / 255)


def test_forms_are_grown_as_the_processor_has_it_and_galleries_drawn_as_diffusers_does(base_dir, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    drawing, growing = load_sampler(base_dir, "DDIMScheduler"), load_guide(base_dir).pipeline
    for pipeline, is_last in ((drawing, False), (growing, True)):
        for kernel in (
            pipeline.unet.down_blocks[0].resnets[0].conv1.weight,
            pipeline.vae.decoder.conv_in.weight,
        ):
            assert kernel.is_contiguous(memory_format=torch.channels_last) == is_last
            assert kernel.is_contiguous() != is_last


def test_what_is_rehearsed_and_what_learns_lies_as_the_processor_has_it(
    base_dir, dataset_dir, tmp_path, monkeypatch
):
    """Looked at where the noise is predicted."""
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    prompts, count = write_prompts(tmp_path / "prompts"), SETTINGS["rehearsal_prompts"]
    layouts, forward = [], UNet2DConditionModel.forward

    def look(unet, *args, **kwargs):
        layouts.append(unet.down_blocks[0].resnets[0].conv1.weight.is_contiguous())
        return forward(unet, *args, **kwargs)

    monkeypatch.setattr(UNet2DConditionModel, "forward", look)
    rehearse(prompts, str(base_dir), count)
    assert layouts and not any(layouts)
    layouts.clear()
    tune(dataset_dir, prompts, tmp_path / "out", base_model=str(base_dir), **SETTINGS | {"max_steps": 1})
    assert layouts and not any(layouts)


def paint(pipeline):
    """A picture after two steps: float32, shape (1, 64, 64, 3)."""
    painted = pipeline(
        "a mushroom", num_inference_steps=2, generator=torch.Generator().manual_seed(0), output_type="np"
    )
    return painted.images
