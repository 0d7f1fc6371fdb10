import pytest

from fungal_assets.collection.licences import to_spdx


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
