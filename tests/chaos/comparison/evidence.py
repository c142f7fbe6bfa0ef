"""What is to be seen afterwards, read by plain drivers: tables, streams, metrics. Nothing of the daemon's own code."""

import asyncio
import json
import sqlite3
import urllib.request
from collections import defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
from nats.aio.client import Client
from nats.js.errors import NotFoundError

Row: TypeAlias = Mapping[str, object]

_AT_ONCE: Final = 200


class Evidence:
    """Reads one database: PostgreSQL or SQLite."""

    errors: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, sqlite3.Error)
    """What reading may raise, beside ``OSError``."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def query(self, statement: str) -> Sequence[Row]:
        """The rows of one statement."""
        if self._url.startswith("sqlite:///"):
            return await asyncio.to_thread(self._query_sqlite, statement)
        connection = await asyncpg.connect(self._url, timeout=5)
        try:
            return [dict(row) for row in await connection.fetch(statement)]
        finally:
            await connection.close()

    async def table(self, name: str) -> Sequence[Row]:
        return await self.query(f"SELECT * FROM {name}")

    def _query_sqlite(self, statement: str) -> Sequence[Row]:
        path = Path(self._url.removeprefix("sqlite:///"))
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement)]


@dataclass(frozen=True, slots=True)
class Stored:
    """A message as it lies in a stream."""

    sequence: int
    subject: str
    body: bytes


async def read_stream(nc: Client, stream: str) -> list[Stored]:
    """Every message that the stream holds, without a consumer: some streams allow none beside their own."""
    js = nc.jetstream(timeout=5)
    state = (await js.stream_info(stream)).state
    found: list[Stored] = []

    async def read(sequence: int) -> None:
        try:
            message = await js.get_msg(stream, sequence)
        except NotFoundError:
            return  # deleted
        found.append(Stored(sequence, message.subject or "", message.data or b""))

    for first in range(state.first_seq, state.last_seq + 1, _AT_ONCE):
        await asyncio.gather(*map(read, range(first, min(first + _AT_ONCE, state.last_seq + 1))))
    return sorted(found, key=lambda message: message.sequence)


@dataclass(frozen=True, slots=True)
class Metrics:
    """The metrics of one daemon: samples by name and labels as they are written."""

    samples: Mapping[str, float]

    def value(self, name: str) -> float:
        return self.samples.get(name, 0.0)

    def by_labels(self, name: str) -> dict[tuple[str, ...], float]:
        """Label values, in the order in which they are written -> value."""
        found: defaultdict[tuple[str, ...], float] = defaultdict(float)
        for sample, value in self.samples.items():
            if sample.startswith(name + "{"):
                labels = sample[len(name) + 1 : -1].split(",")
                found[tuple(label.partition("=")[2].strip('"') for label in labels)] += value
        return found


async def read_metrics(http_url: str) -> Metrics:
    """What ``/metrics`` says now."""

    def fetch() -> str:
        with urllib.request.urlopen(f"{http_url}/metrics", timeout=5) as answer:
            body: bytes = answer.read()
        return body.decode()

    lines = [line for line in (await asyncio.to_thread(fetch)).splitlines() if line and not line.startswith("#")]
    return Metrics({name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)})


def save(folder: Path, name: str, rows: Sequence[Row]) -> None:
    """Keep a table as JSON lines, for whoever looks into a failure."""
    with (folder / f"{name}.jsonl").open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, default=repr, ensure_ascii=False) + "\n")
