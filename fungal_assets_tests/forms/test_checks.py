"""Checks of forms: wrong guides, open or hollow meshes, ghosts and strangers are found."""

import json
import shutil

import pytest
import torch

from fungal_assets.forms.checks import (
    check_guide,
    check_recognition,
    check_solidity,
)
from fungal_assets.forms.keeping import save_volume
from fungal_assets.forms.volume import EMPTY, Volume
from fungal_assets_tests.forms.shapes import sphere, toadstool

GUIDE = "a" * 64


def _keep_form(root, volume, slug="red-toadstool", **changes):
    notes = {"species_id": "species-00", "cluster_id": 0, "common_name": slug.replace("-", " "), "slug": slug,
             "guide_sha256": GUIDE, "recognised": 0.9} | changes  # fmt: skip
    (root / slug).mkdir(parents=True)
    save_volume(root / slug / "form.npz", volume, notes)
    (root / "forms.json").write_text(json.dumps({"forms": [notes]}))
    return root


@pytest.fixture(scope="module")
def forms_3d(tmp_path_factory):
    return _keep_form(tmp_path_factory.mktemp("forms_3d"), toadstool(32))


@pytest.fixture
def damaged(forms_3d, tmp_path):
    shutil.copytree(forms_3d, tmp_path / "forms_3d")
    return tmp_path


def _weights(folder, sha256, base="b" * 64):
    folder.mkdir()
    (folder / "weights.json").write_text(
        json.dumps({"pipeline_sha256": sha256, "base_model": {"sha256": base}})
    )
    return folder


def _renote(root, **changes):
    forms = json.loads((root / "forms.json").read_text())["forms"]
    (root / "forms.json").write_text(json.dumps({"forms": [form | changes for form in forms]}))


def test_good_forms_pass(forms_3d, tmp_path):
    verdicts = [
        check_guide(forms_3d, _weights(tmp_path / "weights", GUIDE)),
        check_solidity(forms_3d), check_recognition(forms_3d),
    ]  # fmt: skip
    assert [verdict.finding for verdict in verdicts if not verdict.passed] == []


def test_a_form_guided_by_the_base_model_is_caught(forms_3d, tmp_path):
    verdict = check_guide(forms_3d, _weights(tmp_path / "weights", "c" * 64, base=GUIDE))
    assert not verdict.passed and "red toadstool was guided by the untuned base model" in verdict.finding


def test_a_form_guided_by_older_weights_is_caught(forms_3d, tmp_path):
    verdict = check_guide(forms_3d, _weights(tmp_path / "weights", "c" * 64))
    assert not verdict.passed and "other weights (aaaaaaaaaaaa)" in verdict.finding


@pytest.mark.parametrize(
    ("volume", "finding"),
    [
        (
            Volume(torch.where(sphere(0.6, 24).density > 0, -2.5, EMPTY), torch.zeros(3, 24, 24, 24)),
            "is glassy",
        ),
        (sphere(0.12, 24), "covers"),
    ],
    ids=["ghost", "speck"],
)
def test_a_form_that_is_not_solid_is_caught(tmp_path, volume, finding):
    verdict = check_solidity(_keep_form(tmp_path / "forms_3d", volume))
    assert not verdict.passed and finding in verdict.finding


def test_a_form_taken_for_another_species_is_caught(damaged):
    _renote(damaged / "forms_3d", recognised=0.25)
    verdict = check_recognition(damaged / "forms_3d")
    assert not verdict.passed and "weak: red toadstool (25%)" in verdict.finding


def test_missing_outputs_are_failed_verdicts_not_errors(tmp_path):
    for check in (check_solidity, check_recognition):
        assert not check(tmp_path).passed
    assert not check_guide(tmp_path, tmp_path).passed
