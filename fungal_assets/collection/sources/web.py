"""Pictures that are known by their URLs: fetched one by one, kept until the collection is complete, named with credit.

What was fetched lies in the user's cache under the hash of its URL, so that an ingest that stopped goes on where it
was, and one that is repeated asks for what is new alone.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import platformdirs

from fungal_assets.collection.sources.candidates import Candidate, Fault, Note, SourceSize
from fungal_assets.collection.sources.fetching import Fetcher, FetchError, Manners

TYPICAL_BYTES = 400_000
_TOLD = tuple(Note.__annotations__)


@dataclass(frozen=True)
class WebPicture:
    """A picture on the web and what its publisher says about it.

    Args:
        url: Where its bytes are.
        page: Where a person finds it, or None.
        creator: Who made it, or None.
        licence: SPDX id, or None.
        label: What it shows, or None.
        habitat: Where it grew, in its publisher's own words, or None.
        substrate: What it grew on, likewise.
        fault: Why it is not to be fetched, or None.
    """

    url: str
    page: str | None = None
    creator: str | None = None
    licence: str | None = None
    label: str | None = None
    habitat: str | None = None
    substrate: str | None = None
    fault: Fault | None = None


def download_folder() -> Path:
    """Where downloads and listings are kept: a folder in the user's cache."""
    return platformdirs.user_cache_path("fungal_assets") / "downloads"


class Downloads:
    """Fetches pictures; what it got is on disk, what it could not get it remembers, and does not ask for again.

    Args:
        folder: Where bytes are kept; in the user's cache by default.
        manners: How servers are asked.
    """

    def __init__(self, folder: Path | None = None, manners: Manners | None = None):
        self.folder = folder or download_folder()
        self._fetcher, self._faults = Fetcher(manners), dict[str, Fault]()

    def fetch(self, pictures: Iterable[WebPicture], *, kind: str) -> Iterator[Candidate]:
        """A candidate for each picture, in their order; `kind` is what they name as their source."""
        for picture in pictures:
            data, fault = (b"", picture.fault) if picture.fault else self._fetch_once(picture.url)
            about = {name: getattr(picture, name) for name in _TOLD}
            yield Candidate(data, picture.url, kind, **about, fault=fault)

    def _fetch_once(self, url: str) -> tuple[bytes, Fault | None]:
        name = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
        path = self.folder / name[:2] / name
        if path.exists():
            return path.read_bytes(), None
        if url not in self._faults:
            try:
                data = self._fetcher.get(url)
            except FetchError as error:
                self._faults[url] = error.fault
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                temporary = path.with_name(f".{path.name}.part")
                temporary.write_bytes(data)
                temporary.replace(path)
                return data, None
        return b"", self._faults[url]


class WebSource:
    """A source of pictures that are known by their URLs; what these are, each kind of source says.

    Args:
        kind: What its candidates name as their source.
        folder: Where downloads are kept; in the user's cache by default.
        manners: How servers are asked for pictures.
    """

    def __init__(self, kind: str, *, folder: Path | None, manners: Manners | None):
        self._kind, self._downloads = kind, Downloads(folder, manners)

    @property
    def pictures(self) -> Sequence[WebPicture]:
        """All that is known of the pictures, before any is fetched."""
        raise NotImplementedError

    def candidates(self) -> Iterator[Candidate]:
        """One for each picture, in their order."""
        return self._downloads.fetch(self.pictures, kind=self._kind)

    def measure(self) -> SourceSize:
        """How many pictures there are, and about how many bytes those that are fetched hold."""
        fetched = sum(picture.fault is None for picture in self.pictures)
        return SourceSize(len(self.pictures), fetched * TYPICAL_BYTES)

    def fingerprint(self) -> str:
        """Over all that is known of them: a changed picture behind an unchanged URL is not seen."""
        digest = hashlib.sha256()
        for picture in self.pictures:
            digest.update(json.dumps(asdict(picture), sort_keys=True).encode())
        return digest.hexdigest()
