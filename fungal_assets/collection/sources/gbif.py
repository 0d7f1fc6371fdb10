"""Occurrences of GBIF: photographs of museums and observers, each with the licence that its own publisher states.

The licence of a record is not that of its pictures, and GBIF does not interpret the latter: it is read from each
picture, and one that is not understood counts as none. Paging ends at 100,000 records; a larger search is to be
narrowed by place or year.

API: https://techdocs.gbif.org/en/openapi/v1/occurrence
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fungal_assets.collection.licences import to_spdx
from fungal_assets.collection.sources.fetching import Fetcher
from fungal_assets.collection.sources.searching import Page, Query, ask_json
from fungal_assets.collection.sources.web import WebPicture
from fungal_assets.errors import InputError

API = "https://api.gbif.org/v1"
PER_PAGE = 300
MAX_OFFSET = 100_000


class Gbif:
    """The service GBIF.

    Args:
        api: Where it answers.
    """

    name = "gbif"
    settings: Mapping[str, Sequence[str]] = {"year": ()}

    def __init__(self, api: str = API):
        self._api = api

    def resolve(self, query: Query, fetcher: Fetcher) -> dict[str, str]:
        """The key of the taxon, the country and the year."""
        own = dict(query.settings or {})
        parameters = {"taxonKey": query.taxon if query.taxon.isdigit() else self._find(query.taxon, fetcher)}
        if query.place:
            if len(query.place) != 2 or not query.place.isalpha():
                raise InputError(
                    f"place is {query.place!r}; GBIF takes a country by its two letters, such as place=DE."
                )
            parameters["country"] = query.place.upper()
        return parameters | ({"year": own["year"]} if "year" in own else {})

    def _find(self, name: str, fetcher: Fetcher) -> str:
        found = ask_json(fetcher, f"{self._api}/species/match", {"name": name, "strict": "true"})
        if found.get("matchType") in (None, "NONE") or "usageKey" not in found:
            raise InputError(
                f"GBIF knows no taxon {name!r} ({found.get('note') or 'no match'}). Give its scientific name, or its "
                "key there."
            )
        return str(found["usageKey"])

    def read_page(self, parameters: Mapping[str, str], cursor: str | None, fetcher: Fetcher) -> Page:
        """The photographs of up to 300 occurrences from the offset `cursor` on."""
        offset = int(cursor or 0)
        asked = {**parameters, "mediaType": "StillImage", "limit": str(PER_PAGE), "offset": str(offset)}
        found = ask_json(fetcher, f"{self._api}/occurrence/search", asked)
        pictures = [one for entry in found["results"] for one in _pictures(entry)]
        end = offset + PER_PAGE
        is_last = found.get("endOfRecords", True) or end + PER_PAGE > MAX_OFFSET
        return Page(pictures, None if is_last else str(end))


def _pictures(occurrence: Mapping[str, Any]) -> Iterator[WebPicture]:
    for media in occurrence.get("media") or []:
        if media.get("type") == "StillImage" and media.get("identifier"):
            licence = media.get("license")
            yield WebPicture(
                url=media["identifier"],
                page=media.get("references") or f"https://www.gbif.org/occurrence/{occurrence['key']}",
                creator=media.get("creator") or media.get("rightsHolder") or occurrence.get("recordedBy"),
                licence=to_spdx(licence) if licence else None,
                label=occurrence.get("species") or occurrence.get("scientificName"),
                habitat=occurrence.get("habitat"),
            )
