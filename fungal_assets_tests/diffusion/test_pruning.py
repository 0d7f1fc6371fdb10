import json
import shutil

import pytest
import torch

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.checks import (
    check_every_row_trained_on,
    check_learns_beyond_its_rows,
    check_loss_moves,
    check_pruned_from_tuned,
    check_pruned_loads,
    check_weights_changed,
)
from fungal_assets.diffusion.encoding import read_tensors, write_tensors
from fungal_assets.diffusion.headers import read_header
from fungal_assets.diffusion.lora import UNET_LAYERS
from fungal_assets.diffusion.methods import Full
from fungal_assets.diffusion.pruning import KOHYA_FILE, SINGLE_FILE, UNET_FILE
from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.shards import read_table, write_table
from fungal_assets.store import hash_file, hash_folder
from fungal_assets_tests.diffusion.conftest import ORIGIN, SETTINGS, prune, tune, write_dataset
from fungal_assets_tests.diffusion.exported import (
    TOLERANCE,
    assert_formats_agree,
    differ,
    draw_plainly,
    write_tuned,
)

UNET = "unet/diffusion_pytorch_model.safetensors"
LORA = "lora/pytorch_lora_weights.safetensors"


@pytest.fixture(scope="session")
def strongly_tuned_dir(tuned_dir, tmp_path_factory):
    """The tuned LoRA with large random second matrices, so that it changes every picture for all to see."""
    folder = tmp_path_factory.mktemp("strong") / "tuned"
    shutil.copytree(tuned_dir, folder)
    generator = torch.Generator().manual_seed(0)
    lora = {
        name: torch.randn(values.shape, generator=generator) * 0.5 if "lora_B" in name else values
        for name, values in read_tensors(folder / LORA).items()
    }
    write_tensors(folder / LORA, lora)
    return folder


