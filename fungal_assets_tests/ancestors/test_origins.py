"""Addresses of objects: files, grown forms, forms of the fungarium; what is unknown is told with what there is."""

import json

import numpy as np
import pytest

from fungal_assets.ancestors.origins import DEFAULTS, choose_origins, read_origin
from fungal_assets.errors import InputError
from fungal_assets.forms.keeping import save_volume
from fungal_assets_tests.forms.shapes import toadstool


@pytest.fixture(scope="module")
def forms_3d(tmp_path_factory):
    folder = tmp_path_factory.mktemp("forms_3d")
    rows = [
        {"common_name": name, "slug": name.replace(" ", "-")} for name in ("pale cup", "red cap", "a", "b")
    ]
    for row in rows[:2]:
        (folder / row["slug"]).mkdir()
        save_volume(folder / row["slug"] / "form.npz", toadstool(32), row)
    (folder / "forms.json").write_text(json.dumps({"forms": rows}))
    return folder


def test_a_grown_form_is_read_with_its_colours(forms_3d):
    name, body = read_origin("form:red cap", forms_3d)
    assert name == "red cap"
    top = body.colours[body.vertices[:, 1] > 0.13].mean(0)
    assert np.abs(top - [0.85, 0.15, 0.1]).max() < 0.05


def test_a_form_of_the_fungarium_has_its_seed():
    name, one = read_origin("fungarium:agaric:5")
    _, other = read_origin("fungarium:agaric:6")
    assert name == "agaric 5" and len(one.vertices) != len(other.vertices)


@pytest.mark.parametrize(
    ("addresses", "chosen"),
    [
        ([], ["form:pale cup", "form:red cap", "form:a"]),
        (["form:"], ["form:pale cup", "form:red cap", "form:a", "form:b"]),
        (["fungarium:coral", "form:a", "form:a"], ["fungarium:coral", "form:a"]),
    ],
    ids=["none", "all", "named"],
)
def test_addresses_are_settled_before_anything_is_read(forms_3d, addresses, chosen):
    assert choose_origins(addresses, forms_3d) == chosen


def test_without_grown_forms_the_fungariums_are_taken():
    assert choose_origins([], None) == list(DEFAULTS)


def test_a_path_is_kept_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert choose_origins(["x.glb"], None) == [str(tmp_path / "x.glb")]


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("form:blue", "form:blue is not known: the grown forms are a, b, pale cup, red cap"),
        ("fungarium:truffle", "fungarium:truffle is not known; write fungarium:MORPHOTYPE"),
        ("fungarium:agaric:x", "fungarium:agaric:x is not known"),
    ],
)
def test_an_unknown_object_is_told_with_those_there_are(forms_3d, address, said):
    with pytest.raises(InputError, match=said):
        read_origin(address, forms_3d)


def test_without_forms_a_form_is_told_how_to_grow():
    with pytest.raises(
        InputError, match="there are no grown forms. Grow forms with: fungal grow --until forms_3d"
    ):
        read_origin("form:red cap")
