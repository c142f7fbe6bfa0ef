"""Deliveries of an imagined stream, settled by the real gate on a real database."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import RowMapping, Select, select

from contracts.gate.delivery import Delivery, Judged
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from contracts.subjects import Subjects
from contracts.values.prices import UnitPrices
from daemon.clock import new_id
from domain.assets.signed_urls import Links
from handlers.batch import decide_batch
from handlers.effects import BatchOutcome, Context, Families, MessageOutcome
from handlers.registry import FAMILIES
from storage.engine.database import Database
from storage.journal.outbox import OutboxMessage
from storage.tables.journal import dead_letters, inbox, outbox
from tests.contracts.samples import STORED_AT, Json

NOW = STORED_AT + 1_000_000
DAEMON = "daemon-1"


@dataclass(frozen=True)
class TenDollars:
    """A price list that knows one model: 10 dollars a million tokens in, 20 out."""

    model: str = "openai/gpt-5"

    def find(self, model: str, at: int, input_tokens: int) -> UnitPrices | None:  # noqa: ARG002 - the shape of a price book
        if model != self.model:
            return None
        return UnitPrices(version="list-1", input_usd_micros_per_mtok=10_000_000, output_usd_micros_per_mtok=20_000_000)


def context(*, now: int = NOW, max_message_bytes: int = 8 * 2**20) -> Context:
    return Context(
        now=now,
        new_id=new_id,
        daemon_id=DAEMON,
        subjects=Subjects("hg"),
        prices=TenDollars(),
        max_message_bytes=max_message_bytes,
        links=Links("http://127.0.0.1:1", (b"a secret of thirty-two bytes ok!",)),
    )


@dataclass
class Stream:
    """Numbers what is published to it, as a stream does."""

    name: str = "HG_INGEST"
    gate: Gate = field(default_factory=lambda: Gate(REGISTRY, GateRules()))
    numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def deliver(
        self, body: Json, kind: str = "session.usage", headers: Mapping[str, str] | None = None, *, delivered: int = 1
    ) -> Judged:
        """The next message of the stream, judged. A body that is no bytes is written as JSON."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        number = next(self.numbers)
        subject = f"ingest.{kind}"
        stored_at = STORED_AT + number
        return self.gate.judge(
            Delivery(subject, raw, headers or {}, self.name, number, delivered, stored_at, f"$JS.ACK.{number}")
        )

    def again(self, judged: Judged) -> Judged:
        """The same stored message, delivered once more."""
        delivery = judged.delivery
        return self.gate.judge(delivery._replace(delivered=delivery.delivered + 1))


async def settled(database: Database, batch: Sequence[Judged], families: Families = FAMILIES) -> BatchOutcome:
    """*batch* in one transaction."""
    return await database.write(lambda uow: decide_batch(batch, uow, context(), families))


async def outcomes(
    database: Database, batch: Sequence[Judged], families: Families = FAMILIES
) -> Sequence[MessageOutcome]:
    return (await settled(database, batch, families)).outcomes


async def rows(database: Database, statement: Select[*tuple[Any, ...]]) -> Sequence[RowMapping]:
    return await database.read(lambda uow: uow.connection.execute(statement).mappings().all())


async def letters(database: Database) -> Sequence[RowMapping]:
    """All dead letters in the order of their messages."""
    return await rows(database, select(dead_letters).order_by(dead_letters.c.stream, dead_letters.c.sequence))


async def keys(database: Database) -> set[tuple[str, str]]:
    return {(row["kind"], row["message_id"]) for row in await rows(database, select(inbox.c.kind, inbox.c.message_id))}


async def waiting(database: Database, lane: str = "HG_DEAD") -> list[OutboxMessage]:
    """What waits to be published in *lane*, in order."""
    taken = await database.read(lambda uow: uow.outbox.waiting(owner=DAEMON, lane=lane, limit=10_000, max_bytes=2**30))
    return [row.message for row in taken]


async def count_outbox(database: Database) -> int:
    return len(await rows(database, select(outbox.c.position)))
