"""A search in a service of observations: what all such searches share.

An address is `service:taxon?field=value&...`. A search has two steps. The listing asks page by page for what there is,
with licence and creator, and is kept for a day; broken off, it goes on from its last page. Then the pictures are
fetched as any others on the web are. What has no open licence is listed as rejected, and never fetched.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import parse_qsl

from fungal_assets.collection.sources.candidates import Fault
from fungal_assets.collection.sources.fetching import Fetcher, FetchError, Manners
from fungal_assets.collection.sources.web import WebPicture, WebSource
from fungal_assets.errors import InputError
from fungal_assets.store import write_atomically

OPEN_LICENCES = ("CC0", "CC-BY", "CC-BY-SA", "public-domain")
KNOWN_LICENCES = (*OPEN_LICENCES, "CC-BY-NC", "CC-BY-NC-SA", "CC-BY-ND", "CC-BY-NC-ND")
_KEPT_S = 24 * 3600
_MAX_PAGE_BYTES = 64_000_000


@dataclass(frozen=True)
class Query:
    """What is searched for.

    Args:
        taxon: Scientific name, or the service's own number of it.
        place: Name, code or number of a place as the service knows it; empty for the world.
        count: How many pictures of an open licence are wanted.
        licences: Kinds of licences that are taken, of `KNOWN_LICENCES`.
        settings: Further fields of the service's own.
    """

    taxon: str
    place: str = ""
    count: int = 500
    licences: Sequence[str] = OPEN_LICENCES
    settings: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Page:
    """One page of a listing.

    Args:
        pictures: What it lists.
        cursor: Where the next page begins, or None after the last.
    """

    pictures: Sequence[WebPicture]
    cursor: str | None


class Service(Protocol):
    """A service of observations."""

    name: str
    settings: Mapping[str, Sequence[str]]
    """Fields of its own that a query may have, each with the values that are known; none means any."""

    def resolve(self, query: Query, fetcher: Fetcher) -> dict[str, str]:
        """The service's own parameters for a query; raises `InputError` where it knows no such taxon or place."""

    def read_page(self, parameters: Mapping[str, str], cursor: str | None, fetcher: Fetcher) -> Page:
        """The page at a cursor, the first without one."""


class SearchSource(WebSource):
    """The pictures that a search finds.

    Args:
        service: Where.
        address: For what, with the service's name before it.
        folder: Where listings and downloads are kept; in the user's cache by default.
        manners: How servers are asked for pictures; pages are asked for once a second at most.

    Raises:
        InputError: The address is not understood.
    """

    def __init__(
        self, service: Service, address: str, *, folder: Path | None = None, manners: Manners | None = None
    ):
        super().__init__(service.name, folder=folder, manners=manners)
        self._service, self._query = service, parse_query(address, service)
        self._manners = manners or Manners()

    @cached_property
    def pictures(self) -> Sequence[WebPicture]:  # type: ignore[override]  # read once, since it may be asked for
        """All that is listed, in the order of the listing."""
        asked = json.dumps([self._service.name, asdict(self._query)], sort_keys=True)
        path = self._downloads.folder / f"listing-{hashlib.sha256(asked.encode()).hexdigest()[:16]}.jsonl"
        if not path.exists() or time.time() - path.stat().st_mtime > _KEPT_S:
            fetcher = Fetcher(replace(self._manners, interval_s=max(1.0, self._manners.interval_s)))
            try:
                write_listing(path, self._service, self._query, fetcher)
            except FetchError as error:
                raise InputError(
                    f"{self._service.name} gave no listing: {error}. What is listed so far is kept: try again later."
                ) from error
        found = [picture for page in _read_pages(path) for picture in page.pictures]
        if not any(picture.fault is None for picture in found):
            raise InputError(
                f"{self._service.name} lists {len(found)} pictures of {self._query.taxon!r}, none of them of the "
                f"licences {', '.join(self._query.licences)}. Ask for another taxon or place, or for more licences."
            )
        return found


def write_listing(path: Path, service: Service, query: Query, fetcher: Fetcher) -> None:
    """Ask for pages until enough pictures are listed, each kept as a line; goes on behind the lines that are there."""
    unfinished = path.with_suffix(".part")
    path.parent.mkdir(parents=True, exist_ok=True)
    pages = _read_pages(unfinished) if unfinished.exists() else []
    write_atomically(unfinished, "".join(map(_line, pages)))
    parameters = service.resolve(query, fetcher)
    wanted = query.count - sum(picture.fault is None for page in pages for picture in page.pictures)
    cursor = pages[-1].cursor if pages else None
    with unfinished.open("a") as file:
        while wanted > 0 and not (pages and cursor is None):
            page = service.read_page(parameters, cursor, fetcher)
            page = Page(_take(page.pictures, query, wanted), page.cursor)
            wanted -= sum(picture.fault is None for picture in page.pictures)
            cursor, pages = page.cursor, [*pages, page]
            file.write(_line(page))
            file.flush()
    unfinished.replace(path)


