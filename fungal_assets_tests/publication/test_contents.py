"""What goes up: the publishable files of an output, under the names that people load."""

import pytest

from fungal_assets.errors import ProvenanceError
from fungal_assets.publication.contents import dataset_contents, weights_contents
from fungal_assets.publication.publishing import publish
from fungal_assets.store import Store
from fungal_assets_tests.publication.conftest import ASKED, keep_dataset, keep_weights


def test_the_same_files_have_the_same_tag_and_others_another(store, dataset):
    first = dataset_contents(dataset, repo_id="ada/a")
    assert first.tag == dataset_contents(dataset, repo_id="ada/a").tag == f"growth-{first.hash[:12]}"
    assert first.tag != dataset_contents(keep_dataset(store, shards=3), repo_id="ada/a").tag


def test_the_pipeline_lies_at_the_root_with_a_card_and_the_base_models(store, hub, loopback):
    contents = weights_contents(*keep_weights(store), repo_id="ada/weights")
    publication = publish(contents, hub, **ASKED | {"repo_id": "ada/weights"})
    there = loopback.files("ada/weights", kind="model")
    assert (
        set(there)
        == set(publication.files)
        == {
            "model_index.json",
            "unet/diffusion_pytorch_model.safetensors",
            "vae/diffusion_pytorch_model.safetensors",
            "lora/pytorch_lora_weights.safetensors",
            "lora/kohya_lora_weights.safetensors",
            "single_file/fungal_assets.safetensors",
            "weights.json",
            "README.md",
            "base_model_card.md",
            "provenance.json",
        }
    )
    assert publication.url == f"{loopback.url}/ada/weights/tree/{publication.tag}"
    card = there["README.md"].decode()
    assert ' DiffusionPipeline.from_pretrained("ada/weights")' in card
    assert "license: apache-2.0" in card and "Retention 0.97 (interval 0.91 to 1.00)" in card
    assert (
        'load_lora_weights("ada/weights", subfolder="lora", weight_name="pytorch_lora_weights.safetensors")'
        in card
    )
    assert "`kohya_lora_weights.safetensors`" in card and "`single_file/fungal_assets.safetensors`" in card
    assert "Twemoji" in there["base_model_card.md"].decode(), (
        "the attributions of what the base model learnt from"
    )


def test_weights_that_forgot_too_much_do_not_go_up(store):
    with pytest.raises(
        ProvenanceError, match="not published, since control_knowledge_kept failed: retention 0.4"
    ):
        weights_contents(*keep_weights(store, retention=0.4), repo_id="ada/weights")


def test_a_report_on_other_weights_does_not_count(store, tmp_path):
    weights, gallery, report = keep_weights(store)
    with pytest.raises(ProvenanceError, match="'forgetting_report/lora|128' is not of the newest"):
        weights_contents(weights, weights, report, repo_id="ada/weights")


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        pytest.param(
            {"unet": b"tuned anew"}, "'sample_galleries.*' is not of the newest 'pruned_weights", id="weights"
        ),
        pytest.param(
            {"gallery": "[]"}, "'forgetting_report.*' is not of the newest 'sample_galleries", id="gallery"
        ),
    ],
)
def test_each_step_from_the_weights_to_the_report_counts(store, tmp_path, changed, told):
    weights, gallery, report = keep_weights(store)
    other_weights, other_gallery, _ = keep_weights(Store(tmp_path / "other"), **changed)
    newest = (other_weights, gallery) if "unet" in changed else (weights, other_gallery)
    with pytest.raises(ProvenanceError, match=told):
        weights_contents(*newest, report, repo_id="ada/weights")
