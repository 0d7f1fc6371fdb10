"""The resolution atlas: its measures against what is known of them, its walk against plain diffusers, its whole."""

import contextlib
import json
import math
import shutil

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler
from PIL import Image

from fungal_assets.diffusion.encoding import embed_texts
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.galleries.atlas import FLOOR
from fungal_assets.galleries.atlas.building import ALIGNMENTS, ENTROPIES, draw_atlas
from fungal_assets.galleries.atlas.checks import check_weights, check_whole
from fungal_assets.galleries.atlas.findings import Atlas, tell_findings
from fungal_assets.galleries.atlas.measures import (
    alignment,
    entropy_share,
    nested_noise,
    pool_rows,
    radial_spectrum,
    shared_places,
)
from fungal_assets.galleries.atlas.probes import block_names, listening, wrapped_borders
from fungal_assets.galleries.atlas.walking import find_places, walk
from fungal_assets.pocket.architecture import build_pipeline
from fungal_assets.shards import read_table, write_table
from fungal_assets.store import hash_folder

PX = 64
SETTINGS = {
    "scales": [0.5, 2.0],
    "pictures": 4,
    "num_inference_steps": 3,
    "guidance_scale": 2.0,
    "scheduler": "DPM++ 2M",
    "seed": 0,
}


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


# -- measures --------------------------------------------------------------------------------------------------------


def test_what_is_turned_and_scaled_is_the_same():
    one = noise(40, 12)
    turn, _ = torch.linalg.qr(noise(12, 12, seed=1))
    assert alignment(one, 7 * one @ turn + 3) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("channels", [4, 40, 400])
def test_what_is_independent_is_not_alike_however_many_channels_there_are(channels):
    found = [
        alignment(noise(24, channels, seed=2 * at), noise(24, channels, seed=2 * at + 1)) for at in range(40)
    ]
    assert abs(np.mean(found)) < 0.05


def test_the_alignment_is_that_of_its_definition():
    """By sums over all quadruples of different rows, as the unbiased criterion is defined."""
    one, other = noise(6, 3), noise(6, 2, seed=1)

    def criterion(left, right):
        n, total = len(left), 0.0
        for i in range(n):
            for j in range(n):
                for q in range(n):
                    for r in range(n):
                        if len({i, j, q, r}) == 4:
                            total += float(left[i, j] * (right[i, j] + right[q, r] - 2 * right[i, q]))
        return total / math.perm(n, 4)

    left, right = (view.double() @ view.double().T for view in (one, other))
    expected = criterion(left, right) / math.sqrt(criterion(left, left) * criterion(right, right))
    assert alignment(one, other) == pytest.approx(expected, abs=1e-9)


def test_rows_are_of_cells_and_hold_what_differs_within_a_picture():
    activations = torch.zeros(2, 1, 4, 4)
    activations[0, 0, :2] = 4
    activations[1] = 9
    rows = pool_rows(activations, 2)
    assert rows.flatten().tolist() == [2, 2, -2, -2, 0, 0, 0, 0]


def test_attention_that_looks_everywhere_has_all_the_entropy_and_at_one_place_none():
    everywhere, one = torch.full((2, 3, 5), 0.2), torch.eye(5)[:3].expand(2, 3, 5)
    assert entropy_share(everywhere) == pytest.approx(1, abs=1e-6)
    assert entropy_share(one) == 0
    assert 0 < entropy_share(torch.cat([everywhere, one])) < 1


def test_white_noise_has_the_same_power_at_all_scales_and_a_wave_at_its_own():
    assert torch.allclose(radial_spectrum(noise(200, 4, 16, 16)), torch.ones(8), atol=0.05)
    wave = torch.cos(2 * torch.pi * 3 * torch.arange(16) / 16).expand(1, 1, 16, 16)
    assert int(radial_spectrum(wave).argmax()) + 1 == 3


