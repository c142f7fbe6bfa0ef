"""The way of a durable message in one process: a real stream, the real intake and relay, a real database."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from sqlalchemy import RowMapping, Select, func, select

from adapters.cancellation import cancel_and_wait
from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.publisher import StreamPublisher
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.stored_messages import sequences_of_messages
from adapters.nats.streams.topology import Limits, topology
from contracts.gate.delivery import Judged
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from contracts.subjects import Family, Subjects
from daemon.clock import new_id, now_micros
from daemon.intake.after_commit import AfterCommit
from daemon.intake.intake import Intake
from daemon.intake.ports import Gatekeeper, IntakeLimits
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Phase, Readiness
from daemon.outbox.relay import Relay, RelayLimits
from domain.assets.signed_urls import Links
from handlers.effects import BatchOutcome, Context, Families, MessageOutcome
from handlers.registry import FAMILIES
from storage.engine.database import Database
from storage.engine.failures import StorageError
from storage.tables.usage import session_usage
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope, usage
from tests.handlers.deciding import TenDollars
from tests.support.waiting import PATIENCE_S

T = TypeVar("T")

DAEMON = "daemon-1"
RELAYED = (Family.WORK, Family.EVENT, Family.DEAD, Family.REPLAY)


def usage_body(message_id: str, **changes: Json) -> Json:
    return envelope(usage(**changes), message_id=message_id)


class Watched(AfterCommit):
    """Remembers every batch that was committed, and what it came to."""

    batches: list[list[Judged]]
    outcomes: list[MessageOutcome]

    async def committed(self, batch: Sequence[Judged], settled: BatchOutcome, seconds: float) -> None:
        self.batches.append(list(batch))
        self.outcomes += settled.outcomes
        await super().committed(batch, settled, seconds)

    @property
    def sizes(self) -> list[int]:
        return [len(batch) for batch in self.batches]


class Turnstile:
    """A database whose writes can be kept waiting, or failed."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.open = asyncio.Event()
        self.open.set()
        self.waiting = 0
        self.failed = 0
        self.failure: Callable[[], StorageError] | None = None

    @property
    def dialect(self) -> str:
        return self._database.dialect

    @property
    def keeps_order(self) -> bool:
        return self._database.keeps_order

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        if self.failure is not None:
            self.failed += 1
            raise self.failure()
        return await self._database.write(work, commit_delay_s=commit_delay_s)

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._database.read(work)

    def wait_briefly(self) -> None:
        self._database.wait_briefly()

    async def close(self) -> None:
        await self._database.close()


