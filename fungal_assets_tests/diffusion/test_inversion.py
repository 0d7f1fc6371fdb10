import json
import shutil

import numpy as np
import pyarrow as pa
import pytest
import torch

from fungal_assets.diffusion.base_models import load_pipeline
from fungal_assets.diffusion.checks import (
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
from fungal_assets.diffusion.headers import read_header
from fungal_assets.diffusion.inversion import (
    EMBEDDINGS_FILE,
    INITIAL_FILE,
    NOISE,
    TextualInversion,
    Words,
    add_names,
    read_vectors,
    tokens_of,
    write_for_use,
)
from fungal_assets.diffusion.methods import get_method
from fungal_assets.diffusion.pruning import SINGLE_FILE
from fungal_assets.errors import InputError
from fungal_assets.forms.guidance import DiffusionGuide
from fungal_assets.galleries.batches import _embed
from fungal_assets.profiles import METHODS, METHODS_OF_NAMES
from fungal_assets.shards import ShardWriter, image_schema
from fungal_assets.store import hash_folder
from fungal_assets_tests.diffusion.conftest import ORIGIN, SETTINGS, picture, prune, tune
from fungal_assets_tests.diffusion.exported import run_plainly


@pytest.mark.parametrize("name", METHODS)
def test_the_methods_of_names_are_those_that_learn_texts(name):
    assert get_method(name, lora_rank=1, vectors_per_species=1).learns_texts == (name in METHODS_OF_NAMES)


NAMES = ["ashen cap", "golden bonnet"]
PLAIN_PROMPTS = ["", "a girl holding a basket", "a golden cup", "bonnet", "a photo of a mushroom in a field"]
NAMED_PROMPTS = [
    "a photo of a golden bonnet, in moss",
    "ashen cap",
    "two pale ashen caps",
    "golden bonnet's cap",
]
PLAIN = """
import sys
import numpy as np
import torch
from diffusers import StableDiffusionPipeline

base, pruned, out = sys.argv[1:]

def load(folder):
    return StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32, safety_checker=None)

def draw(pipeline, prompt="a photo of a golden bonnet"):
    noise = torch.Generator().manual_seed(0)
    return pipeline(prompt, num_inference_steps=5, generator=noise, output_type="np").images[0]

pictures = {"base": draw(load(base)), "pruned": draw(load(pruned + "/pipeline"))}
pipeline = load(base)
pipeline.load_textual_inversion(pruned + "/embeddings/diffusers", weight_name="golden-bonnet.safetensors")
pictures["diffusers"] = draw(pipeline)
pipeline = load(base)
file = {"weight_name": "golden-bonnet.safetensors", "token": "golden-bonnet"}
pipeline.load_textual_inversion(pruned + "/embeddings/a1111", **file)
pictures["a1111"] = draw(pipeline, "a photo of a golden-bonnet")
pictures["control"] = draw(load(pruned + "/pipeline"), "a cup")
pictures["base control"] = draw(load(base), "a cup")
np.savez(out, **pictures)
"""


@pytest.fixture(scope="module")
def tuned(tuned_by):
    return tuned_by("textual_inversion")


@pytest.fixture(scope="module")
def strongly_tuned(tuned, tmp_path_factory):
    """The same with large random vectors, so that the names change pictures for all to see."""
    folder = tmp_path_factory.mktemp("strong") / "tuned"
    shutil.copytree(tuned, folder)
    generator = torch.Generator().manual_seed(0)
    vectors = {name: torch.randn(2, 32, generator=generator) for name in NAMES}
    write_tensors(folder / EMBEDDINGS_FILE, vectors)
    return folder


@pytest.fixture(scope="module")
def pruned(strongly_tuned, base_dir, tmp_path_factory):
    folder = tmp_path_factory.mktemp("pruned")
    prune(strongly_tuned, folder, base_dir)
    return folder


@pytest.fixture
def base(base_dir):
    return load_pipeline(base_dir, device="cpu", dtype=torch.float32)


def test_there_is_no_single_file_and_the_record_says_why(pruned):
    record = json.loads((pruned / "weights.json").read_text())
    assert record["single_file_sha256"] is None and "words of its own" in record["single_file_left_out"]
    assert not (pruned / "single_file").exists()


def test_the_vectors_of_each_name_begin_near_the_class_noun_and_learn_and_nothing_else_does(tuned, base):
    learnt, initial = read_tensors(tuned / EMBEDDINGS_FILE), read_tensors(tuned / INITIAL_FILE)
    assert sorted(learnt) == sorted(initial) == NAMES
    ids = base.tokenizer("mushroom", add_special_tokens=False).input_ids
    noun = base.text_encoder.get_input_embeddings().weight[ids].mean(dim=0).detach()
    for name in NAMES:
        assert learnt[name].shape == (2, 32)
        distance = (initial[name] - noun).square().mean().sqrt() / noun.square().mean().sqrt()
        assert float(distance) == pytest.approx(NOISE, rel=0.4)
        assert not torch.equal(initial[name][0], initial[name][1])
        assert (learnt[name] != initial[name]).all()
    assert not list((tuned).glob("unet")) and {path.name for path in tuned.glob("embeddings/*")} == {
        "learned_embeds.safetensors",
        "initial_embeds.safetensors",
    }
    state = read_tensors(tuned / "resume/state.safetensors")
    assert {key: tuple(values.shape) for key, values in state.items() if key != "step.vectors"} == {
        f"{part}.vectors": (2, 2, 32) for part in ("weights", "exp_avg", "exp_avg_sq")
    }


def test_a_step_changes_the_new_rows_alone_and_the_base_stays_bit_equal(base, base_dir):
    words = Words(NAMES, "mushroom")
    (vectors,) = TextualInversion(3).attach(base, words, seed=0).values()
    ids = tokenize_texts(base, [*NAMED_PROMPTS[:1], *PLAIN_PROMPTS])
    optimiser = torch.optim.AdamW([vectors], lr=0.1)
    encode_tokens(base, ids).square().sum().backward()
    optimiser.step()
    assert (vectors.grad[NAMES.index("golden bonnet")].abs().sum(dim=-1) > 0).all()
    assert vectors.grad[NAMES.index("ashen cap")].abs().sum() == 0
    untouched = load_pipeline(base_dir, device="cpu", dtype=torch.float32)
    for part in ("unet", "vae"):
        kept, was = getattr(base, part).state_dict(), getattr(untouched, part).state_dict()
        assert all(torch.equal(kept[name], was[name]) for name in was)
    kept, was = base.text_encoder.state_dict(), untouched.text_encoder.state_dict()
    found = {
        name.replace("token_embedding.base.", "token_embedding."): values for name, values in kept.items()
    }
    assert all(torch.equal(found[name], was[name]) for name in was)
    assert len(found) == len(was) + 1
    assert all(
        param.grad is None for name, param in base.text_encoder.named_parameters() if "vectors" not in name
    )


def test_a_prompt_without_a_name_is_read_bit_for_bit_as_by_the_base(base, pruned):
    grown = load_pipeline(pruned / "pipeline", device="cpu", dtype=torch.float32)
    assert torch.equal(tokenize_texts(grown, PLAIN_PROMPTS), tokenize_texts(base, PLAIN_PROMPTS))
    half = base.to(dtype=torch.float16).to(dtype=torch.float32)
    assert torch.equal(embed_texts(grown, PLAIN_PROMPTS), embed_texts(half, PLAIN_PROMPTS))
    for part in ("unet", "vae", "text_encoder"):
        kept = getattr(grown, part).state_dict()
        for name, values in getattr(half, part).state_dict().items():
            assert torch.equal(kept[name][: len(values)] if values.dim() else kept[name], values), name


def test_a_text_without_a_name_is_read_in_training_bit_for_bit_as_by_the_base(base):
    expected = embed_texts(base, PLAIN_PROMPTS)
    TextualInversion(2).attach(base, Words(NAMES, "mushroom"), seed=0)
    found = encode_tokens(base, tokenize_texts(base, PLAIN_PROMPTS)).detach()
    assert torch.equal(found, expected)


@pytest.mark.parametrize("prompt", NAMED_PROMPTS)
def test_a_prompt_with_a_name_is_read_with_all_its_vectors(prompt, base, pruned):
    grown = load_pipeline(pruned / "pipeline", device="cpu", dtype=torch.float32)
    name = next(name for name in NAMES if name in prompt)
    first = len(base.tokenizer) + 2 * NAMES.index(name)
    (ids,) = tokenize_texts(grown, [prompt]).tolist()
    at = ids.index(first)
    assert ids[at : at + 2] == [first, first + 1] and max(ids) == first + 1
    rows = grown.text_encoder.get_input_embeddings().weight[first : first + 2]
    torch.testing.assert_close(rows, read_tensors(pruned / EMBEDDINGS_FILE)[name].float())


def test_galleries_and_forms_read_a_name_as_training_does(pruned, base, strongly_tuned):
    grown = load_pipeline(pruned / "pipeline", device="cpu", dtype=torch.float32)
    (vectors,) = TextualInversion(2).attach(base, Words(NAMES, "mushroom"), seed=0).values()
    vectors.data.copy_(torch.stack([read_tensors(strongly_tuned / EMBEDDINGS_FILE)[name] for name in NAMES]))
    trained = encode_tokens(base, tokenize_texts(base, NAMED_PROMPTS)).detach()
    gallery = torch.cat([_embed(grown, prompt, "")["prompt_embeds"] for prompt in NAMED_PROMPTS])
    torch.testing.assert_close(gallery, trained, rtol=5e-3, atol=5e-3)
    torch.testing.assert_close(DiffusionGuide(grown).embed(NAMED_PROMPTS), gallery, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(embed_texts(grown, NAMED_PROMPTS), gallery)


def test_plain_diffusers_draws_the_same_from_the_pipeline_and_from_either_format(pruned, base_dir, tmp_path):
    run_plainly(PLAIN, base_dir, pruned, tmp_path / "pictures.npz")
    pictures = np.load(tmp_path / "pictures.npz")
    assert np.abs(pictures["pruned"] - pictures["base"]).max() > 20 / 255
    assert np.abs(pictures["pruned"] - pictures["diffusers"]).max() < 1 / 255
    assert np.abs(pictures["a1111"] - pictures["diffusers"]).max() < 1e-5
    assert np.abs(pictures["control"] - pictures["base control"]).max() < 1 / 255


def test_each_name_has_a_file_in_either_format_in_half_precision(pruned, strongly_tuned):
    together = read_tensors(pruned / EMBEDDINGS_FILE)
    vectors = read_tensors(strongly_tuned / EMBEDDINGS_FILE)
    for name in NAMES:
        file = f"{name.replace(' ', '-')}.safetensors"
        diffusers = read_tensors(pruned / "embeddings/diffusers" / file)
        a1111 = read_tensors(pruned / "embeddings/a1111" / file)
        assert list(diffusers) == [name] and list(a1111) == ["emb_params"]
        for found in (together[name], diffusers[name], a1111["emb_params"]):
            assert torch.equal(found, vectors[name].half())


def test_every_file_of_vectors_says_what_they_were_learnt_on(pruned, base_dir):
    files = sorted((pruned / "embeddings").rglob("*.safetensors"))
    assert len(files) == 1 + 2 * len(NAMES)
    for path in files:
        header = read_header(path)
        assert (header["base_model"], header["base_model_sha256"]) == ("tiny", hash_folder(base_dir)), path
        assert json.loads(header["trigger_names"]) == NAMES
        assert (header["dataset_sha256"], header["licence"]) == (ORIGIN.dataset_sha256, "Apache-2.0, CC0-1.0")


def test_words_learnt_on_stable_diffusion_make_no_single_file_either(
    sd_dirs, dataset_dir, prompts_dir, tmp_path
):
    """Its layout has a name for every tensor, but a loader that brings its own tokenizer would not know the words."""
    tuned, pruned = tmp_path / "tuned", tmp_path / "pruned"
    tune_on(dataset_dir, sd_dirs[1], prompts_dir, tuned, max_steps=1)
    figures = prune(tuned, pruned, sd_dirs[1])
    record = json.loads((pruned / "weights.json").read_text())
    assert record["single_file_sha256"] is None and "words of its own" in record["single_file_left_out"]
    assert not (pruned / SINGLE_FILE).exists() and figures["single_file_mb"] == 0
    kept = sum(path.stat().st_size for path in (pruned / "embeddings").rglob("*.safetensors"))
    assert figures["embeddings_mb"] == round(kept / 1e6, 3) > 0
    assert check_pruned_from_tuned(pruned, tuned).passed and check_pruned_loads(pruned).passed


def test_the_record_names_the_names_and_the_hash_of_their_vectors(pruned, strongly_tuned):
    record = json.loads((pruned / "weights.json").read_text())
    assert record["names"] == NAMES and record["lora_sha256"] is None
    assert record["embeddings_sha256"] == hash_folder(pruned / "embeddings")
    assert check_pruned_from_tuned(pruned, strongly_tuned).passed
    assert check_pruned_loads(pruned).passed


def test_a_foreign_file_of_vectors_is_found(pruned, strongly_tuned, tmp_path):
    shutil.copytree(pruned, tmp_path / "pruned")
    write_for_use(tmp_path / "pruned", {name: torch.ones(2, 32) for name in NAMES}, {}, widths=[32])
    verdict = check_pruned_from_tuned(tmp_path / "pruned", strongly_tuned)
    assert not verdict.passed and "hashes differ for: embeddings" in verdict.finding


def test_at_part_of_the_strength_the_vectors_lie_that_far_from_the_class_noun(
    strongly_tuned, base_dir, tmp_path
):
    prune(strongly_tuned, tmp_path, base_dir, strength=0.25, has_single_file=False)
    learnt, initial = (
        read_tensors(strongly_tuned / EMBEDDINGS_FILE),
        read_tensors(strongly_tuned / INITIAL_FILE),
    )
    found, read = read_tensors(tmp_path / EMBEDDINGS_FILE), read_vectors(strongly_tuned, strength=0.25)
    for name in NAMES:
        expected = initial[name] + 0.25 * (learnt[name] - initial[name])
        torch.testing.assert_close(read[name], expected)
        assert torch.equal(found[name], read[name].half())


def test_the_checks_tell_learnt_vectors_from_those_that_stayed(tuned, base_dir, tmp_path):
    verdict = check_weights_changed(tuned, base_model=str(base_dir))
    assert verdict.passed and verdict.figures["changed"] == 2
    shutil.copytree(tuned, tmp_path / "still")
    shutil.copy(tuned / INITIAL_FILE, tmp_path / "still" / EMBEDDINGS_FILE)
    assert not check_weights_changed(tmp_path / "still", base_model=str(base_dir)).passed


def test_a_longer_run_lowers_the_loss_on_the_probe(base_dir, dataset_dir, prompts_dir, tmp_path):
    settings = SETTINGS | {"method": "textual_inversion", "max_steps": 40, "learning_rate": 3e-2}
    settings["checkpoint_every_s"] = 1e9
    figures = tune(dataset_dir, prompts_dir, tmp_path, base_model=str(base_dir), **settings)
    assert figures["probe_loss_after"] < figures["probe_loss_before"]
    assert figures["parameters"] == 2 * 2 * 32


def write_told(folder, texts, species):
    """One row with these texts of this species."""
    schema = image_schema({"image_id": pa.string(), "texts": pa.list_(pa.string()), "species": pa.string()})
    with ShardWriter(folder / "data", schema, shards=1, stem="train") as writer:
        image = {"bytes": picture(0), "path": ""}
        writer.write({"image": image, "image_id": "0", "texts": texts, "species": species})
    return folder


def tune_on(dataset, base_dir, prompts_dir, folder, **changed):
    settings = SETTINGS | {"method": "textual_inversion", "max_steps": 2} | changed
    return tune(dataset, prompts_dir, folder, base_model=str(base_dir), **settings)


def test_what_says_no_name_is_never_drawn(base_dir, prompts_dir, tmp_path):
    """A step of one draw without a name would have no gradient, which stops the run."""
    dataset = write_told(tmp_path, ["a photo of ashen cap", "a photo", "in moss"], "ashen cap")
    figures = tune_on(dataset, base_dir, prompts_dir, tmp_path / "tuned", batch_size=1, max_steps=40)
    assert (figures["texts"], figures["texts_drawn"]) == (4, 1), "the name alone is a text too"


@pytest.mark.parametrize(
    ("text", "species", "message"),
    [
        (
            "a photo of a cap",
            "ashen cap",
            "1 of 1 rows .* have no text with a species' name among the 32 tok",
        ),
        ("a cap " * 20 + "ashen cap", "ashen cap", "1 of 1 rows .* Lower .*vectors_per_species"),
        ("a photo of ashen cap", None, "have no species, whose names 'textual_inversion' learns"),
    ],
    ids=["never said", "said too late", "unknown"],
)
def test_rows_that_could_teach_no_name_are_refused(text, species, message, base_dir, prompts_dir, tmp_path):
    with pytest.raises(InputError, match=message):
        tune_on(write_told(tmp_path, [text], species), base_dir, prompts_dir, tmp_path / "tuned")


def test_a_name_that_the_tokenizer_knows_is_refused(base):
    add_names(base.tokenizer, NAMES, 2)
    with pytest.raises(InputError, match=r"as tokens already: \['golden bonnet'\]"):
        add_names(base.tokenizer, ["golden bonnet", "new cap"], 2)


def test_tokens_of_a_name_are_those_that_diffusers_looks_for():
    assert tokens_of("ashen cap", 1) == ["ashen cap"]
    assert tokens_of("ashen cap", 3) == ["ashen cap", "ashen cap_1", "ashen cap_2"]