@pytest.fixture(scope="session")
def pruned_dir(strongly_tuned_dir, base_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pruned")
    prune(strongly_tuned_dir, folder, base_dir)
    return folder


def test_plain_diffusers_draws_the_same_from_the_pipeline_the_lora_and_the_kohya_lora(
    base_dir, pruned_dir, tmp_path
):
    pictures = draw_plainly(base_dir, pruned_dir, tmp_path)
    assert_formats_agree(pictures, singles=())


@pytest.mark.parametrize("version", [1, 2], ids=["sd1.5", "sd2.1"])
def test_a_lora_of_stable_diffusion_draws_the_same_by_every_format(version, sd_dirs, tmp_path):
    tuned = write_tuned(sd_dirs[version], tmp_path / "tuned", method="lora")
    prune(tuned, tmp_path / "pruned", sd_dirs[version])
    pictures = draw_plainly(sd_dirs[version], tmp_path / "pruned", tmp_path)
    assert_formats_agree(pictures)
    assert check_pruned_loads(tmp_path / "pruned").passed
    assert check_pruned_from_tuned(tmp_path / "pruned", tuned).passed


@pytest.mark.parametrize("version", [1, 2, 10], ids=["sd1.5", "sd2.1", "xl"])
def test_a_wholly_tuned_stable_diffusion_draws_the_same_by_every_format(version, sd_dirs, xl_dir, tmp_path):
    """The folder `whole` holds the tuned weights before any of this: the base model with the tuned UNet."""
    base = (sd_dirs | {10: xl_dir})[version]
    tuned = write_tuned(base, tmp_path / "tuned", method="full")
    shutil.copytree(base, tmp_path / "whole")
    shutil.copy(tuned / UNET, tmp_path / "whole" / UNET)
    prune(tuned, tmp_path / "pruned", base)
    pictures = draw_plainly(base, tmp_path / "pruned", tmp_path, tmp_path / "whole")
    assert set(pictures) == {"base", "fused", "whole", "single"}
    assert differ(pictures["whole"], pictures["base"]) > 20 * TOLERANCE
    assert differ(pictures["fused"], pictures["whole"]) < TOLERANCE
    assert differ(pictures["single"], pictures["fused"]) == 0


def test_each_fused_layer_is_the_base_plus_up_times_down(strongly_tuned_dir, base_dir, pruned_dir):
    name = "unet/diffusion_pytorch_model.safetensors"
    base, fused = read_tensors(base_dir / name), read_tensors(pruned_dir / "pipeline" / name)
    lora = read_tensors(strongly_tuned_dir / LORA)
    layers = {key.removeprefix("unet.").split(".lora_")[0] for key in lora}
    assert len(layers) == len([key for key in base if is_target(key)]) == len(lora) // 2
    for key, values in base.items():
        expected = values
        if key.removesuffix(".weight") in layers:
            down, up = (lora[f"unet.{key.removesuffix('.weight')}.lora_{part}.weight"] for part in "AB")
            expected = values + (up.flatten(1) @ down.flatten(1)).view(values.shape)
        torch.testing.assert_close(fused[key].float(), expected, rtol=1e-3, atol=1e-5, msg=key)


def test_weights_at_part_of_the_strength_lie_that_far_from_the_base_to_the_tuned(
    strongly_tuned_dir, base_dir, pruned_dir, tmp_path
):
    """The pipeline and the adapter alike: each layer's change is a quarter of the whole one."""
    prune(strongly_tuned_dir, tmp_path, base_dir, strength=0.25)
    name = "unet/diffusion_pytorch_model.safetensors"
    base, whole, part = (
        read_tensors(folder / name) for folder in (base_dir, pruned_dir / "pipeline", tmp_path / "pipeline")
    )
    for key, values in base.items():
        expected = values.float() + 0.25 * (whole[key].float() - values.float())
        torch.testing.assert_close(part[key].float(), expected, rtol=2e-3, atol=2e-3, msg=key)
    assert max(float((part[key].float() - base[key].float()).abs().max()) for key in base) > 0.1
    full, quarter = read_tensors(pruned_dir / LORA), read_tensors(tmp_path / LORA)
    for key, values in full.items():
        share = 0.25 if "lora_B" in key else 1.0
        torch.testing.assert_close(quarter[key], (values.float() * share).half(), rtol=1e-3, atol=1e-4)
    assert check_pruned_from_tuned(tmp_path, strongly_tuned_dir).passed


@pytest.mark.parametrize("strength", [0.0, -0.5, 1.1])
def test_a_strength_that_is_no_share_is_refused(strongly_tuned_dir, base_dir, tmp_path, strength):
    with pytest.raises(InputError, match="expected a share above 0 and at most 1"):
        prune(strongly_tuned_dir, tmp_path, base_dir, strength=strength)


def is_target(key: str) -> bool:
    return key.endswith(tuple(f".{target}.weight" for target in UNET_LAYERS["transformer"]))


def test_a_lora_that_does_not_fit_layer_by_layer_is_refused(strongly_tuned_dir, base_dir, tmp_path):
    """Half of the names in diffusers' older form, as its own conversion leaves them."""
    shutil.copytree(strongly_tuned_dir, tmp_path / "tuned")
    old = {".to_q.lora_A": ".to_q.lora.down", ".to_q.lora_B": ".to_q.lora.up"}
    lora = read_tensors(tmp_path / "tuned" / LORA)
    for new_part, old_part in old.items():
        lora = {key.replace(new_part, old_part): values for key, values in lora.items()}
    write_tensors(tmp_path / "tuned" / LORA, lora)
    with pytest.raises(ProvenanceError, match="holds 96 tensors and .* found their layer"):
        prune(tmp_path / "tuned", tmp_path / "pruned", base_dir)


def test_pruned_weights_are_half_precision_and_name_no_path_of_this_machine(pruned_dir, base_dir):
    files = sorted(pruned_dir.rglob("*.safetensors"))
    assert len(files) == 5
    for path in files:
        kinds = {values.dtype for values in read_tensors(path).values() if values.is_floating_point()}
        assert kinds == {torch.float16}, path
    for path in pruned_dir.rglob("*.json"):
        assert str(base_dir.parent) not in path.read_text(), path


def test_the_record_holds_the_hashes_of_what_lies_there(pruned_dir, strongly_tuned_dir, base_dir):
    record = json.loads((pruned_dir / "weights.json").read_text())
    assert record == {
        "base_model": {"id": "tiny", "sha256": hash_folder(base_dir)},
        "method": "lora",
        "strength": 1.0,
        "tuned_sha256": hash_file(strongly_tuned_dir / LORA),
        "lora_sha256": hash_file(pruned_dir / LORA),
        "kohya_lora_sha256": hash_file(pruned_dir / KOHYA_FILE),
        "single_file_sha256": None,
        "single_file_left_out": "Stable Diffusion's original layout has no name for unet.add_embedding",
        "pipeline_sha256": hash_folder(pruned_dir / "pipeline"),
    }


def test_pruning_again_gives_the_same_bytes(strongly_tuned_dir, base_dir, pruned_dir, tmp_path):
    prune(strongly_tuned_dir, tmp_path, base_dir)
    assert hash_folder(tmp_path) == hash_folder(pruned_dir)


@pytest.fixture(scope="module")
def pruned_sd(sd_dirs, tmp_path_factory):
    """Pruned weights of a LoRA of Stable Diffusion 1.5 in small, and a function that makes them again."""
    place = tmp_path_factory.mktemp("pruned-sd")
    tuned = write_tuned(sd_dirs[1], place / "tuned", method="lora")

    def prune_again(folder, **changes):
        return prune(tuned, folder, sd_dirs[1], **changes)

    return place / "pruned", prune_again, prune_again(place / "pruned")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (LORA, "lora"),
        (KOHYA_FILE, "kohya_lora"),
        (SINGLE_FILE, "single_file"),
        (UNET_FILE, "pipeline"),
    ],
    ids=["lora", "kohya lora", "single file", "pipeline"],
)
def test_a_file_that_was_changed_after_pruning_is_named(pruned_sd, tmp_path, name, kind):
    folder, _, _ = pruned_sd
    shutil.copytree(folder, tmp_path / "pruned")
    path = tmp_path / "pruned" / name
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    verdict = check_pruned_from_tuned(tmp_path / "pruned", folder.parent / "tuned")
    assert not verdict.passed and verdict.finding.startswith(f"hashes differ for: {kind}. ")


