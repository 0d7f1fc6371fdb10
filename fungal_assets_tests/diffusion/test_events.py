"""Event files: what TensorBoard's own reader finds in them, and that outputs know nothing of them."""

import pytest

from fungal_assets.diffusion.events import is_installed, written_down
from fungal_assets.store import Store, hash_folder
from fungal_assets_tests.diffusion.conftest import SETTINGS, tune

needs_tensorboard = pytest.mark.skipif(not is_installed(), reason="pip install 'fungal_assets[watch]'")


def read(logs):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(logs))
    events.Reload()
    return events


@needs_tensorboard
def test_every_step_and_sheet_is_read_back_and_the_output_is_the_same_without(
    base_dir, dataset_dir, prompts_dir, tmp_path
):
    settings = SETTINGS | {"watch_every_steps": 4}
    heard = {}
    tune(
        dataset_dir,
        prompts_dir,
        tmp_path / "with",
        base_model=str(base_dir),
        **settings,
        logs=tmp_path / "logs",
        on_step=lambda step, figures: heard.update({step: dict(figures)}),
    )
    tune(dataset_dir, prompts_dir, tmp_path / "without", base_model=str(base_dir), **settings)
    assert hash_folder(tmp_path / "with") == hash_folder(tmp_path / "without")
    events = read(tmp_path / "logs")
    assert [event.step for event in events.Images("looks")] == [0, 4, 6]
    for name in ("loss", "learning_rate"):
        found = {event.step: event.value for event in events.Scalars(name)}
        assert found == {step: pytest.approx(heard[step][name], rel=1e-6) for step in range(1, 7)}
    assert [event.step for event in events.Scalars("held_out_loss")] == [4, 6]


@needs_tensorboard
def test_steps_that_a_killed_run_wrote_and_that_are_done_again_are_there_once(tmp_path):
    heard = []
    for steps, value in (((1, 2, 3), 1.0), ((2, 3, 4), 2.0)):
        with written_down(lambda step, _figures: heard.append(step), tmp_path, tmp_path) as hear:
            for step in steps:
                hear(step, {"loss": value})
    assert heard == [1, 2, 3, 2, 3, 4]
    assert [(event.step, event.value) for event in read(tmp_path).Scalars("loss")] == [
        (1, 1.0),
        (2, 2.0),
        (3, 2.0),
        (4, 2.0),
    ]


def test_without_a_folder_steps_are_heard_of_and_nothing_is_written(tmp_path):
    heard = []
    with written_down(lambda step, _figures: heard.append(step), None, tmp_path) as hear:
        hear(1, {"loss": 0.5})
    assert heard == [1] and not list(tmp_path.iterdir())


def test_logs_lie_beside_the_outputs_by_their_fingerprint(tmp_path):
    places = []

    def build(folder):
        places.append(store.logs("weights", "lora|64", folder))
        places[0].mkdir(parents=True)
        (places[0] / "events").write_text("now")
        (folder / "weights").write_text("1")
        return {}

    store = Store(tmp_path)
    output = store.make("weights", "lora|64", inputs=[], config={}, code_version="1", build=build).output
    assert places[0] == tmp_path / "logs/weights/lora|64" / output.record.fingerprint
    assert list(output.record.files) == ["weights"] and store.partitions("weights") == ["lora|64"]