def _take(pictures: Sequence[WebPicture], query: Query, wanted: int) -> list[WebPicture]:
    """The pictures up to the last that is wanted, those of other licences with a fault."""
    taken: list[WebPicture] = []
    for picture in pictures:
        if wanted == 0:
            break
        kind = kind_of_licence(picture.licence)
        if kind not in query.licences:
            detail = (
                f"its licence is {picture.licence or 'not stated'}; taken are {', '.join(query.licences)}"
            )
            picture = replace(picture, fault=Fault("licence", detail))
        wanted -= picture.fault is None
        taken.append(picture)
    return taken


def _line(page: Page) -> str:
    return json.dumps(asdict(page)) + "\n"


def _read_pages(path: Path) -> list[Page]:
    """The whole lines of a listing; one that was cut off counts for nothing."""
    pages = []
    for line in path.read_text().splitlines():
        try:
            page = json.loads(line)
        except ValueError:
            break
        pictures = [
            WebPicture(**{**one, "fault": Fault(*one["fault"]) if one["fault"] else None})
            for one in page["pictures"]
        ]
        pages.append(Page(pictures, page["cursor"]))
    return pages


def kind_of_licence(licence: str | None) -> str | None:
    """The kind of an SPDX id, one of `KNOWN_LICENCES`; None for any other licence and for none."""
    upper = (licence or "").upper()
    if upper.startswith("CC0") or licence == "public-domain":
        return "CC0" if upper.startswith("CC0") else "public-domain"
    kinds = [kind for kind in KNOWN_LICENCES if upper == kind or upper.startswith(f"{kind}-")]
    return next(
        (kind for kind in sorted(kinds, key=len, reverse=True) if _is_version(upper[len(kind) :])), None
    )


def _is_version(rest: str) -> bool:
    """Whether what follows a kind is a version and a country at most, as in "-4.0" and "-3.0-DE"."""
    return rest == "" or rest[1:2].isdigit()


def parse_query(address: str, service: Service) -> Query:
    """The query of an address such as `inaturalist:Amanita?place=Germany&count=200&licences=CC0,CC-BY`.

    Raises:
        InputError: It holds no taxon, or a field or value that is not known; all are named.
    """
    taxon, _, fields = address.removeprefix(f"{service.name}:").partition("?")
    given = dict(parse_qsl(fields, keep_blank_values=True))
    own = {name: value for name, value in given.items() if name in service.settings}
    known = ("place", "count", "licences", *service.settings)
    faults = [f"{name!r} is not known" for name in given if name not in known]
    count = given.get("count", str(Query.count))
    if not count.isdigit() or not 1 <= int(count) <= 100_000:
        faults.append(f"count is {count!r}, expected 1 to 100000")
    by_name = {kind.lower(): kind for kind in KNOWN_LICENCES}
    asked = [name.strip().lower() for name in given.get("licences", ",".join(OPEN_LICENCES)).split(",")]
    faults += [
        f"licence {name!r} is not known; known are {', '.join(KNOWN_LICENCES)}"
        for name in asked
        if name not in by_name
    ]
    faults += [
        f"{name} is {value!r}, expected one of {', '.join(service.settings[name])}"
        for name, value in own.items()
        if service.settings[name] and value not in service.settings[name]
    ]
    if not taxon.strip():
        faults.append("there is no taxon")
    if faults:
        raise InputError(
            f"source {address!r} is not understood: {'; '.join(faults)}. Expected, for example, "
            f"{service.name}:Amanita muscaria?place=Germany&count=200, with the fields {', '.join(known)}."
        )
    return Query(
        taxon.strip(), given.get("place", "").strip(), int(count), tuple(by_name[name] for name in asked), own
    )


def ask_json(fetcher: Fetcher, url: str, parameters: Mapping[str, Any]) -> Any:
    """The JSON that a service answers.

    Raises:
        FetchError: It does not answer, or with something else.
    """
    body = fetcher.get(url, params=parameters, kind="application/json", max_bytes=_MAX_PAGE_BYTES)
    try:
        return json.loads(body)
    except ValueError as error:
        raise FetchError("unreachable", f"{url} answers no JSON but {body[:40]!r}") from error