@pytest.mark.parametrize("name", [LORA, KOHYA_FILE, SINGLE_FILE, UNET_FILE])
def test_a_file_that_says_nothing_of_its_base_model_is_named(pruned_sd, tmp_path, name):
    folder, _, _ = pruned_sd
    shutil.copytree(folder, tmp_path / "pruned")
    write_tensors(tmp_path / "pruned" / name, read_tensors(folder / name))
    verdict = check_pruned_loads(tmp_path / "pruned")
    assert not verdict.passed and f"the header of {name} does not name the base model" in verdict.finding


def test_every_file_says_what_it_is_made_of_and_a_second_build_is_the_same_bytes(
    pruned_sd, sd_dirs, tmp_path
):
    folder, prune_again, figures = pruned_sd
    assert prune_again(tmp_path / "again") == figures
    assert hash_folder(tmp_path / "again") == hash_folder(folder)
    for name in (LORA, KOHYA_FILE, SINGLE_FILE, UNET_FILE):
        header = read_header(folder / name)
        assert header["base_model"] == "sd1" and header["base_model_sha256"] == hash_folder(sd_dirs[1])
        assert json.loads(header["trigger_names"]) == list(ORIGIN.names)
        assert (header["dataset_sha256"], header["licence"]) == (ORIGIN.dataset_sha256, "Apache-2.0, CC0-1.0")
    assert read_header(folder / SINGLE_FILE)["modelspec.architecture"] == "stable-diffusion-v1"
    kohya = read_header(folder / KOHYA_FILE)
    assert (kohya["modelspec.architecture"], kohya["ss_base_model_version"]) == (
        "stable-diffusion-v1/lora",
        "sd_v1_v",
    )
    sizes = {"lora_mb": LORA, "kohya_lora_mb": KOHYA_FILE, "single_file_mb": SINGLE_FILE}
    for figure, name in sizes.items():
        assert figures[figure] == round((folder / name).stat().st_size / 1e6, 3) > 0


