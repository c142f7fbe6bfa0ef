"""What a handler is given and what it gives back. A handler neither acknowledges nor publishes."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol, TypeAlias, runtime_checkable

from msgspec import Struct, field

from contracts.errors import JsonObject, Problem
from contracts.gate.delivery import Accepted
from contracts.subjects import Subjects
from contracts.values.work import WorkType
from domain.assets.signed_urls import Links
from domain.ledger.pricing import PriceBook
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork


class WorkTerms(Struct, frozen=True):
    """How long a worker of each type may be silent, and how often something goes out again before it is given up."""

    deadline_s: Mapping[WorkType, float] = field(default_factory=lambda: dict.fromkeys(WorkType, 3_600.0))
    max_attempts: int = 3
    retry_first_s: float = 5.0
    retry_most_s: float = 600.0
    reorder_s: float = 60.0


class AssetTerms(Struct, frozen=True):
    """How large an asset may be, and how long an upload waits for its confirmation."""

    max_bytes: int = 50 * 2**20
    upload_ttl_s: float = 3_600.0


class Context(Struct, frozen=True):
    """All that a decision may need and must not fetch itself. ``now`` is microseconds since the epoch.

    ``older_outstanding`` says whether older messages of the consumer may still be unacknowledged outside the batch: as
    long as nobody has looked, they may.
    """

    now: int
    new_id: Callable[[], str]
    daemon_id: str
    subjects: Subjects
    prices: PriceBook
    max_message_bytes: int
    links: Links
    assets: AssetTerms = field(default_factory=AssetTerms)
    work: WorkTerms = field(default_factory=WorkTerms)
    older_outstanding: bool = True
    chance: Callable[[], float] = lambda: 0.5
    """The source of jitter: a number in [0, 1)."""


class FactName(StrEnum):
    """Every fact that a handler can report; metrics have a place for each."""

    USAGE_UNPRICED = "usage_unpriced"
    TOTALS_SATURATED = "totals_saturated"
    COST_USD = "cost_usd"
    MODEL_COST_USD = "model_cost_usd"
    JOB_TRANSITIONS = "job_transitions"
    JOB_APPROVALS = "job_approvals"
    JOBS_CREATED = "jobs_created"
    JOB_DURATION_SECONDS = "job_duration_seconds"
    JOB_FAILURES = "job_failures"


class Fact(Struct, frozen=True):
    """Something that happened, told to metrics and logs once it is committed."""

    name: FactName
    value: float = 1.0
    labels: Mapping[str, str] = field(default_factory=dict)


class Effects(Struct):
    """A handler's answer to its group. Indices are those of the group it was given.

    ``repeated`` are those that came before under another message id: answered as duplicates.
    """

    refused: dict[int, Problem] = field(default_factory=dict)
    held: dict[int, float] = field(default_factory=dict)
    repeated: set[int] = field(default_factory=set)
    outbox: list[OutboxMessage] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)


class Handler(Protocol):
    """Takes the accepted, new messages of its kinds in one batch, in the order they were delivered."""

    def __call__(self, group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects: ...


@runtime_checkable
class PreparingHandler(Protocol):
    """A handler most of whose work needs no database: for large groups it is done before the transaction begins."""

    def __call__(self, group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects: ...

    def prepare(self, group: Sequence[Accepted], context: Context) -> Callable[[UnitOfWork], Effects]:
        """Decide on *group*; what is answered writes what was decided. It refuses and holds nothing."""
        ...


class Verdict(StrEnum):
    """What became of one delivery."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    HELD = "held"
    IGNORED = "ignored"
    """A replay that somebody else decided on, or that was superseded."""


class MessageOutcome(Struct, frozen=True):
    """The answer to one delivery: receipts and metrics are made from it. ``hold_s`` is set where it is given back."""

    verdict: Verdict
    status: int
    error: JsonObject | None = None
    hold_s: float = 0.0


class BatchOutcome(Struct, frozen=True):
    """What one committed batch came to, delivery by delivery, in order."""

    outcomes: Sequence[MessageOutcome]
    facts: Sequence[Fact]
    lanes: frozenset[str]


Families: TypeAlias = Mapping[str, Handler]
"""Kind -> the handler of its family."""
