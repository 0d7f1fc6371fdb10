"""A checkpoint of someone else's: its weights come out as they were, and nothing in it is run."""

import os
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import pytest
import torch

from fungal_assets.diffusion.base_models import load_pipeline, resolve_base_model
from fungal_assets.diffusion.encoding import read_tensors
from fungal_assets.diffusion.original_layout import UNET, to_original
from fungal_assets.diffusion.single_files import convert_checkpoint, read_checkpoint
from fungal_assets.errors import InputError
from fungal_assets_tests.diffusion.conftest import stable_diffusion

EMA_SHIFT = 0.5
MAPPINGS = Path("/proc/self/maps")


@pytest.fixture(scope="module")
def original():
    return to_original(stable_diffusion(1))


@pytest.fixture
def trainer(monkeypatch):
    """A class of a trainer's library that is there when the checkpoint is written, and not when it is read."""
    name = "pytorch_lightning.callbacks.model_checkpoint"
    module = types.ModuleType(name)
    kind = type("ModelCheckpoint", (), {"__module__": name})
    module.ModelCheckpoint = kind
    with monkeypatch.context() as patch:
        for place in ("pytorch_lightning", "pytorch_lightning.callbacks"):
            patch.setitem(sys.modules, place, types.ModuleType(place))
        patch.setitem(sys.modules, name, module)
        yield kind


@pytest.fixture
def artists(original, trainer, monkeypatch, tmp_path):
    """A `.ckpt` as the artist's: weights, their average, the loss network, two moments each, callbacks."""
    unet = [name for name in original if name.startswith(UNET)]
    averages = {
        "model_ema." + name.removeprefix("model.").replace(".", ""): original[name] + EMA_SHIFT
        for name in unet
    }
    moments = {
        number: {"exp_avg": original[name].clone(), "exp_avg_sq": original[name].clone()}
        for number, name in enumerate(unet)
    }
    held = {
        "epoch": 141,
        "state_dict": original
        | averages
        | {"model_ema.decay": torch.tensor(0.9999), "betas": torch.ones(1000)}
        | {"first_stage_model.loss.logvar": torch.ones(1)},
        "optimizer_states": [{"state": moments, "param_groups": [{"lr": 1e-4}]}],
        "callbacks": {trainer: {"best_model_score": np.float64(0.1), "itself": trainer()}},
        "lr_schedulers": [],
    }
    path = tmp_path / "artists.ckpt"
    torch.save(held, path)
    for name in [name for name in sys.modules if name.startswith("pytorch_lightning")]:
        monkeypatch.delitem(sys.modules, name)
    return path


@pytest.mark.parametrize("weights", ["plain", "ema"])
def test_the_weights_asked_for_come_out_in_half_precision_and_all_else_is_counted(
    weights, artists, original, tmp_path
):
    out = tmp_path / "out.safetensors"
    figures = convert_checkpoint(artists, out, weights=weights)
    found = read_tensors(out)
    assert found.keys() == original.keys()
    for name, values in original.items():
        expected = values + EMA_SHIFT if weights == "ema" and name.startswith(UNET) else values
        assert torch.equal(found[name], expected.half()), name
    assert figures["tensors"] == len(original)
    assert figures["dropped"] == (
        "1 betas, 1 callbacks, 1 epoch, 1 first_stage_model, 1 lr_schedulers, 687 model_ema, 1 optimizer_states"
    )
    assert figures["before_mb"] == round(artists.stat().st_size / 1e6, 3)
    assert figures["after_mb"] == round(out.stat().st_size / 1e6, 3) < figures["before_mb"] / 6


def test_a_folder_of_it_is_a_base_model_with_the_same_weights(artists, sd_dirs, tmp_path):
    convert_checkpoint(artists, tmp_path / "base", weights="plain", like=str(sd_dirs[1]))
    assert resolve_base_model(str(tmp_path / "base")).id == "base"
    found = load_pipeline(tmp_path / "base", device="cpu", dtype=torch.float32)
    expected = load_pipeline(sd_dirs[1], device="cpu", dtype=torch.float32)
    for part in ("unet", "vae", "text_encoder"):
        values = getattr(found, part).state_dict()
        for name, tensor in getattr(expected, part).state_dict().items():
            assert torch.equal(values[name], tensor.half().float()), name
    assert sorted(path.name for path in tmp_path.iterdir()) == ["artists.ckpt", "base"]