def test_a_single_file_is_written_only_where_it_is_wanted(pruned_sd, tmp_path):
    _, prune_again, _ = pruned_sd
    figures = prune_again(tmp_path, has_single_file=False)
    record = json.loads((tmp_path / "weights.json").read_text())
    assert not (tmp_path / SINGLE_FILE).exists() and figures["single_file_mb"] == 0
    assert (record["single_file_sha256"], record["single_file_left_out"]) == (None, "not asked for")


def test_a_single_file_with_another_tensor_or_a_silent_header_fails(pruned_sd, tmp_path):
    folder, _, _ = pruned_sd
    shutil.copytree(folder, tmp_path / "pruned")
    path, name = tmp_path / "pruned" / SINGLE_FILE, "model.diffusion_model.out.2.bias"
    tensors = read_tensors(path)
    write_tensors(path, tensors | {name: tensors[name] + 1}, read_header(path))
    verdict = check_pruned_loads(tmp_path / "pruned")
    assert not verdict.passed and "1 tensors of unet differ from the pipeline's" in verdict.finding
    write_tensors(path, tensors)
    verdict = check_pruned_loads(tmp_path / "pruned")
    assert (
        not verdict.passed and f"the header of {SINGLE_FILE} does not name the base model" in verdict.finding
    )


def test_another_base_model_is_refused_by_name_and_hash(tuned_dir, tmp_path):
    from fungal_assets.pocket.architecture import build_pipeline

    build_pipeline("tiny", seed=1).save_pretrained(tmp_path / "impostor")
    with pytest.raises(
        ProvenanceError, match="tuned on base model 'tiny'.*but 'impostor'.*Give base_model 'tiny'"
    ):
        prune(tuned_dir, tmp_path / "pruned", tmp_path / "impostor")
    assert not (tmp_path / "pruned").exists()


def test_every_kohya_layer_has_down_up_and_the_alpha_of_its_rank(pruned_dir):
    kohya, ours = read_tensors(pruned_dir / KOHYA_FILE), read_tensors(pruned_dir / LORA)
    layers = {name.split(".")[0] for name in kohya}
    assert len(layers) * 2 == len(ours)
    for layer in layers:
        assert layer.startswith("lora_unet_")
        assert kohya[f"{layer}.alpha"] == kohya[f"{layer}.lora_down.weight"].shape[0] == SETTINGS["lora_rank"]
        assert f"{layer}.lora_up.weight" in kohya
    assert any(layer.endswith("attentions_0_transformer_blocks_0_attn2_to_out_0") for layer in layers)


def test_the_full_method_prunes_to_the_tuned_unet(base_dir, dataset_dir, prompts_dir, tmp_path):
    (tmp_path / "pruned").mkdir()
    settings = SETTINGS | {"method": "full", "max_steps": 2, "checkpoint_every_s": 1e9}
    tune(dataset_dir, prompts_dir, tmp_path / "tuned", base_model=str(base_dir), **settings)
    prune(tmp_path / "tuned", tmp_path / "pruned", base_dir)
    name = "unet/diffusion_pytorch_model.safetensors"
    tuned, pruned = read_tensors(tmp_path / "tuned" / name), read_tensors(tmp_path / "pruned/pipeline" / name)
    assert all(torch.equal(tuned[key].half(), pruned[key]) for key in tuned)
    assert json.loads((tmp_path / "pruned/weights.json").read_text())["lora_sha256"] is None
    assert check_weights_changed(tmp_path / "tuned", base_model=str(base_dir)).passed
    assert check_pruned_from_tuned(tmp_path / "pruned", tmp_path / "tuned").passed


def test_the_full_method_moves_every_tensor_by_the_strength(base_dir, tmp_path):
    name = "unet/diffusion_pytorch_model.safetensors"
    base = read_tensors(base_dir / name)
    write_tensors(tmp_path / name, {key: values.float() + 1 for key, values in base.items()})
    pipeline = load_pipeline(base_dir, device="cpu", dtype=torch.float32)
    Full().restore(pipeline, tmp_path, strength=0.25)
    for key, values in pipeline.unet.state_dict().items():
        torch.testing.assert_close(values, base[key].float() + 0.25, msg=key)


