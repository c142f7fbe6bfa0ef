"""What handlers may ask about documents: instructions, anchors, annotations, exports. They never know the tables."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from contracts.errors import JsonObject, JsonValue
from domain.documents.anchors import Anchor
from domain.documents.exports import Export
from storage.jobs.ports import Owned


class VersionKey(NamedTuple):
    """One version of an instruction."""

    instruction_id: str
    version: int


class InstructionVersion(Struct, frozen=True):
    """An immutable version of an instruction. ``blocks`` and ``issues`` as messages have them."""

    instruction_id: str
    version: int
    job_id: str
    owner: str
    blocks: Sequence[JsonObject]
    validation_status: str
    issues: Sequence[JsonObject]
    created_by: str
    created_at: int
    provenance: JsonObject | None = None

    @property
    def key(self) -> VersionKey:
        return VersionKey(self.instruction_id, self.version)


class InstructionHead(NamedTuple):
    """An instruction without its versions; ``latest_version`` is the newest of them."""

    instruction_id: str
    job_id: str
    owner: str
    latest_version: int


class VersionSummary(NamedTuple):
    """A version without its blocks."""

    version: int
    validation_status: str
    created_by: str
    created_at: int
    provenance: JsonObject | None


class InstructionRepository(Protocol):
    """Instructions by version."""

    def heads(self, wanted: Sequence[Owned]) -> Mapping[str, InstructionHead]:
        """Those of *wanted* that belong to the owner named with them."""
        ...

    def latest(self, instruction_ids: Sequence[str]) -> Mapping[str, InstructionHead]:
        """Instructions of all owners. A writer of versions holds the lock of the job."""
        ...

    def versions(self, wanted: Sequence[VersionKey]) -> Mapping[VersionKey, InstructionVersion]:
        """Those of *wanted* that there are."""
        ...

    def history(self, instruction_id: str, *, limit: int) -> Sequence[VersionSummary]:
        """The newest versions, newest first."""
        ...

    def add(self, versions: Sequence[InstructionVersion]) -> None:
        """Keep new versions; an instruction that was not there before begins with its first."""
        ...


class AnchorRepository(Protocol):
    """Anchors with their pictures."""

    def owned(self, wanted: Sequence[Owned]) -> Mapping[str, Anchor]:
        """Those of *wanted* that belong to the owner named with them, locked."""
        ...

    def get(self, anchor_id: str, *, owner: str) -> Anchor | None:
        """One anchor among its owner's, to look at."""
        ...

    def showing(self, asset_ids: Sequence[str]) -> Sequence[Anchor]:
        """Anchors to which one of the assets belongs, locked."""
        ...

    def awaiting(self, task_id: str) -> Sequence[Anchor]:
        """Anchors that wait for the picture of a task, locked."""
        ...

    def of_instructions(self, instruction_ids: Sequence[str]) -> Sequence[Anchor]:
        """All anchors of the instructions that show a picture, oldest first, to look at."""
        ...

    def page(self, instruction_id: str, *, before: str | None, limit: int) -> Sequence[Anchor]:
        """Anchors of an instruction, newest first, from the one after the id *before* on."""
        ...

    def put(self, anchors: Sequence[Anchor]) -> None:
        """Keep new anchors and changed ones, with all their links."""
        ...


class ExportRepository(Protocol):
    """Exports."""

    def get(self, export_id: str, *, owner: str) -> Export | None:
        """One export among its owner's, to look at."""
        ...

    def by_id(self, export_id: str) -> Export | None:
        """One export whoever owns it, to look at."""
        ...

    def locked(self, export_id: str) -> Export | None:
        """One export whoever owns it, locked until the transaction ends."""
        ...

    def known(self, identities: Sequence[str]) -> Mapping[str, Export]:
        """Those of *identities* that were asked for before, locked."""
        ...

    def at_work(self, *, limit: int) -> Sequence[str]:
        """The ids of exports that wait or run, those that have stood still longest first."""
        ...

    def put(self, exports: Sequence[Export]) -> None:
        """Keep new exports and changed ones."""
        ...


class Annotation(NamedTuple):
    """What was drawn on a picture of an anchor, and the picture that came of it. ``ops`` as messages have them."""

    annotation_id: str
    anchor_id: str
    source_asset_id: str
    ops_hash: str
    ops: JsonValue
    asset_id: str
    sha256: str
    owner: str
    created_at: int


class AnnotationRepository(Protocol):
    """Annotations."""

    def find(self, anchor_id: str, source_asset_id: str, ops_hash: str) -> Annotation | None:
        """The one that was made by the same operations."""
        ...

    def add(self, annotations: Sequence[Annotation]) -> None: ...
