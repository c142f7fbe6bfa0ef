"""What handlers may ask about assets. They know this protocol, never the tables."""

from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, Protocol

from domain.assets.assets import Asset
from storage.jobs.ports import Owned


class HolderKind(StrEnum):
    """What may need the bytes of an asset whatever becomes of it."""

    ANNOTATION = "annotation"
    EXPORT = "export"


class Pin(NamedTuple):
    """Something holds on to the bytes of an asset."""

    asset_id: str
    holder_kind: str
    holder_id: str


class AssetRepository(Protocol):
    """Assets and who holds on to them."""

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Asset]:
        """Those of *wanted* that belong to the owner named with them, by asset id, locked."""
        ...

    def uploads(self, wanted: Sequence[Owned]) -> Mapping[str, Asset]:
        """Those of *wanted* (upload id, owner) that belong to the owner, by upload id, locked."""
        ...

    def get(self, asset_id: str, *, owner: str) -> Asset | None:
        """One asset among its owner's, to look at."""
        ...

    def by_ids(self, asset_ids: Sequence[str]) -> Mapping[str, Asset]:
        """Assets of all owners, to look at."""
        ...

    def by_upload(self, upload_id: str) -> Asset | None:
        """The asset of an upload, of any owner, to look at."""
        ...

    def put(self, assets: Sequence[Asset]) -> None:
        """Keep new assets and changed ones."""
        ...

    def pin(self, pins: Sequence[Pin]) -> None:
        """Hold on to the bytes of assets; again changes nothing."""
        ...

    def unpin(self, holder_kind: str, holder_ids: Sequence[str]) -> None:
        """Let go of all that these hold on to."""
        ...

    def expired(self, *, now: int, limit: int) -> Sequence[Asset]:
        """Uploads that were not confirmed in time, the oldest first."""
        ...

    def unheld(self, *, limit: int) -> Sequence[Asset]:
        """Deleted assets whose bytes are there and that nothing holds on to."""
        ...

    def named(self, objects: Sequence[str]) -> frozenset[str]:
        """Those of *objects* that an asset or an export names."""
        ...
