"""The assets of one transaction."""

from domain.assets.assets import Asset, AssetDecision
from handlers.commands.command_batch import CommandBatch
from storage.jobs.projects import Owned


class AssetAggregates:
    """The assets of one transaction, each as the last decision left it."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._wanted: set[Owned] = set()
        self._wanted_uploads: set[Owned] = set()
        self._assets: dict[str, Asset] = {}
        self._of_upload: dict[str, str] = {}
        self._changed: dict[str, Asset] = {}

    def want(self, asset_id: str, owner: str) -> None:
        self._wanted.add((asset_id, owner))

    def want_upload(self, upload_id: str, owner: str) -> None:
        self._wanted_uploads.add((upload_id, owner))

    def load(self) -> None:
        repository = self._batch.uow.assets
        self._assets.update(repository.owned(sorted(self._wanted)))
        for upload_id, asset in repository.uploads(sorted(self._wanted_uploads)).items():
            self._assets[asset.asset_id] = asset
            self._of_upload[upload_id] = asset.asset_id

    def find(self, asset_id: str, owner: str) -> Asset | None:
        """The asset, if it is the owner's."""
        asset = self._assets.get(asset_id)
        return asset if asset is not None and asset.owner == owner else None

    def find_upload(self, upload_id: str, owner: str) -> Asset | None:
        return self.find(self._of_upload.get(upload_id, ""), owner)

    def take(self, decision: AssetDecision) -> None:
        if decision.changed:
            self._assets[decision.asset.asset_id] = self._changed[decision.asset.asset_id] = decision.asset

    def write(self) -> None:
        self._batch.uow.assets.upsert(list(self._changed.values()))
