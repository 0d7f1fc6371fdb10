"""The README: its tables name what is there, all of it and nothing else."""

import ast
import csv
import re
from pathlib import Path

import pytest

from fungal_assets.cli import main
from fungal_assets.defs.building import CHECKS, build_definitions
from fungal_assets.profiles import METHODS, PROFILES

README = Path(__file__).parents[1] / "README.md"


def first_column(heading):
    section = README.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    return re.findall(r"^\| `([^`]+)`", section, flags=re.MULTILINE)


def test_the_asset_table_is_the_graph():
    specs = {spec.key.to_user_string(): spec for spec in build_definitions().resolve_all_asset_specs()}
    assert sorted(first_column("The assets")) == sorted(CHECKS) == sorted(specs)
    for line in README.read_text().splitlines():
        if (found := re.match(r"\| `(\w+)` \| (\w+) \|", line)) and found[1] in specs:
            assert specs[found[1]].group_name == found[2], line


def test_the_command_table_is_the_command():
    assert sorted(first_column("The command `fungal`")) == sorted(
        f"fungal {name}" + (" ASSET" if name == "where" else "") for name in main.commands
    )


def test_the_profile_table_is_the_preset_table():
    assert first_column("Profiles") == list(PROFILES)
    for profile in PROFILES.values():
        line = next(row for row in README.read_text().splitlines() if row.startswith(f"| `{profile.name}` |"))
        assert f"| {profile.resolution} px |" in line and line.endswith(f"| {profile.expected} |")


def test_the_atlas_says_what_its_table_has():
    """Each mean of a part, and each block that is named with its three figures, as a reader would check them."""
    with (README.parent / "docs/resolution_atlas.csv").open() as file:
        rows = {row["block"]: row for row in csv.DictReader(file)}
    text = " ".join((README.parent / "docs/resolution_atlas.md").read_text().split())
    columns = [f"{one}: first step" for one in ("64", "256", "other seeds")]

    def told(blocks):
        return [f"{sum(float(rows[one][column]) for one in blocks) / len(blocks):.2f}" for column in columns]

    for part, pattern in (
        ("down_blocks", "`down_blocks`: {} at 64 px and {} at 256 px, other seeds {}"),
        ("up_blocks", "`up_blocks`: {} and {}, other seeds {}"),
    ):
        assert pattern.format(*told([one for one in rows if one.startswith(part)])) in text
    for block in ("up_blocks.0.attentions.0", "up_blocks.0.resnets.1"):
        assert "`{}` ({} and {}, other seeds {})".format(block, *told([block])) in text
    place = rows["up_blocks.0.resnets.1"]
    shares = [round(float(place[f"alike by place{more}"]), 2) for more in ("", ", borders joined")]
    assert f"in `up_blocks.0.resnets.1`, {shares[0]:.2f} of what" in text
    assert f"joined to the opposite ones it is {shares[1]:.2f}" in text


def test_the_method_table_has_each_method_and_its_learning_rates():
    assert sorted(first_column("The methods")) == sorted(METHODS)
    for method in METHODS:
        line = next(row for row in README.read_text().splitlines() if row.startswith(f"| `{method}` |"))
        rates = [
            row.fill("fine_tuned_weights", {"learning_rate": None}, method)["learning_rate"]
            for row in PROFILES.values()
        ]
        assert [float(text) for text in line.split("|")[-2].split(",")] == rates


def test_the_table_of_steps_has_the_values_of_the_profiles():
    names = first_column("How a step is taken")
    assert len(names) == 9
    for name in names:
        line = next(row for row in README.read_text().splitlines() if row.startswith(f"| `{name}` |"))
        values = [row.settings["fine_tuned_weights"][name] for row in PROFILES.values()]
        assert [text.strip() for text in line.split("|")[-3:-1]] == [str(value) for value in values]


@pytest.mark.parametrize("target", ["grow", "test", "ui"])
def test_the_make_targets_exist(target):
    assert f"make {target}" in README.read_text()
    assert re.search(rf"^{target}:", (README.parent / "Makefile").read_text(), flags=re.MULTILINE)


def test_the_table_of_what_is_learnt_and_kept_is_that_of_its_benchmark():
    """The columns are those that the benchmark prints, and each of our methods that stands there is one."""
    tree = ast.parse((README.parent / "benchmarks/retention.py").read_text())
    found = {
        target.id: ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name) and target.id == "COLUMNS"
    }
    header = f"| model | {' | '.join(found['COLUMNS'].values())} |"
    assert header in README.read_text()
    rows = README.read_text().split(header)[1].split("\n\n")[0].splitlines()[2:]
    assert all(row.count("|") == header.count("|") for row in rows)
    names = [row.split("|")[1].strip() for row in rows]
    assert "base" in names and set(names) & set(METHODS)
