"""The command: it helps, it answers with exit codes, and it says what a user can mend without a traceback."""

import json
import os

import pytest
from click.testing import CliRunner

from fungal_assets.cli import main
from fungal_assets.growth import NOTE, partitions_of, plan_growth, prepare_environment, select_assets
from fungal_assets.profiles import get_profile
from fungal_assets.store import Store


@pytest.fixture
def run(monkeypatch, tmp_path):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path / "home"))
    for name in ("FUNGAL_STORE", "FUNGAL_PROFILE", "HF_HUB_OFFLINE", "OMP_WAIT_POLICY"):
        monkeypatch.setenv(name, "")  # so that what the command sets is taken back
        monkeypatch.delenv(name)
    return lambda *words: CliRunner().invoke(main, [str(word) for word in words])


@pytest.fixture
def grown(tmp_path):
    """A store that holds one output and the note of a growth."""
    store = Store(tmp_path / "store")

    def build(folder):
        (folder / "a.txt").write_text("a")
        return {"stability": 0.5}

    store.make("clusters", None, inputs=[], config={}, code_version="1", build=build)
    store.write_note(
        NOTE, {"profile": "pocket", "outputs": {"clusters": None, "species": None}, "seconds": 3.0}
    )
    return store


@pytest.mark.parametrize(("before", "after"), [(None, "PASSIVE"), ("ACTIVE", "ACTIVE")])
def test_threads_of_steps_sleep_while_they_wait_unless_told_otherwise(
    run, monkeypatch, tmp_path, before, after
):
    if before:
        monkeypatch.setenv("OMP_WAIT_POLICY", before)
    prepare_environment(str(tmp_path), get_profile("pocket"), tmp_path / "home")
    assert os.environ["OMP_WAIT_POLICY"] == after


@pytest.mark.parametrize("is_offline", [True, False])
def test_steps_reach_for_the_hub_only_in_a_growth_that_may(run, tmp_path, is_offline):
    prepare_environment(str(tmp_path), get_profile("pocket"), tmp_path / "home", is_offline=is_offline)
    assert os.environ.get("HF_HUB_OFFLINE") == ("1" if is_offline else None)


@pytest.mark.parametrize("command", main.commands)
def test_every_command_explains_itself(run, command):
    result = run(command, "--help")
    assert result.exit_code == 0 and "Usage" in result.output


def test_where_prints_the_folder_and_nothing_else(run, grown):
    result = run("where", "clusters", "--store", grown.root)
    assert result.exit_code == 0
    assert result.output == f"{grown.get('clusters').path}\n"


def test_where_says_what_to_type_when_there_is_nothing(run, tmp_path):
    result = run("where", "species", "--store", tmp_path)
    assert result.exit_code == 1
    assert "fungal grow --until species" in result.output and "Traceback" not in result.output


def test_the_report_is_one_flat_json_object(run, grown):
    figures = json.loads(run("report", "--json", "--store", grown.root).output)
    assert figures["clusters.stability"] == 0.5 and figures["total.seconds"] == 3.0
    assert all("." in name and not isinstance(value, dict | list) for name, value in figures.items())


def test_a_report_of_nothing_says_how_to_begin(run, tmp_path):
    result = run("report", "--store", tmp_path)
    assert result.exit_code == 1 and "nothing has been grown" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--source", "/no/such/folder"], "source '/no/such/folder' does not exist"),
        (["--until", "mushroom"], "asset 'mushroom' is not known; the assets are captioned_dataset"),
        (["--set", "clusters"], "'clusters' has no value; write ASSET.FIELD=VALUE"),
        (["--set", "cluster.seed=1"], "assets with settings are captioned_dataset"),
        (["--set", "clusters.algorithm=hdbscn"], "clusters.algorithm: String should match pattern"),
        (["--set", "raw_images.crop=smart"], "raw_images.crop: String should match pattern"),
        (
            ["--set", "clusters.seeds=1"],
            "the settings of clusters are algorithm, max_clusters, min_clusters, seed",
        ),
        (["--set", "clusters.seed=[1"], "'[1' is no YAML value"),
        (["--set", "clusters.seed=many"], "clusters.seed: Input should be a valid integer"),
        (
            ["--set", "forms_3d.iterations=0"],
            "forms_3d.iterations: Input should be greater than or equal to 1",
        ),
        (["--set", "fine_tuned_weights.learning_rate=fast"], "a number such as 0.001 was expected"),
        (
            ["--set", "published_dataset.branch=x"],
            "published_dataset change nothing: fungal publish keeps it",
        ),
        (
            ["--set", "resolution_atlas.pictures=4", "--set", "published_weights.branch=x"],
            "published_weights change nothing: fungal publish keeps it; settings of resolution_atlas change nothing: "
            "fungal atlas draws it",
        ),
        (["--set", "cppn_forms.seed=1"], "cppn_forms change nothing: it is grown with --with ancestors only"),
        (["--with", "ancestors", "--set", "cppn_forms.forms=0"], "cppn_forms.forms: Input should be greater"),
        (["--set", "raw_images.source=/tmp"], "this one has an option of its own, --source"),
        (
            ["--until", "clusters", "--set", "videos_3d.frames=9"],
            "settings of videos_3d change nothing: --until clusters",
        ),
    ],
    ids=[
        "source",
        "until",
        "no value",
        "no asset",
        "no algorithm",
        "no crop",
        "no field",
        "no yaml",
        "no number",
        "out of bounds",
        "no decimal",
        "no growth's",
        "no growth's either",
        "no branch",
        "of a branch",
        "own option",
        "not run",
    ],
)
def test_a_wrong_option_of_grow_is_one_sentence(run, tmp_path, words, said):
    result = run("grow", "--store", tmp_path / "store", *words)
    assert result.exit_code == 1 and said in result.output and "Traceback" not in result.output