def test_what_all_pictures_share_is_told_from_what_each_has():
    own, same = noise(10, 3, 8, 8), noise(1, 3, 8, 8, seed=1).expand(10, 3, 8, 8)
    assert shared_places(own) == pytest.approx(0.1, abs=0.05)
    assert shared_places(same) == pytest.approx(1, abs=1e-6)
    assert shared_places(own + same) == pytest.approx(0.55, abs=0.05)


def test_nested_noise_is_white_at_every_size_and_agrees_in_what_both_can_show():
    found = nested_noise(4, [8, 16, 32], list(range(60)))
    for side, one in found.items():
        assert one.shape == (60, 4, side, side)
        assert float(one.std()) == pytest.approx(1, abs=0.03)
        assert torch.allclose(radial_spectrum(one), torch.ones(side // 2), atol=0.15)
    halved = found[32].unflatten(3, (16, 2)).unflatten(2, (16, 2)).mean(dim=(3, 5))
    assert torch.allclose(halved * 2, found[16], atol=1e-5)


# -- listening and walking -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pipeline():
    found = build_pipeline("tiny", seed=0)
    found.scheduler = DPMSolverMultistepScheduler.from_config(found.scheduler.config)
    found.set_progress_bar_config(disable=True)
    return found


def test_listening_changes_nothing_and_leaves_nothing_behind(pipeline):
    unet, given = pipeline.unet, noise(2, 4, 8, 8)
    text = noise(2, 32, unet.config.cross_attention_dim, seed=1)
    processors = {name: id(processor) for name, processor in unet.attn_processors.items()}
    with torch.inference_mode():
        before = unet(given, 10, text, return_dict=False)[0]
        with listening(unet, slice(1, 2)) as heard:
            during = unet(given, 10, text, return_dict=False)[0]
        assert sorted(heard.blocks) == sorted(block_names(unet)) and len(heard.blocks) > 5
        heard.blocks.clear()
        after = unet(given, 10, text, return_dict=False)[0]
    assert torch.allclose(before, during, atol=1e-5) and torch.equal(before, after)
    assert heard.blocks == {}
    assert processors == {name: id(processor) for name, processor in unet.attn_processors.items()}


def test_entropies_are_those_of_the_weights_that_the_model_uses(pipeline):
    unet, given = pipeline.unet, noise(2, 4, 8, 8)
    text = noise(2, 32, unet.config.cross_attention_dim, seed=1)
    attention = next(module for name, module in unet.named_modules() if name.endswith("attn1"))
    attention.to_q.weight.data, kept = torch.zeros_like(attention.to_q.weight), attention.to_q.weight.data
    try:
        with torch.inference_mode(), listening(unet, slice(0, 2)) as heard:
            unet(given, 10, text)
    finally:
        attention.to_q.weight.data = kept
    name = next(name for name, module in unet.named_modules() if module is attention)
    assert heard.entropies[name] == pytest.approx(1, abs=1e-5), "without queries it looks everywhere alike"
    assert any(share < 0.9999 for share in heard.entropies.values())


def test_the_walk_ends_in_what_plain_diffusers_paints_from_the_same_noise(pipeline):
    texts, seeds = ["a red cap", "a cup"], [5, 6]
    how = {"num_inference_steps": 3, "guidance_scale": 2.0}
    *steps, pictures = walk(pipeline, texts, native_px=PX, sizes_px=[32, 64, 128], seeds=seeds, **how)
    assert [step.number for step in steps] == [0, 1, 2] and set(pictures) == {32, 64, 128}
    for size, found in pictures.items():
        latents = nested_noise(4, [4, 8, 16], seeds)[size // 8]
        plain = pipeline(texts, latents=latents, width=size, height=size, output_type="np", **how).images
        assert np.abs(found.numpy() - plain * 255).max() < 1


def test_every_block_of_every_size_is_held_against_the_native_size(pipeline):
    """And none against itself, which would be 1."""
    texts = [f"a cap {number}" for number in range(4)]
    how = {"num_inference_steps": 2, "guidance_scale": 2.0}
    *steps, _ = walk(pipeline, texts, native_px=PX, sizes_px=[32, 64], seeds=[1, 2, 3, 4], **how)
    for step in steps:
        assert set(step.alignments) == {"32", FLOOR}
        assert set(step.alignments[FLOOR]) == set(block_names(pipeline.unet))
        assert all(found < 0.9999 for found in step.alignments["32"].values() if not math.isnan(found))
        assert all(found < 0.9999 for found in step.alignments[FLOOR].values() if not math.isnan(found))


@pytest.mark.parametrize("predicted", ["epsilon", "v_prediction"])
def test_spectra_are_of_the_picture_that_diffusers_finds_behind_the_noise(predicted):
    model, texts, seeds = build_pipeline("tiny", seed=0), ["a cap", "a cup"], [3, 4]
    model.scheduler = DDIMScheduler.from_config(
        model.scheduler.config, prediction_type=predicted, rescale_betas_zero_snr=False
    )
    how = {"num_inference_steps": 2, "guidance_scale": 2.0}
    step = next(iter(walk(model, texts, native_px=PX, sizes_px=[32, PX], seeds=seeds, **how)))
    text = embed_texts(model, ["", "", *texts])
    for size, found in step.spectra.items():
        x_t = nested_noise(4, [4, 8], seeds)[size // 8]
        with torch.inference_mode():
            plain, prompted = model.unet(torch.cat([x_t, x_t]), step.timestep, text).sample.chunk(2)
        guided = plain + 2 * (prompted - plain)
        model.scheduler.set_timesteps(2)
        clean = model.scheduler.step(guided, step.timestep, x_t).pred_original_sample
        assert torch.allclose(found, radial_spectrum(clean), rtol=1e-3)


def test_what_is_heard_is_of_the_rows_that_were_asked_for(pipeline):
    unet, given = pipeline.unet, noise(3, 4, 8, 8)
    text = noise(3, 32, unet.config.cross_attention_dim, seed=1)
    with torch.inference_mode():
        with listening(unet, slice(1, 2)) as among:
            unet(given, 10, text)
        with listening(unet, slice(None)) as alone:
            unet(given[1:2], 10, text[1:2])
    assert among.entropies == pytest.approx(alone.entropies, abs=1e-5)
    for name, activations in alone.blocks.items():
        assert torch.allclose(among.blocks[name], activations, atol=1e-4), name


def test_with_joined_borders_a_picture_that_is_rolled_is_answered_rolled(pipeline):
    """And with borders of zeros it is not: that is how a model knows where it is."""
    unet, given = pipeline.unet, noise(1, 4, 8, 8)
    text = noise(1, 32, unet.config.cross_attention_dim, seed=1)
    answers = {}
    with torch.inference_mode():
        for name, borders in (("zeros", contextlib.nullcontext()), ("joined", wrapped_borders(unet))):
            with borders:
                plain, rolled = (unet(x, 10, text, return_dict=False)[0] for x in (given, given.roll(4, 3)))
            answers[name] = float((plain.roll(4, 3) - rolled).abs().max())
        again = unet(given.roll(4, 3), 10, text, return_dict=False)[0]
    assert answers["joined"] < 1e-4 < answers["zeros"]
    assert not torch.allclose(again, rolled, atol=1e-4), "the borders are as they were"


def test_a_model_knows_places_by_borders(pipeline):
    texts = [f"a cap {number}" for number in range(6)]
    found = find_places(pipeline, texts, sizes_px=[32, 64], seeds=list(range(6)), num_inference_steps=3)
    assert set(found) == {32, 64} and set(found[64]) == set(block_names(pipeline.unet))
    shared, wrapped = np.array(list(found[64].values())).T
    assert shared.max() > 0.3 > wrapped.max(), "a sixth of what is independent is shared by chance"


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
def test_places_are_sought_at_the_step_that_the_walk_begins_with(spacing):
    """With two steps a scheduler of leading ones begins half of the way, where no pure noise is met."""
    model = build_pipeline("tiny", seed=0)
    model.scheduler = DDIMScheduler.from_config(model.scheduler.config, timestep_spacing=spacing)
    how = {"sizes_px": [32, 64], "seeds": [1, 2], "num_inference_steps": 20}
    begun, met = next(iter(walk(model, ["a", "b"], native_px=PX, guidance_scale=2.0, **how))).timestep, []
    listener = model.unet.register_forward_pre_hook(lambda _, given: met.append(int(given[1])))
    find_places(model, ["a", "b"], **how)
    listener.remove()
    assert set(met) == {begun} and begun > 900


# -- the stage -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """Pruned weights of a tiny model that are the base's, and prompts."""
    place = tmp_path_factory.mktemp("atlas")
    build_pipeline("tiny", seed=0).save_pretrained(place / "base")
    build_pipeline("tiny", seed=0).save_pretrained(place / "pruned" / "pipeline")
    sha256 = hash_folder(place / "base")
    record = {
        "method": "lora",
        "pipeline_sha256": hash_folder(place / "pruned" / "pipeline"),
        "base_model": {"id": "tiny", "sha256": sha256},
    }
    (place / "pruned" / "weights.json").write_text(json.dumps(record))
    kinds = [("species", f"a photo of cap {at}") for at in range(3)] + [
        ("control", f"thing {at}") for at in range(5)
    ]
    rows = [{"prompt_id": text.replace(" ", "-"), "kind": kind, "text": text} for kind, text in kinds]
    (place / "prompts").mkdir()
    (place / "prompts" / "prompts.json").write_text(json.dumps({"prompts": rows}))
    return place


def draw(inputs, folder, **changes):
    settings = {"base_model": str(inputs / "base"), "size_px": PX} | SETTINGS | changes
    folder.mkdir(exist_ok=True)
    return draw_atlas(inputs / "pruned", inputs / "prompts", folder, **settings)


@pytest.fixture(scope="module")
def drawn(inputs, tmp_path_factory):
    folder = tmp_path_factory.mktemp("drawn")
    return folder, draw(inputs, folder)


def test_an_atlas_has_every_step_block_and_size(drawn, inputs):
    folder, figures = drawn
    rows = read_table(folder / "alignments.parquet")
    assert {row["compared"] for row in rows} == {"32", "128", FLOOR} and {row["step"] for row in rows} == {
        0,
        1,
        2,
    }
    assert figures["sizes"] == 3 and figures["blocks"] == len({row["block"] for row in rows})
    assert len(rows) == 3 * 3 * figures["blocks"]
    about = json.loads((folder / "atlas.json").read_text())
    assert about["prompts"] == ["a photo of cap 0", "a photo of cap 1", "thing 0", "thing 2"]
    assert about["sizes_px"] == [32, 64, 128]
    for name in ("atlas.webp", "pictures.webp"):
        with Image.open(folder / name) as image:
            assert min(image.size) > 300
    assert check_whole(folder).passed and check_weights(folder, inputs / "pruned").passed


def test_where_there_are_few_prompts_of_a_kind_none_is_walked_twice(inputs, tmp_path):
    draw(inputs, tmp_path / "x", pictures=9, num_inference_steps=2, scales=[0.5])
    about = json.loads((tmp_path / "x" / "atlas.json").read_text())
    assert about["prompts"] == [f"a photo of cap {at}" for at in range(3)] + [
        f"thing {at}" for at in (0, 1, 2, 3)
    ]


def test_an_atlas_drawn_again_is_the_same_bytes(drawn, inputs, tmp_path):
    draw(inputs, tmp_path / "again")
    assert hash_folder(tmp_path / "again") == hash_folder(drawn[0])


def test_a_row_that_is_lost_and_a_figure_beyond_its_bounds_are_found(drawn, inputs, tmp_path):
    rows = read_table(drawn[0] / "alignments.parquet")
    measured = next(at for at, row in enumerate(rows) if row["alignment"] is not None)
    for name, changed in (
        ("lost", rows[1:]),
        ("beyond", [row | {"alignment": 2.0} if at == measured else row for at, row in enumerate(rows)]),
    ):
        folder = shutil.copytree(drawn[0], tmp_path / name)
        write_table(folder / "alignments.parquet", changed, ALIGNMENTS)
        assert not check_whole(folder).passed, name
    wide = read_table(drawn[0] / "entropies.parquet")
    folder = shutil.copytree(drawn[0], tmp_path / "wide")
    write_table(folder / "entropies.parquet", [wide[0] | {"entropy_share": 1.1}, *wide[1:]], ENTROPIES)
    assert not check_whole(folder).passed


def test_an_atlas_of_other_weights_is_found(drawn, inputs, tmp_path):
    record = json.loads((inputs / "pruned" / "weights.json").read_text())
    (tmp_path / "weights.json").write_text(json.dumps(record | {"pipeline_sha256": "0" * 64}))
    verdict = check_weights(drawn[0], tmp_path)
    assert not verdict.passed and "the weights are 0000" in verdict.finding


def test_findings_are_what_the_tables_say():
    """A model whose way up tells sizes apart and seeds not."""
    likeness = {"16": {"down": 0.8, "mid": 0.7, "up": 0.1}, FLOOR: {"down": 0.4, "mid": 0.5, "up": 0.9}}
    blocks = {"down": "down_blocks.0.resnets.0", "mid": "mid_block.resnets.0", "up": "up_blocks.0.resnets.0"}
    alignments = [
        {"step": step, "timestep": 9, "block": blocks[part], "compared": compared, "alignment": value}
        for step in (0, 1)
        for compared, parts in likeness.items()
        for part, value in parts.items()
    ]
    entropies = [
        {"step": 0, "attention": "mid.attn1", "size_px": size, "entropy_share": share}
        for size, share in ((8, 0.25), (16, 0.75))
    ]
    places = [
        {"block": f"up_blocks.{at}", "size_px": 8, "shared": shared, "shared_wrapped": 0.25}
        for at, shared in enumerate((0.5, 0.75))
    ]
    first, most, last, where, attention = tell_findings(
        Atlas(8, [8, 16], alignments, entropies, [], places, 4)
    )
    assert (
        "16 px is like 8 px by 0.80, 0.70, 0.10 (down, mid, up)" in first and "by 0.40, 0.50, 0.90" in first
    )
    assert "up_blocks.0.resnets.0" in most and "0.10 there, and other seeds by 0.90" in most
    assert "0.53 (16 px)" in last and "other seeds by 0.60" in last
    assert (
        "0.75 of what differs" in where and "all 4 pictures in up_blocks.1" in where and "it is 0.25" in where
    )
    assert attention.endswith("0.25 at 8 px, 0.75 at 16 px.")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"scales": [0.1]}, "6 px is no multiple of 16"),
        ({"scales": [1.5]}, "64 px does not divide 96 px"),
        ({"scales": []}, "there is nothing to compare"),
        ({"pictures": 2}, "pictures=2, at least 4"),
        ({"scheduler": "Heun"}, "'Heun' is not one of"),
    ],
)
def test_what_can_not_be_drawn_is_refused(inputs, tmp_path, changes, said):
    with pytest.raises(InputError, match=said):
        draw(inputs, tmp_path / "x", **changes)


def test_other_weights_than_those_named_are_refused(inputs, tmp_path):
    build_pipeline("tiny", seed=1).save_pretrained(tmp_path / "other")
    with pytest.raises(ProvenanceError, match="the base model has the hash"):
        draw(inputs, tmp_path / "x", base_model=str(tmp_path / "other"))