@dataclass
class Pipeline:
    """One installation under a prefix of its own."""

    nc: Client
    subjects: Subjects
    database: Database
    metrics: Metrics = field(default_factory=Metrics)
    rules: GateRules = field(init=False)
    readiness: Readiness = field(init=False)
    relay: Relay = field(init=False)

    def __post_init__(self) -> None:
        self.rules = GateRules(prefix=self.subjects.prefix)
        self.readiness = Readiness(self.metrics.ready.set)
        self.readiness.enter(Phase.RUNNING)
        self.relay = self.make_relay()

    def context(self) -> Context:
        return Context(
            now_micros(), new_id, DAEMON, self.subjects, TenDollars(), self.nc.max_payload, Links("", (b"secret",))
        )

    def make_relay(
        self, *, owner: str = DAEMON, publisher: StreamPublisher | None = None, clock: Callable[[], int] = now_micros
    ) -> Relay:
        return Relay(
            database=self.database,
            publisher=publisher or StreamPublisher(self.nc),
            find_messages=self._find,
            owner=owner,
            lanes=sorted({self.subjects.stream(family) for family in RELAYED}),
            limits=RelayLimits(most_rows=100, longest_backoff_s=0.3),
            metrics=self.metrics,
            clock=clock,
        )

    async def _find(self, stream: str, subject: str, ids: frozenset[str], not_before: int) -> dict[str, int]:
        return await sequences_of_messages(self.nc, stream, subject, ids, not_before=not_before)

    def make_pull(self, *, ack_wait_s: float = 60.0) -> ContinuousPull:
        return ContinuousPull(
            self.nc,
            stream=self.subjects.stream(Family.INGEST),
            consumer=self.subjects.consumer(Family.INGEST),
            prefix=self.subjects.prefix,
            ack_wait_s=ack_wait_s,
        )

    def observer(self, kind: type[Watched] = Watched) -> Watched:
        watched = kind(
            name="ingest",
            nc=self.nc,
            rules=self.rules,
            subjects=self.subjects,
            relay=self.relay,
            metrics=self.metrics,
            readiness=self.readiness,
            clock=now_micros,
            new_id=new_id,
        )
        watched.batches, watched.outcomes = [], []
        return watched

    def make_intake(
        self,
        pull: ContinuousPull,
        observer: AfterCommit,
        *,
        families: Families = FAMILIES,
        gate: Gatekeeper | None = None,
        database: Database | None = None,
        max_batch: int = 1_000,
    ) -> Intake:
        return Intake(
            source=pull,
            gate=gate or Gate(REGISTRY, self.rules),
            database=database or self.database,
            families=families,
            context=self.context,
            observer=observer,
            limits=IntakeLimits(max_batch=max_batch),
        )

    @asynccontextmanager
    async def intake(
        self,
        *,
        families: Families = FAMILIES,
        gate: Gatekeeper | None = None,
        database: Database | None = None,
        observer: Watched | None = None,
        max_batch: int = 1_000,
    ) -> AsyncIterator[Watched]:
        """An intake that works within the block, and stops cleanly."""
        pull, watched = self.make_pull(), observer or self.observer()
        intake = self.make_intake(pull, watched, families=families, gate=gate, database=database, max_batch=max_batch)
        await pull.start()
        running = asyncio.create_task(intake.run())
        try:
            yield watched
        finally:
            intake.stop()
            await pull.drain()
            await running

    @asynccontextmanager
    async def relaying(self) -> AsyncIterator[None]:
        """The relay at work within the block."""
        running = asyncio.create_task(self.relay.run())
        try:
            yield
        finally:
            await cancel_and_wait([running])

    async def publish(self, body: Json, kind: str = "session.usage", headers: Mapping[str, str] | None = None) -> None:
        """Into the stream, confirmed."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        subject = f"{self.subjects.prefix}.ingest.{kind}"
        await self.nc.jetstream(timeout=PATIENCE_S).publish(subject, raw, headers=dict(headers or {}))

    async def publish_usage(self, *names: str) -> None:
        for name in names:
            await self.publish(usage_body(name))

    async def unacknowledged(self) -> int:
        """Messages of the ingest stream that are not acknowledged, delivered or not."""
        info = await self.nc.jetstream(timeout=PATIENCE_S).consumer_info(
            self.subjects.stream(Family.INGEST), self.subjects.consumer(Family.INGEST)
        )
        return (info.num_pending or 0) + (info.num_ack_pending or 0)

    async def all_acknowledged(self) -> bool:
        return await self.unacknowledged() == 0

    async def rows(self, statement: Select[*tuple[object, ...]]) -> Sequence[RowMapping]:
        return await self.database.read(lambda uow: uow.connection.execute(statement).mappings().all())

    async def count_usage(self) -> int:
        [row] = await self.rows(select(func.count().label("n")).select_from(session_usage))
        return int(row["n"])

    async def in_stream(self, family: Family) -> int:
        info = await self.nc.jetstream(timeout=PATIENCE_S).stream_info(self.subjects.stream(family))
        return info.state.messages

    @asynccontextmanager
    async def receipts(self) -> AsyncIterator[tuple[str, list[Json]]]:
        """A subject for receipts, and what came to it."""
        inbox, came = self.nc.new_inbox(), []

        async def keep(message: Msg) -> None:
            came.append(orjson.loads(message.data))

        subscription = await self.nc.subscribe(inbox, cb=keep)
        yield inbox, came
        await subscription.unsubscribe()


@asynccontextmanager
async def pipeline(url: str, prefix: str, database: Database, limits: Limits | None = None) -> AsyncIterator[Pipeline]:
    """Connected, with streams and consumers."""
    watch = ConnectionWatch()
    broker = make_broker(url, watch=watch)
    client = await connect(broker, url, watch, PATIENCE_S)
    subjects = Subjects(prefix)
    await provision(client, topology(subjects, limits or Limits(max_bytes=16 * 2**20)))
    try:
        yield Pipeline(client, subjects, database)
    finally:
        await broker.stop()