def test_a_setting_takes_the_place_of_the_profiles(tmp_path):
    growth = plan_growth(
        profile="pocket",
        store=str(tmp_path),
        source=None,
        resolution=None,
        method=None,
        species=["pale cup"],
        until=None,
        settings=[
            "forms_3d.iterations=400",
            "sample_galleries.scheduler=Euler",
            "fine_tuned_weights.learning_rate=1e-4",
            "field_guide.title=Fungi: a guide",
        ],
    )
    ops = growth.run_config(["forms_3d", "sample_galleries", "fine_tuned_weights", "field_guide"])["ops"]
    assert ops["fine_tuned_weights"]["config"] == {"learning_rate": 1e-4}
    assert ops["field_guide"]["config"] == {"title": "Fungi: a guide"}
    assert ops["forms_3d"]["config"] == {"iterations": 400, "species_names": ["pale cup"]}
    assert ops["sample_galleries"]["config"] == {"scheduler": "Euler"}


def test_publishing_without_a_token_is_one_sentence(run, grown, monkeypatch):
    monkeypatch.delenv("HF_TOKEN", raising=False)
    result = run("publish", "dataset", "--repo", "ada/fungi", "--store", grown.root)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "no token: the environment variable HF_TOKEN is not set. Make a token at https://" in result.output


def test_publishing_what_was_not_grown_says_what_to_type(run, grown, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_none")
    result = run("publish", "weights", "--repo", "ada/fungi", "--store", grown.root)
    assert result.exit_code == 1 and "fungal grow --until pruned_weights" in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "fungal grow --until pruned_weights"),
        (["--set", "pictures=0"], "resolution_atlas.pictures: Input should be greater than or equal to"),
        (["--set", "picture=4"], "the settings of resolution_atlas are base_model, guidance_scale"),
    ],
    ids=["no weights", "no value", "no field"],
)
def test_an_atlas_that_cannot_be_drawn_says_why(run, grown, words, said):
    result = run("atlas", "--store", grown.root, *words)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert said in result.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "fungal grow --until forgetting_report"),
        (
            ["--set", "most_models=0"],
            "weights_comparison.most_models: Input should be greater than or equal to",
        ),
        (["--set", "models=4"], "the settings of weights_comparison are most_models"),
    ],
    ids=["no reports", "no value", "no field"],
)
def test_a_comparison_that_cannot_be_made_says_why(run, grown, words, said):
    result = run("compare", "--store", grown.root, *words)
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert said in result.output


def test_a_checkpoint_that_would_run_code_is_refused_in_one_sentence(run, tmp_path):
    import os

    import torch

    marker = tmp_path / "marker"

    class Planted:
        def __reduce__(self):
            return os.system, (f"touch {marker}",)

    torch.save({"state_dict": {}, "callbacks": Planted()}, tmp_path / "x.ckpt")
    result = run("convert", str(tmp_path / "x.ckpt"), str(tmp_path / "x.safetensors"))
    assert result.exit_code == 1 and "Traceback" not in result.output
    assert "is refused: its pickle names posix.system" in result.output
    assert not marker.exists()


def test_a_checkpoint_is_converted_and_its_sizes_are_told(run, tmp_path):
    import torch

    weights = {"model.diffusion_model.out.2.bias": torch.ones(1000)}
    torch.save({"state_dict": weights, "optimizer_states": [torch.ones(250_000)]}, tmp_path / "x.ckpt")
    out = tmp_path / "x.safetensors"
    result = run("convert", str(tmp_path / "x.ckpt"), str(out))
    assert result.exit_code == 0, result.output
    assert f"1.006 MB before, 0.002 MB after: {out}" in result.output


def test_an_unknown_profile_is_a_usage_error(run):
    assert run("grow", "--profile", "big").exit_code == 2


