"""A dataset of the Hugging Face hub: its files are fetched into the hub's own cache, then read as a folder.

So every layout that a folder may have works: Parquet shards, however many, an image folder with its sidecar, zip and
tar files. A fetch that was cut off goes on where it was, and what was fetched whole is read without the hub as well; a
gated dataset needs the token that the hub's library finds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from fungal_assets.collection.licences import to_spdx
from fungal_assets.collection.sources.candidates import Candidate, SourceSize
from fungal_assets.collection.sources.containers import SUFFIXES
from fungal_assets.collection.sources.folder import FolderSource
from fungal_assets.collection.sources.sidecars import SIDECARS
from fungal_assets.collection.sources.web import download_folder
from fungal_assets.errors import InputError
from fungal_assets.store import write_atomically

PICTURES = (".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".gif", ".bmp")
_ADDRESS = re.compile(r"hf:([\w.-]+/[\w.-]+)(?:@([\w./-]+))?")


class HubSource:
    """A dataset by its address `hf:owner/name`, or `hf:owner/name@revision`.

    Args:
        address: The address.

    Raises:
        InputError: It is not of that kind.
    """

    def __init__(self, address: str):
        match = _ADDRESS.fullmatch(address)
        if match is None:
            raise InputError(
                f"source {address!r} is no dataset of the Hugging Face hub; expected hf:owner/name or "
                "hf:owner/name@revision."
            )
        self._name, self._revision = match.groups()

    def candidates(self) -> Iterator[Candidate]:
        """All pictures of the dataset; the card's licence is theirs where nothing else says one."""
        return self._folder.candidates()

    def measure(self) -> SourceSize:
        """The size of what was fetched."""
        return self._folder.measure()

    def fingerprint(self) -> str:
        """The revision that is read: a commit of the dataset."""
        return str(self._about["commit"])

    @cached_property
    def _about(self) -> dict[str, str | None]:
        """Commit and licence, as the hub says; as it said last, where it does not answer."""
        from httpx2 import HTTPError
        from huggingface_hub import HfApi
        from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError, RevisionNotFoundError

        try:
            found = HfApi().dataset_info(self._name, revision=self._revision)
        except (RepositoryNotFoundError, RevisionNotFoundError) as error:
            raise InputError(
                f"the hub has no dataset {self._name!r} (revision {self._revision or 'main'!r}) that you may read. "
                "Look at its page for the spelling, or log in with `hf auth login` where it is private."
            ) from error
        except (HfHubHTTPError, HTTPError, OSError) as error:
            if not self._note.exists():
                raise InputError(
                    f"the hub does not answer for {self._name!r}: {error}. Try again, or give a folder of pictures."
                ) from error
            return json.loads(self._note.read_text())
        licence = (found.card_data or {}).get("license")
        about = {"commit": str(found.sha), "licence": to_spdx(licence) if isinstance(licence, str) else None}
        self._note.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(self._note, json.dumps(about))
        return about

    @property
    def _note(self) -> Path:
        """Where it is kept what the hub said."""
        name = f"{self._name}@{self._revision or 'main'}".replace("/", "--")
        return download_folder() / f"hub-{name}.json"

    @cached_property
    def _folder(self) -> FolderSource:
        from huggingface_hub import snapshot_download

        wanted = [f"*{suffix}" for suffix in (*PICTURES, *SUFFIXES)]
        wanted += [pattern.upper() for pattern in wanted]
        wanted += [pattern for name in SIDECARS for pattern in (name, f"*/{name}")]
        path = Path(
            snapshot_download(
                self._name, repo_type="dataset", revision=self._about["commit"], allow_patterns=wanted
            )
        )
        cache = path.parents[1]  # the snapshot links to the blobs beside it
        return FolderSource(path, kind="hub", licence=self._about["licence"], bounds=cache)
