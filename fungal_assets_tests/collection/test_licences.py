import pytest

from fungal_assets.collection.licences import spdx_id, to_spdx


@pytest.mark.parametrize(
    "given, expected",
    [
        ("http://creativecommons.org/licenses/by-sa/3.0/", "CC-BY-SA-3.0"),
        ("https://creativecommons.org/licenses/by/4.0/legalcode", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by/3.0/us/", "CC-BY-3.0-US"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("cc by-nc 4.0", "CC-BY-NC-4.0"),
        ("CC0", "CC0-1.0"),
        ("CC-BY-4.0", "CC-BY-4.0"),
        ("all rights reserved", "all rights reserved"),
    ],
)
def test_a_licence_becomes_its_spdx_id_or_stays(given, expected):
    assert to_spdx(given) == expected


@pytest.mark.parametrize("licence", ["CC-BY-4.0", "CC-BY-3.0-US", "CC0-1.0", "Apache-2.0", "MIT"])
def test_an_id_of_the_list_is_one(licence):
    assert spdx_id(licence) == spdx_id(licence.lower()) == licence


@pytest.mark.parametrize(
    "licence",
    [
        *("(c) Ada, all rights reserved", "all rights reserved", "CC-BY-9.9", "CC-BY-NC", "", "OR"),
        *("MIT OR Apache-2.0", "LicenseRef-of-Ada"),
    ],
)
def test_what_stands_on_no_list_is_no_id(licence):
    assert spdx_id(licence) is None
