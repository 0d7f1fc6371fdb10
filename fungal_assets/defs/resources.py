"""Resources: where outputs are kept, and which row of the preset table is in force.

Both may be set in a run's config; what is left empty is read, when the run starts, from the environment
(`FUNGAL_STORE`, `FUNGAL_PROFILE`) and else is a folder `store` here and the profile `pocket`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import ConfigDict, Field

from fungal_assets.growth import NOTE
from fungal_assets.profiles import Profile, get_profile
from fungal_assets.progress import Tell, stay_silent
from fungal_assets.store import Output, Store, mismatches

if TYPE_CHECKING:
    from fungal_assets.publication.hub import Hub


class StoreResource(dg.ConfigurableResource):
    """The artefact store."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    root: str = Field(default="", description="Folder or fsspec URL; empty: $FUNGAL_STORE, else ./store.")

    def open(self) -> Store:
        """The store at the root that is in force."""
        return Store(self.root or os.environ.get("FUNGAL_STORE") or "store")

    def get(self, asset: str, partition: str | None = None, *, command: str | None = None) -> Output:
        """The newest complete output of an asset, compared with its record, as `Store.get` does it."""
        return self.open().get(asset, partition, command=command)

    def find_whole(self, asset: str, partition: str | None = None) -> Path | None:
        """The folder of the newest complete output of an asset, if there is one and its files are as recorded."""
        output = self.open().find(asset, partition)
        return output.path if output is not None and not mismatches(output) else None


class ProfileResource(dg.ConfigurableResource):
    """The one dial."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(default="", description="Row of the preset table; empty: $FUNGAL_PROFILE, else pocket.")

    def row(self) -> Profile:
        """The row that is in force."""
        return get_profile(self.name or os.environ.get("FUNGAL_PROFILE") or "pocket")


class HubResource(dg.ConfigurableResource):
    """The Hugging Face hub. It has no fields, so that no run config can hold a token: that is in $HF_TOKEN."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    def open(self, tell: Tell = stay_silent) -> "Hub":
        """The hub at $HF_ENDPOINT, else huggingface.co, for the account of the token.

        Raises:
            PublicationError: There is no token.
        """
        from fungal_assets.publication.hub import Hub
        from fungal_assets.publication.tokens import read_token

        return Hub(read_token(), endpoint=os.environ.get("HF_ENDPOINT") or None, tell=tell)


def source_in_force(profile: ProfileResource, store: StoreResource) -> str:
    """Where pictures come from when nobody types it: $FUNGAL_SOURCE, else the last growth's, else the profile's."""
    noted = (store.open().read_note(NOTE) or {}).get("source")
    return os.environ.get("FUNGAL_SOURCE") or noted or profile.row().settings["raw_images"]["source"]


def source_config(source: str) -> dict[str, Any]:
    """Run config that makes a collection from that source."""
    return {"ops": {"raw_images": {"config": {"source": source}}}}
