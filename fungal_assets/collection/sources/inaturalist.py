"""Observations of iNaturalist: research-grade photographs with their observer, licence and page.

Pages are read by a cursor over ids, oldest first, so that a listing that is asked for again finds the same and what is
new behind it. The service asks for at most one request a second, and for few gigabytes of pictures an hour: pictures
come at most three a second, in the size `large` (1024 px) unless another is asked for.

API: https://api.inaturalist.org/v1/docs/
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from fungal_assets.collection.licences import to_spdx
from fungal_assets.collection.sources.fetching import Fetcher
from fungal_assets.collection.sources.searching import Page, Query, ask_json
from fungal_assets.collection.sources.web import WebPicture
from fungal_assets.errors import InputError

API = "https://api.inaturalist.org/v1"
PER_PAGE = 200
_GRADES = ("research", "needs_id", "casual", "any")
_SIZES = ("medium", "large", "original")


class INaturalist:
    """The service iNaturalist.

    Args:
        api: Where it answers.
    """

    name = "inaturalist"
    settings: Mapping[str, Sequence[str]] = {"quality": _GRADES, "size": _SIZES}

    def __init__(self, api: str = API):
        self._api = api

    def resolve(self, query: Query, fetcher: Fetcher) -> dict[str, str]:
        """Numbers of the taxon and the place, quality grade and size."""
        own = dict(query.settings or {})
        parameters = {"taxon_id": self._find("taxa", query.taxon, fetcher), "size": own.get("size", "large")}
        if query.place:
            parameters["place_id"] = self._find("places/autocomplete", query.place, fetcher)
        grade = own.get("quality", "research")
        return parameters if grade == "any" else parameters | {"quality_grade": grade}

    def _find(self, what: str, name: str, fetcher: Fetcher) -> str:
        """The number of a taxon or place by its name."""
        if name.isdigit():
            return name
        found = ask_json(fetcher, f"{self._api}/{what}", {"q": name, "per_page": 30})["results"]
        names = {str(one.get("name") or one.get("display_name")): str(one["id"]) for one in reversed(found)}
        by_lower = {key.lower(): number for key, number in names.items()}
        if name.lower() not in by_lower:
            near = ", ".join(list(names)[::-1][:5]) or "nothing like it"
            raise InputError(
                f"iNaturalist knows no {'place' if 'place' in what else 'taxon'} {name!r}; it has {near}. Give its "
                "exact name, or its number there."
            )
        return by_lower[name.lower()]

    def read_page(self, parameters: Mapping[str, str], cursor: str | None, fetcher: Fetcher) -> Page:
        """The photographs of up to 200 observations behind the id `cursor`."""
        asked = {key: value for key, value in parameters.items() if key != "size"}
        asked |= {"photos": "true", "per_page": str(PER_PAGE), "order_by": "id", "order": "asc"}
        found = ask_json(fetcher, f"{self._api}/observations", asked | {"id_above": cursor or "0"})["results"]
        pictures = [one for entry in found for one in _pictures(entry, parameters["size"])]
        return Page(pictures, str(found[-1]["id"]) if len(found) == PER_PAGE else None)


def _pictures(observation: Mapping[str, Any], size: str) -> Iterator[WebPicture]:
    user, taxon = observation.get("user") or {}, observation.get("taxon") or {}
    fields = {str(one.get("name")).lower(): one.get("value") for one in observation.get("ofvs") or []}
    for photo in observation.get("photos") or []:
        code = photo.get("license_code")
        yield WebPicture(
            url=photo["url"].replace("/square.", f"/{size}."),
            page=observation.get("uri") or f"https://www.inaturalist.org/observations/{observation['id']}",
            creator=user.get("name") or user.get("login"),
            licence=_spdx(code),
            label=taxon.get("name"),
            habitat=fields.get("habitat"),
            substrate=fields.get("substrate"),
        )


def _spdx(code: str | None) -> str | None:
    """SPDX id of a code of iNaturalist, whose Creative Commons licences are of version 4.0."""
    if not code:
        return None
    if code.lower() == "pd":
        return "public-domain"
    return to_spdx(code if code.lower() == "cc0" else f"{code} 4.0")
