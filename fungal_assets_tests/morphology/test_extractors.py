from __future__ import annotations

import json

import pytest

from fungal_assets.errors import InputError, ProvenanceError
from fungal_assets.morphology.extractors import (
    EfficientNetLite0,
    describe_extractor,
    find_extractor,
    licences_of,
    list_extractors,
    recorded_extractor,
)
from fungal_assets.profiles import PROFILES
from fungal_assets_tests.morphology.models import save_dinov2

NAMES = [
    "efficientnet-lite0",
    "efficientnet-lite0-int8",
    "vgg16-fc2",
    "dinov2-small",
    "clip-vit-base-patch32",
]


def test_there_are_five_names_and_the_profiles_take_one_of_them():
    assert list_extractors() == NAMES
    assert {row.settings["feature_vectors"]["extractor"] for row in PROFILES.values()} <= set(NAMES)
    assert isinstance(find_extractor("efficientnet-lite0"), EfficientNetLite0)


def test_licences_are_those_of_the_extractor_and_of_the_classifier():
    for name in ("efficientnet-lite0", "efficientnet-lite0-int8", "/some/folder"):
        assert licences_of(name) == ["Apache-2.0"]
    assert licences_of("vgg16-fc2") == ["Apache-2.0", "BSD-3-Clause"]


@pytest.mark.parametrize("name", ["resnet50", "./nowhere"])
def test_an_unknown_name_is_refused_with_the_known_ones(name):
    with pytest.raises(InputError, match=f"is neither a name nor a folder; the names are {', '.join(NAMES)}"):
        find_extractor(name)


@pytest.mark.parametrize("name", NAMES[2:])
def test_without_the_hub_one_error_says_what_to_do(name, tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=rf"extractor '{name}' could not be fetched .*needs no hub"):
        find_extractor(name)


def test_a_model_of_the_hub_is_asked_for_at_its_commit_and_has_its_name(tmp_path, monkeypatch):
    asked = {}

    def give(hub_id, *, revision, allow_patterns):
        asked.update(hub_id=hub_id, revision=revision, allow_patterns=allow_patterns)
        return str(save_dinov2(tmp_path))

    monkeypatch.setattr("huggingface_hub.snapshot_download", give)
    assert (
        find_extractor("dinov2-small").name == find_extractor("facebook/dinov2-small").name == "dinov2-small"
    )
    assert asked["hub_id"] == "facebook/dinov2-small" and len(asked["revision"]) == 40
    assert not any(pattern.endswith((".bin", "*")) for pattern in asked["allow_patterns"])


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (None, "config.json is missing"),
        (
            {"model_type": "resnet"},
            "kind 'resnet'; as extractors the kinds dinov2, clip, clip_vision_model, vgg16",
        ),
        ({"architecture": "vgg16_bn"}, "kind 'vgg16_bn'"),
    ],
    ids=["none", "transformers", "timm"],
)
def test_a_folder_of_another_kind_is_refused(tmp_path, config, message):
    if config:
        (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=message):
        find_extractor(str(tmp_path))


def record(folder, **changed):
    folder.mkdir()
    model = find_extractor(str(save_dinov2(folder / "model")))
    (folder / "extractor.json").write_text(json.dumps(describe_extractor(model) | changed))
    return model


def test_the_recorded_extractor_is_found_again(tmp_path):
    model = record(tmp_path / "clusters")
    again = recorded_extractor(tmp_path / "clusters")
    assert (again.name, again.sha256) == (str(tmp_path / "clusters" / "model"), model.sha256)


def test_a_recorded_extractor_with_other_weights_now_is_refused(tmp_path):
    record(tmp_path / "clusters")
    save_dinov2(tmp_path / "clusters" / "model", seed=5)
    with pytest.raises(
        ProvenanceError, match="no picture can be compared with them. Put the old weights back"
    ):
        recorded_extractor(tmp_path / "clusters")


def test_vectors_of_an_unknown_extractor_are_refused(tmp_path):
    with pytest.raises(ProvenanceError, match="not known which extractor .* fungal grow --until clusters"):
        recorded_extractor(tmp_path)