def test_the_checks_pass_on_what_was_tuned_and_pruned(
    tuned_dir, dataset_dir, base_dir, pruned_dir, strongly_tuned_dir
):
    assert check_loss_moves(tuned_dir).passed, check_loss_moves(tuned_dir)
    assert check_every_row_trained_on(tuned_dir, dataset_dir).passed
    assert check_weights_changed(tuned_dir, base_model=str(base_dir)).passed
    assert check_pruned_from_tuned(pruned_dir, strongly_tuned_dir).passed
    assert check_pruned_loads(pruned_dir).passed


def test_a_loss_that_does_not_fall_or_is_not_finite_fails(tuned_dir, tmp_path):
    shutil.copytree(tuned_dir, tmp_path / "still")
    record = json.loads((tmp_path / "still/training.json").read_text())
    record["probe_loss_after"] = record["probe_loss_before"]
    (tmp_path / "still/training.json").write_text(json.dumps(record))
    verdict = check_loss_moves(tmp_path / "still")
    assert not verdict.passed and "a fall of 0.0%" in verdict.finding
    shutil.copytree(tuned_dir, tmp_path / "broken")
    rows = read_table(tmp_path / "broken/loss.parquet")
    rows[2]["loss"] = float("nan")
    write_table(tmp_path / "broken/loss.parquet", rows)
    verdict = check_loss_moves(tmp_path / "broken")
    assert not verdict.passed and "the first at step 3" in verdict.finding


def test_a_dataset_larger_than_what_was_trained_on_fails(tuned_dir, tmp_path):
    verdict = check_every_row_trained_on(tuned_dir, write_dataset(tmp_path, 14))
    assert not verdict.passed and verdict.finding.startswith("13 of 14 rows")


@pytest.mark.parametrize(
    ("told", "passed", "said"),
    [
        pytest.param({"held_out_loss_after": 0.9}, True, "a fall of 10.0%", id="falls"),
        pytest.param({"held_out_loss_after": 1.1}, False, "by heart: lower max_steps", id="rises"),
        pytest.param({"held_out_rows": 0}, True, "no picture was held out", id="none held out"),
    ],
)
def test_a_model_that_learns_its_rows_by_heart_is_told_of(tuned_dir, tmp_path, told, passed, said):
    shutil.copytree(tuned_dir, tmp_path / "tuned")
    path = tmp_path / "tuned/training.json"
    record = json.loads(path.read_text()) | {"held_out_rows": 3, "held_out_loss_before": 1.0}
    path.write_text(json.dumps(record | told))
    verdict = check_learns_beyond_its_rows(tmp_path / "tuned")
    assert verdict.passed is passed and said in verdict.finding


def test_untouched_or_broken_weights_fail(tuned_dir, base_dir, tmp_path):
    shutil.copytree(tuned_dir, tmp_path / "tuned")
    lora = read_tensors(tuned_dir / LORA)
    write_tensors(tmp_path / "tuned" / LORA, {n: v * 0 if "lora_B" in n else v for n, v in lora.items()})
    assert not check_weights_changed(tmp_path / "tuned", base_model=str(base_dir)).passed
    write_tensors(tmp_path / "tuned" / LORA, {n: v + float("inf") for n, v in lora.items()})
    verdict = check_weights_changed(tmp_path / "tuned", base_model=str(base_dir))
    assert not verdict.passed and verdict.figures["not_finite"] == len(lora)


def test_pruned_weights_of_another_tuning_fail(pruned_dir, tuned_dir):
    verdict = check_pruned_from_tuned(pruned_dir, tuned_dir)
    assert not verdict.passed and "hashes differ for: tuned weights" in verdict.finding


def test_a_pruned_pipeline_with_infinite_weights_fails(pruned_dir, tmp_path):
    shutil.copytree(pruned_dir / "pipeline", tmp_path / "pipeline")
    path = tmp_path / "pipeline/unet/diffusion_pytorch_model.safetensors"
    write_tensors(path, {name: values * float("inf") for name, values in read_tensors(path).items()})
    verdict = check_pruned_loads(tmp_path)
    assert not verdict.passed and "unet" in verdict.finding
