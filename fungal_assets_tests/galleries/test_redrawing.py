import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from PIL import Image

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.galleries.batches import read_parameters
from fungal_assets.galleries.reading import read_gallery
from fungal_assets.galleries.redrawing import AGAIN, COARSE, at_once, first_at, keep_coarse, tiled
from fungal_assets_tests.galleries.conftest import SIDE_PX

FEW = {"images_per_prompt": 1, "controls": 1}
CELLS = SIDE_PX // 8


@pytest.fixture(scope="module")
def unet(pruned_dir) -> UNet2DConditionModel:
    return load_pipeline(pruned_dir / "pipeline", device="cpu", dtype=torch.float32).unet


def ask(unet, *sides):
    """A UNet's answer to noise of these sides in cells, and the noise."""
    generator = torch.Generator().manual_seed(0)
    x_t = torch.randn(2, unet.config.in_channels, *sides, generator=generator)
    text = torch.randn(2, 7, unet.config.cross_attention_dim, generator=generator)
    with torch.inference_mode():
        return unet(x_t, 500, encoder_hidden_states=text, return_dict=False)[0], x_t


def opened(gallery):
    rows = read_gallery(gallery)
    return {row["path"]: Image.open(gallery / row["path"]).convert("RGB") for row in rows}


def test_one_tile_is_the_answer_itself_and_afterwards_the_unet_is_as_before(unet):
    plain, _ = ask(unet, CELLS, CELLS)
    with tiled(unet):
        torch.testing.assert_close(ask(unet, CELLS, CELLS)[0], plain)
        larger, _ = ask(unet, 2 * CELLS, 2 * CELLS)
    whole, _ = ask(unet, 2 * CELLS, 2 * CELLS)
    assert "forward" not in vars(unet)
    assert larger.shape == whole.shape and not torch.allclose(larger, whole, atol=1e-2)


def test_every_tile_is_of_the_native_size_and_a_corner_hears_its_own_tile_alone(unet):
    seen = []
    hook = unet.conv_in.register_forward_pre_hook(lambda _, given: seen.append(tuple(given[0].shape[-2:])))
    try:
        with tiled(unet):
            answer, x_t = ask(unet, 2 * CELLS + 3, 2 * CELLS)
    finally:
        hook.remove()
    assert seen == [(CELLS, CELLS)] * (4 * 3), "at 0, 4, 8 and 11, and at 0, 4 and 8"
    assert answer.shape == x_t.shape and answer.isfinite().all()
    half = CELLS // 2
    text = torch.randn(2, 7, unet.config.cross_attention_dim, generator=_after(x_t))
    with torch.inference_mode():
        own = unet(x_t[..., :CELLS, :CELLS], 500, encoder_hidden_states=text, return_dict=False)[0]
    torch.testing.assert_close(answer[..., :half, :half], own[..., :half, :half])


def _after(x_t):
    """The generator of `ask` when it has drawn the noise."""
    generator = torch.Generator().manual_seed(0)
    torch.randn(x_t.shape, generator=generator)
    return generator


def test_a_smaller_gallery_is_the_native_one_reduced(sample, sampled, tmp_path):
    sample(tmp_path, size_px=SIDE_PX // 2, **FEW)
    native = opened(sampled)
    for path, image in opened(tmp_path).items():
        reduced = native[path].resize((SIDE_PX // 2,) * 2, Image.Resampling.LANCZOS)
        assert np.array_equal(np.asarray(image), np.asarray(reduced))
    assert read_parameters(tmp_path / path)["first_px"] == SIDE_PX


def test_a_larger_gallery_is_redrawn_from_the_native_one_and_a_partitions_own_is_drawn_plain(
    sample, sampled, tmp_path
):
    sample(tmp_path / "native", size_px=2 * SIDE_PX, sizes=[SIDE_PX], **FEW)
    sample(tmp_path / "partition", size_px=2 * SIDE_PX, works_at="partition", **FEW)
    redrawn, plain, native = (opened(path) for path in (tmp_path / "native", tmp_path / "partition", sampled))
    assert redrawn.keys() == plain.keys() and {image.size for image in redrawn.values()} == {
        (2 * SIDE_PX,) * 2
    }
    for path, image in redrawn.items():
        enlarged = native[path].resize(image.size, Image.Resampling.LANCZOS)
        assert np.asarray(image).std() > 1 and not np.array_equal(np.asarray(image), np.asarray(enlarged))
        assert not np.array_equal(np.asarray(image), np.asarray(plain[path]))
        told = read_parameters(tmp_path / "native" / path)
        assert (told["width"], told["first_px"], told["again"]) == (2 * SIDE_PX, SIDE_PX, AGAIN)
        assert not {"first_px", "again"} & read_parameters(tmp_path / "partition" / path).keys()
    for path in (tmp_path / "native" / "sizes").rglob("plain-*.png"):
        assert not {"first_px", "again"} & read_parameters(path).keys(), (
            "drawn at the native size, nothing else"
        )


def test_settings_at_the_native_size_are_as_they_were():
    settings = {"width": 128, "height": 128, "seed": 1}
    assert first_at(settings, 128) == settings
    assert first_at(settings, 256) == settings | {"first_px": 256}
    assert first_at(settings, 64) == settings | {"first_px": 64, "again": AGAIN, "coarse": COARSE}
    assert at_once(first_at(settings, 64)) == settings


def test_what_is_coarse_stays_and_what_is_fine_comes_from_the_redrawn_picture():
    rng = np.random.default_rng(0)
    ramp = np.linspace(60, 190, 64)[None, :, None] * np.ones((64, 64, 3))
    grain = rng.normal(0, 12, (64, 64, 3))
    first, redrawn = (Image.fromarray(one.round().astype(np.uint8)) for one in (ramp, ramp[:, ::-1] + grain))
    found = np.asarray(keep_coarse(first, redrawn, 4.0), float)[12:-12, 12:-12]
    assert np.abs(found.mean(axis=0) - ramp[0, 12:-12]).max() < 12, "the ramp is the first one's"
    assert np.corrcoef((found - ramp[12:-12, 12:-12]).ravel(), grain[12:-12, 12:-12].ravel())[0, 1] > 0.95
    same = np.asarray(keep_coarse(first, first, 4.0), float)
    assert np.array_equal(same, np.asarray(first, float))
