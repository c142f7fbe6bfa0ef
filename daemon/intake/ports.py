"""What an intake works with: the stream, the gate, the database, and what learns of its commits."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from contracts.gate.delivery import Delivery, Judged
from handlers.effects import BatchOutcome, Context
from storage.engine.failures import StorageAway
from storage.unit_of_work import UnitOfWork


class Source(Protocol):
    """The stream side of an intake (:class:`adapters.nats.streams.pull.ContinuousPull`)."""

    async def take(self, limit: int) -> Sequence[Delivery]: ...
    async def ack(self, deliveries: Iterable[Delivery]) -> int: ...
    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool: ...
    async def in_progress(self, delivery: Delivery) -> bool: ...
    async def pause(self) -> None: ...
    async def resume(self) -> None: ...


class Older(Protocol):
    """Knows what else of the consumer is open (:class:`daemon.intake.reordering.OlderMessages`)."""

    async def none_outstanding(self, held: Sequence[Delivery], batch: Sequence[Delivery]) -> Sequence[Delivery]: ...


class Gatekeeper(Protocol):
    """Judges one delivery (:class:`contracts.gate.gate.Gate`)."""

    def judge(self, delivery: Delivery) -> Judged: ...


class BatchWork(Protocol):
    """What one transaction does."""

    def __call__(self, *, uow: UnitOfWork, context: Context) -> BatchOutcome: ...


class Observer(Protocol):
    """Learns what happened, after the commit."""

    async def committed(self, batch: Sequence[Judged], settled: BatchOutcome, seconds: float) -> None: ...
    def came_early(self, messages: int) -> None: ...
    def storage_away(self, error: StorageAway) -> None: ...
    def storage_back(self) -> None: ...


@dataclass(frozen=True, slots=True)
class IntakeLimits:
    """How much is in hand at once, in messages and in bytes of bodies and headers. A single message may be larger than
    ``max_bytes``: it goes alone. ``commit_delay_s`` is how long a batch of some messages waits for others to share a
    transaction with."""

    max_batch: int = 1_000
    max_judged: int = 2_000
    max_bytes: int = 2 * 1024 * 1024
    ack_wait_s: float = 60.0
    commit_delay_s: float = 0.0
