"""Where pictures come from: whatever a person has, as one stream of candidates.

| address | source |
|---|---|
| `specimens` | the pictures that ship with the package |
| a folder | every file below it; archives and tables among them are read through |
| a `.zip`, `.tar` (also compressed) or `.parquet` file | its members or rows |
| a `.csv` or `.parquet` file with a column `url` | the pictures behind the URLs |
| `hf:owner/name` | a dataset of the Hugging Face hub |
| `inaturalist:Amanita?place=Germany&count=200` | observations of iNaturalist |
| `gbif:Amanita?place=DE&count=200` | occurrences of GBIF |

Belongs here: from an address to its source. Each kind of source is a module of its own.
"""

from __future__ import annotations

from pathlib import Path

from fungal_assets.collection.sources.candidates import Candidate, Fault, Source, SourceSize
from fungal_assets.collection.sources.containers import SUFFIXES, find_container
from fungal_assets.collection.sources.folder import FileSource, FolderSource
from fungal_assets.collection.sources.gbif import Gbif
from fungal_assets.collection.sources.hub import HubSource
from fungal_assets.collection.sources.inaturalist import INaturalist
from fungal_assets.collection.sources.searching import SearchSource
from fungal_assets.collection.sources.url_list import UrlList, is_url_table
from fungal_assets.errors import InputError

__all__ = [
    "HUB",
    "SHIPPED",
    "Candidate",
    "Fault",
    "Source",
    "SourceSize",
    "find_source",
    "is_elsewhere",
    "make_absolute",
]

SHIPPED = "specimens"
HUB = "hf:"
_SERVICES = (INaturalist(), Gbif())


def find_source(address: str) -> Source:
    """The source of an address.

    Raises:
        InputError: There is nothing there, or it is not of a known kind.
    """
    if address == SHIPPED:
        from fungal_assets.pocket import SPECIMENS_DIR

        return FolderSource(Path(SPECIMENS_DIR), kind=SHIPPED)
    if address.startswith(HUB):
        return HubSource(address)
    for service in _SERVICES:
        if address.startswith(f"{service.name}:"):
            return SearchSource(service, address)
    path = Path(address).expanduser()
    if path.is_dir():
        return FolderSource(path)
    if path.is_file() and (path.suffix.lower() == ".csv" or is_url_table(path)):
        return UrlList(path)
    if path.is_file() and find_container(path) is not None:
        return FileSource(path)
    found = f"is a file, and none of {', '.join((*SUFFIXES, '.csv'))}" if path.is_file() else "does not exist"
    raise InputError(
        f"source {address!r} {found}; expected a folder of pictures, an archive or a Parquet table of them, a list of "
        f"URLs, a dataset of the hub (hf:owner/name), a search (inaturalist:Amanita, gbif:Amanita), or "
        f"{SHIPPED!r} for the pictures that ship with the package."
    )


def is_elsewhere(address: str) -> bool:
    """Whether an address names a search or a dataset of the hub, of which nothing here tells when it has changed."""
    return address.startswith((HUB, *(f"{service.name}:" for service in _SERVICES)))


def make_absolute(address: str) -> str:
    """The address as it means the same from any folder, proven to lead somewhere as far as this machine can tell.

    Raises:
        InputError: As `find_source`.
    """
    find_source(address)
    is_path = address != SHIPPED and not is_elsewhere(address)
    return str(Path(address).expanduser().absolute()) if is_path else address
