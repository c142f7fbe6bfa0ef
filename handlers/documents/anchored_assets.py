"""The anchors of one transaction, each as the last decision left it, with the versions that they are found in."""

from contracts.errors import JsonObject
from domain.documents import anchors as rules
from domain.documents.anchors import Anchor
from handlers.commands.command_batch import CommandBatch
from handlers.documents.anchor_views import Resolver
from handlers.jobs.job_commands import JobAggregates
from storage.documents.instructions import InstructionHead, InstructionVersion, VersionKey
from storage.jobs.projects import Owned


class AnchoredAssets:
    """Anchors, their instructions, and the versions of both ends."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._wanted: set[Owned] = set()
        self._wanted_assets: set[str] = set()
        self._wanted_jobs: set[str] = set()
        self._wanted_versions: set[tuple[str, str, int]] = set()
        self._anchors: dict[str, Anchor] = {}
        self._heads: dict[str, InstructionHead] = {}
        self._versions: dict[VersionKey, InstructionVersion] = {}
        self._changed: dict[str, Anchor] = {}

    def want(self, anchor_id: str, owner: str) -> None:
        self._wanted.add((anchor_id, owner))

    def want_asset(self, asset_id: str) -> None:
        """The anchors that show the asset."""
        self._wanted_assets.add(asset_id)

    def want_version(self, instruction_id: str, owner: str, version: int) -> None:
        """A version in which an anchor is to be made."""
        self._wanted_versions.add((instruction_id, owner, version))

    def load(self) -> None:
        uow = self._batch.uow
        self._anchors.update(uow.anchors.owned(sorted(self._wanted)))
        for anchor in uow.anchors.showing(sorted(self._wanted_assets)):
            self._anchors[anchor.anchor_id] = anchor
        theirs = {(anchor.instruction_id, anchor.owner) for anchor in self._anchors.values()}
        new = {(instruction_id, owner) for instruction_id, owner, _ in self._wanted_versions}
        self._heads.update(uow.instructions.heads(sorted(theirs | new)))
        self._want_jobs()
        keys = {VersionKey(anchor.instruction_id, anchor.created_version) for anchor in self._anchors.values()}
        keys |= {VersionKey(instruction_id, version) for instruction_id, _, version in self._wanted_versions}
        keys |= {VersionKey(head.instruction_id, head.latest_version) for head in self._heads.values()}
        self._versions.update(uow.instructions.versions(sorted(keys)))

    def want_job(self, anchor_id: str) -> None:
        """Have the job of the anchor's instruction there too; jobs are loaded after anchors."""
        self._batch.aggregates(JobAggregates)
        self._wanted_jobs.add(anchor_id)

    def _want_jobs(self) -> None:
        for anchor_id in self._wanted_jobs & self._anchors.keys():
            head = self._heads[self._anchors[anchor_id].instruction_id]
            self._batch.aggregates(JobAggregates).want(head.job_id, head.owner)

    def find(self, anchor_id: str, owner: str) -> Anchor | None:
        """The anchor, if it is the owner's."""
        anchor = self._anchors.get(anchor_id)
        return anchor if anchor is not None and anchor.owner == owner else None

    def version(self, instruction_id: str, owner: str, version: int) -> InstructionVersion | None:
        """A version that was wanted, if the instruction is the owner's."""
        head = self._heads.get(instruction_id)
        if head is None or head.owner != owner:
            return None
        return self._versions.get(VersionKey(instruction_id, version))

    def job_of(self, anchor: Anchor) -> str:
        return self._heads[anchor.instruction_id].job_id

    def latest_version(self, anchor: Anchor) -> int:
        return self._heads[anchor.instruction_id].latest_version

    def attach(self, anchor: Anchor, asset_id: str) -> Anchor:
        now = self._batch.context.now
        return self.take(rules.attach(anchor, asset_id, self.latest_version(anchor), now))

    def take(self, anchor: Anchor) -> Anchor:
        """Keep a decision for the end of the transaction."""
        if self._anchors.get(anchor.anchor_id) != anchor:
            self._anchors[anchor.anchor_id] = self._changed[anchor.anchor_id] = anchor
        return anchor

    def forget_asset(self, asset_id: str, now: int) -> None:
        """The asset is deleted: no anchor shows it any more."""
        for anchor in list(self._anchors.values()):
            self.take(rules.detach(anchor, asset_id, now))

    def view(self, anchor: Anchor) -> JsonObject:
        """The anchor in the newest version."""
        return Resolver(self._versions).view(anchor, self.latest_version(anchor))

    def write(self) -> None:
        self._batch.uow.anchors.upsert(list(self._changed.values()))
