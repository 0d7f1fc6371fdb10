"""Profiles: every setting of every asset has a value in every row, and no row has a setting that nothing reads."""

import pytest

from fungal_assets.defs.building import ASSET_MODULES
from fungal_assets.defs.keeping import StageConfig, config_of
from fungal_assets.errors import InputError
from fungal_assets.profiles import METHODS, PROFILES, RESOLUTIONS, get_profile

CONFIGS = {
    kind.__name__.removesuffix("Config"): kind
    for module in ASSET_MODULES
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, StageConfig) and kind is not StageConfig
}


@pytest.mark.parametrize("name", PROFILES)
def test_every_row_fills_every_setting_and_no_other(name):
    rows = PROFILES[name].settings
    assert len(rows) == len(CONFIGS)
    for asset, row in rows.items():
        assert set(row) == set(config_of(asset).model_fields), asset
        assert config_of(asset)(**row).model_dump() == dict(row)


def test_a_given_setting_is_taken_before_the_rows():
    profile = get_profile("pocket")
    assert profile.fill("clusters", {"min_clusters": 7, "seed": None}) == {"min_clusters": 7, "seed": 0}


def test_a_method_has_its_own_learning_rate_and_what_is_given_still_counts():
    profile, empty = get_profile("pocket"), {"learning_rate": None, "seed": None}
    filled = [
        profile.fill("fine_tuned_weights", empty, method) for method in ("lora", "full", "textual_inversion")
    ]
    assert [row["learning_rate"] for row in filled] == [1e-3, 1e-4, 2e-2]
    assert {row["seed"] for row in filled} == {0}
    given = {"learning_rate": 0.5}
    assert profile.fill("fine_tuned_weights", given, "textual_inversion") == given


@pytest.mark.parametrize("name", PROFILES)
def test_what_a_method_changes_are_settings_of_the_profile(name):
    profile = PROFILES[name]
    assert profile.method not in profile.by_method and set(profile.by_method) <= set(METHODS)
    for assets in profile.by_method.values():
        for asset, fields in assets.items():
            assert set(fields) <= set(profile.settings[asset])


def test_an_unknown_profile_is_refused_with_the_known_ones():
    with pytest.raises(InputError, match="profile 'big' is not known; the profiles are pocket, studio"):
        get_profile("big")


@pytest.mark.parametrize("name", PROFILES)
def test_every_rows_partition_exists(name):
    assert PROFILES[name].resolution in RESOLUTIONS and PROFILES[name].method in METHODS
