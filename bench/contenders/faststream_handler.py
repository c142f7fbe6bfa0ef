"""The usual way: a FastStream handler that validates one message, commits it with aiosqlite, then acknowledges.

It promises what headgate promises (validated, idempotent, on disk before it is acknowledged) with the means that
everybody would reach for first. A push durable is the fastest of FastStream's subscribers that work one message at a
time: `PullSub(1)` asks the server for each, and `PullSub(500)` runs 500 handlers at once on one connection, so that one
message's commit also commits half of another's transaction, which a crash then leaves behind as a key without its row.
"""

import asyncio
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

import aiosqlite
from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, NatsMessage
from pydantic import BaseModel, ConfigDict, Field

from bench.contenders.job import Job, main

Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,200}$")]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]

_TABLES = """
CREATE TABLE inbox (
    kind TEXT NOT NULL, message_id TEXT NOT NULL, received_at TEXT NOT NULL, PRIMARY KEY (kind, message_id)
) WITHOUT ROWID;
CREATE TABLE session_usage (
    usage_id INTEGER PRIMARY KEY, message_id TEXT NOT NULL, session_id TEXT NOT NULL, agent TEXT NOT NULL,
    model TEXT NOT NULL, at TEXT NOT NULL, status TEXT NOT NULL, input_tokens INTEGER, output_tokens INTEGER,
    runtime_ms INTEGER, cost_usd TEXT, pricing_version TEXT, provenance TEXT NOT NULL
);
CREATE INDEX session_usage_at ON session_usage (at);
CREATE INDEX session_usage_session_id ON session_usage (session_id);
"""


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Origin(Strict):
    source: Literal["provider_reported", "derived", "missing"]
    confidence: Literal["high", "medium", "low", "unknown"]


class Provenance(Strict):
    tokens: Origin
    runtime: Origin
    cost: Origin


class Usage(Strict):
    session_id: Id
    agent: Id
    model: Id
    at: datetime
    status: Literal["ok", "error"]
    input_tokens: Count | None = None
    output_tokens: Count | None = None
    runtime_ms: Count | None = None
    cost_usd: Decimal | None = None
    pricing_version: str | None = None
    provenance: Provenance


class Envelope(Strict):
    envelope_version: Literal[2]
    kind: Literal["session.usage"]
    schema_version: Literal["2.0"]
    message_id: Id
    trace_id: UUID
    created_at: datetime
    producer: Annotated[str, Field(min_length=1, max_length=100)]
    payload: Usage


async def open_database(path: str) -> aiosqlite.Connection:
    database = await aiosqlite.connect(path)
    await database.execute("PRAGMA journal_mode=WAL")
    await database.execute("PRAGMA synchronous=FULL")
    await database.executescript(_TABLES)
    return database


async def store(database: aiosqlite.Connection, envelope: Envelope) -> None:
    """One transaction: claim the message's key, and write the row where the key is new."""
    claimed = await database.execute(
        "INSERT INTO inbox VALUES (?, ?, ?) ON CONFLICT DO NOTHING",
        (envelope.kind, envelope.message_id, envelope.created_at.isoformat()),
    )
    if claimed.rowcount:
        usage = envelope.payload
        await database.execute(
            "INSERT INTO session_usage VALUES (NULL, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                envelope.message_id,
                usage.session_id,
                usage.agent,
                usage.model,
                usage.at.isoformat(),
                usage.status,
                usage.input_tokens,
                usage.output_tokens,
                usage.runtime_ms,
                None if usage.cost_usd is None else str(usage.cost_usd),
                usage.pricing_version,
                usage.provenance.model_dump_json(),
            ),
        )
    await database.commit()


async def faststream_handler(job: Job, stop: asyncio.Event) -> dict[str, int]:
    database = await open_database(job.database)
    broker = NatsBroker(job.url, logger=None)
    taken = 0

    @broker.subscriber(
        job.subject,
        durable=job.consumer,
        stream=JStream(job.stream, declare=False),
        ack_policy=AckPolicy.MANUAL,
    )
    async def take(envelope: Envelope, message: NatsMessage) -> None:
        nonlocal taken
        await store(database, envelope)
        await message.ack()
        taken += 1

    try:
        async with broker:
            await broker.start()
            await stop.wait()
    finally:
        await database.close()
    return {"messages": taken}


if __name__ == "__main__":
    main(faststream_handler)