def test_until_takes_all_that_is_needed_and_no_more():
    assert select_assets("clusters") == {
        "collection": ["raw_images", "feature_vectors", "clusters"],
        "growth": [],
    }
    assert select_assets("pruned_weights")["growth"] == ["fine_tuned_weights", "pruned_weights"]


def test_a_branch_is_grown_after_the_road_and_only_where_it_is_asked_for():
    assert list(select_assets(None)) == ["collection", "growth"]
    jobs = select_assets("clusters", branches=["ancestors"])
    assert list(jobs) == ["collection", "growth", "ancestors"] and "cppn_forms" in jobs["ancestors"]
    keys = partitions_of(jobs, ["64", "lora|64", "64"])
    assert keys["cppn_forms"] is None and keys["clusters"] is None
    beside = jobs["ancestors"]
    assert {"cppn_meshes", "cppn_videos"} <= set(beside[beside.index("cppn_forms") :]), (
        "after what they are made of"
    )


@pytest.mark.parametrize(
    ("method", "settings", "is_rehearsing"),
    [
        pytest.param("lora", (), True, id="lora"),
        pytest.param("full", (), True, id="full"),
        pytest.param("textual_inversion", (), False, id="a method of names"),
        pytest.param("lora", ("fine_tuned_weights.rehearsal_share=0",), False, id="no share"),
    ],
)
def test_what_nobody_rehearses_is_not_made(method, settings, is_rehearsing, tmp_path):
    growth = plan_growth(
        profile="pocket",
        store=str(tmp_path),
        source=None,
        resolution=None,
        method=method,
        species=(),
        until=None,
        settings=settings,
    )
    assert growth.is_rehearsing == is_rehearsing
    selected = select_assets(None, is_rehearsing=growth.is_rehearsing)
    assert ("rehearsal" in selected["collection"]) == is_rehearsing
    assert "rehearsal" in select_assets("rehearsal", is_rehearsing=False)["collection"]


def test_settings_of_a_rehearsal_that_is_not_made_are_refused(run, tmp_path):
    result = run(
        "grow", "--store", tmp_path / "store", "--method", "textual_inversion", "--set", "rehearsal.seed=1"
    )
    assert result.exit_code == 1
    assert "settings of rehearsal change nothing: this growth rehearses nothing" in result.output


def test_options_reach_the_run_config_of_their_assets(tmp_path):
    growth = plan_growth(
        profile="pocket",
        store=str(tmp_path),
        source=str(tmp_path),
        resolution="64",
        method=None,
        species=["golden bell"],
        until=None,
    )
    assert growth.partitions == ("64", "lora|64")
    assert growth.run_config(["raw_images"])["ops"] == {"raw_images": {"config": {"source": str(tmp_path)}}}
    assert growth.run_config(["forms_3d"])["ops"]["forms_3d"]["config"] == {"species_names": ["golden bell"]}
    assert growth.run_config([])["resources"]["store"]["config"]["root"] == str(tmp_path)


def test_the_doctor_names_what_is_missing_and_mends(run, tmp_path, monkeypatch):
    monkeypatch.setattr("fungal_assets.doctor.MODEL_DIR", tmp_path / "none")
    result = run("doctor", "--store", tmp_path)
    assert result.exit_code == 1
    assert (
        "✗ pocket model: missing from the package; mend it with: python -m fungal_assets.pocket model"
        in result.output
    )
    assert "✓ python" in result.output


@pytest.mark.parametrize(
    ("profile", "source", "settings", "is_offline"),
    [
        pytest.param("pocket", None, (), True, id="pocket"),
        pytest.param("pocket", ".", (), True, id="a folder"),
        pytest.param("pocket", "hf:ada/fungi", (), False, id="a dataset of the hub"),
        pytest.param(
            "pocket", None, ("feature_vectors.extractor=dinov2-small",), False, id="a network of the hub"
        ),
        pytest.param(
            "pocket",
            None,
            ("captions.captioner=blip-image-captioning-large",),
            False,
            id="a captioner of the hub",
        ),
        pytest.param(
            "pocket",
            None,
            ("fine_tuned_weights.base_model=stable-diffusion-1.5",),
            False,
            id="a base model of the hub",
        ),
        pytest.param("pocket", None, ("forgetting_report.judge=clip",), False, id="a judge of the hub"),
        pytest.param("pocket", None, ("clusters.max_clusters=20",), True, id="another setting"),
        pytest.param("studio", None, (), False, id="studio"),
    ],
)
def test_a_growth_reaches_for_the_hub_only_where_it_is_asked_to(profile, source, settings, is_offline):
    growth = plan_growth(
        profile=profile,
        store="store",
        source=source,
        resolution=None,
        method=None,
        species=(),
        until=None,
        settings=settings,
    )
    assert growth.is_offline == is_offline