@pytest.mark.skipif(not MAPPINGS.exists(), reason="looks into Linux' table of mappings")
def test_what_is_dropped_is_mapped_and_not_read_into_memory(artists):
    """The optimiser's moments lie at addresses where the file itself is mapped."""
    held = read_checkpoint(artists)
    rows = [row.split() for row in MAPPINGS.read_text().splitlines() if row.endswith(str(artists))]
    spans = [tuple(int(end, 16) for end in row[0].split("-")) for row in rows]
    for state in held["optimizer_states"][0]["state"].values():
        for tensor in state.values():
            assert any(start <= tensor.data_ptr() < end for start, end in spans)


class Planted:
    """On unpickling, it runs a command."""

    def __init__(self, function, *arguments):
        self.what = (function, arguments)

    def __reduce__(self):
        return self.what


@pytest.mark.parametrize("function", [os.system, eval, exec], ids=["os.system", "eval", "exec"])
def test_a_planted_pickle_is_refused_and_not_run(function, original, tmp_path):
    marker = tmp_path / "marker"
    code = (
        f"touch {marker}" if function is os.system else f"__import__('pathlib').Path({str(marker)!r}).touch()"
    )
    torch.save({"state_dict": original, "callbacks": Planted(function, code)}, tmp_path / "planted.ckpt")
    with pytest.raises(
        InputError, match=r"is refused: its pickle names \w+\.(system|eval|exec), .*Nothing of it was run"
    ):
        convert_checkpoint(tmp_path / "planted.ckpt", tmp_path / "out.safetensors", weights="plain")
    assert not marker.exists() and not (tmp_path / "out.safetensors").exists()
    pickle.loads(pickle.dumps(Planted(function, code)))
    assert marker.exists(), "the plant would have worked"


@pytest.mark.parametrize(
    ("make", "told"),
    [
        pytest.param(lambda path: None, "is not a file", id="missing"),
        pytest.param(lambda path: path.write_bytes(b"PK\3\4 cut off"), "is damaged", id="damaged"),
        pytest.param(
            lambda path: torch.save({"a": torch.ones(1)}, path, _use_new_zipfile_serialization=False),
            "format before 1.6",
            id="old",
        ),
        pytest.param(lambda path: torch.save([1], path), "holds a list", id="list"),
        pytest.param(
            lambda path: torch.save({"state_dict": {"unet.conv_in.weight": torch.ones(1)}}, path),
            "no Stable Diffusion in the original layout. Names begin with unet",
            id="other layout",
        ),
        pytest.param(
            lambda path: torch.save({"state_dict": 3}, path), "'state_dict' is a int", id="no dictionary"
        ),
    ],
)
def test_what_holds_no_weights_is_refused_by_what_it_is(make, told, tmp_path):
    make(tmp_path / "x.ckpt")
    with pytest.raises(InputError, match=told):
        convert_checkpoint(tmp_path / "x.ckpt", tmp_path / "out.safetensors", weights="plain")


def test_averages_that_are_not_there_are_refused(original, tmp_path):
    torch.save({"state_dict": original}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="686 of 686 weights of the UNet have no running average"):
        convert_checkpoint(tmp_path / "x.ckpt", tmp_path / "out.safetensors", weights="ema")


def test_a_folder_needs_a_base_model_of_its_own_architecture(original, base_dir, sd_dirs, tmp_path):
    torch.save({"state_dict": original}, tmp_path / "x.ckpt")
    with pytest.raises(InputError, match="Give a base model of the same architecture"):
        convert_checkpoint(tmp_path / "x.ckpt", tmp_path / "folder", weights="plain")
    for other in (base_dir, sd_dirs[2]):
        with pytest.raises(InputError, match=f"(not of the architecture of|lacks .* that) '{other.name}'"):
            convert_checkpoint(tmp_path / "x.ckpt", tmp_path / "folder", weights="plain", like=str(other))
    assert [path.name for path in tmp_path.iterdir()] == ["x.ckpt"]


@pytest.mark.parametrize("name", ["folder", "x.safetensors"])
def test_nothing_that_is_there_is_written_over(name, original, sd_dirs, tmp_path):
    torch.save({"state_dict": original}, tmp_path / "x.ckpt")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "folder/picture.png", tmp_path / "x.safetensors"):
        path.write_text("dear")
    with pytest.raises(InputError, match="is there already"):
        convert_checkpoint(tmp_path / "x.ckpt", tmp_path / name, weights="plain", like=str(sd_dirs[1]))
    assert (tmp_path / "folder/picture.png").read_text() == (tmp_path / "x.safetensors").read_text() == "dear"


def test_a_file_as_base_model_names_the_command_that_makes_one_of_it(artists):
    with pytest.raises(InputError, match=r"is a file; .*fungal convert .*artists.ckpt FOLDER --like"):
        resolve_base_model(str(artists))
