"""The many ways to write a licence, as SPDX ids.

Belongs here: Creative Commons addresses and phrases, and whether a text is an id. Which licence is acceptable is not
decided here.
"""

from __future__ import annotations

import re

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

_ADDRESS = re.compile(
    r"creativecommons\.org/licenses/([a-z-]+)/(\d\.\d)(?:/([a-z]{2})(?=/|$))?", re.IGNORECASE
)
_PHRASE = re.compile(r"cc[ -]?(by(?:[ -](?:nc|nd|sa))*)[ -]?v?(\d\.\d)", re.IGNORECASE)
_ONE_ID = re.compile(r"(?!LicenseRef-)[A-Za-z0-9.-]+")
_PUBLIC = re.compile(r"creativecommons\.org/publicdomain/zero/1\.0|cc[ -]?0([ -]?1\.0)?$", re.IGNORECASE)


def to_spdx(licence: str) -> str:
    """The SPDX id of a licence given as an address, a phrase or an id; what is not known stays as it is.

    `"http://creativecommons.org/licenses/by-sa/3.0/"` and `"cc by-sa 3.0"` become `"CC-BY-SA-3.0"`.
    """
    if _PUBLIC.search(licence):
        return "CC0-1.0"
    if address := _ADDRESS.search(licence):
        kind, version, country = address.groups()
        return "-".join(["CC", kind.upper(), version, *([country.upper()] if country else [])])
    if phrase := _PHRASE.fullmatch(licence):
        return f"CC-{phrase[1].upper().replace(' ', '-')}-{phrase[2]}"
    return licence


def spdx_id(licence: str) -> str | None:
    """The id on SPDX's list that a text is, as it is spelt there; None for a person's own words and for several ids."""
    try:
        found = canonicalize_license_expression(licence)
    except InvalidLicenseExpression:
        return None
    return found if _ONE_ID.fullmatch(found) else None
