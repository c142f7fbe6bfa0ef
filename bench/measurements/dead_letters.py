"""What an operator waits for in front of 100,000 dead letters: their groups, and any page of 200."""

import itertools
import random
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import orjson
from nats.aio.client import Client

from bench.measurements.latency import percentile
from bench.setting.daemon_process import Home, daemon
from bench.setting.server import connected
from bench.setting.streams import BenchError
from contracts.errors import Detail, ErrorCode, problem
from contracts.values.times import format_micros

LETTERS: Final = 100_000
_PAGE: Final = 200
_ROUNDS: Final = 15
_TIMEOUT_S: Final = 30.0
_KINDS: Final = ("session.usage", "session.event", "feed.item", "content.schedule")
_CODES: Final = ("VALIDATION_ERROR", "IDEMPOTENCY_CONFLICT", "UNSUPPORTED_CONTRACT_VERSION")
_PATHS: Final = ("payload.input_tokens", "created_at,payload.model", "payload.cost_usd,payload.pricing_version", "")
_PRODUCERS: Final = ("planner-1", "planner-2", "planner-3", "planner-4", None)
_STATES: Final = (*["open"] * 8, "resolved", "discarded")

_INSERT: Final = """
INSERT INTO dead_letters (
    dead_letter_id, state, kind, code, paths, problem, message_id, producer, trace_id, stream, subject, sequence,
    stored_at, delivered, received_at, headers, updated_at, body
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 'HG_INGEST', ?, ?, ?, 1, ?, '{}', ?, ?)
"""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LetterLatency:
    """Milliseconds from the request to the answer, 95th percentiles."""

    letters: int
    groups_ms: float
    page_ms: float
    slowest_page: str


async def measure_dead_letters(work_dir: Path, letters: int = LETTERS) -> LetterLatency:
    """A daemon with *letters* of 240 groups; every sort of page that operators ask for."""
    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure()
        async with daemon(home):
            pass
        grow(home.database, letters)
        async with daemon(home) as running, connected(running.nats_url) as client:
            groups = [await _asked(client, {"action": "groups", "limit": 500}) for _ in range(_ROUNDS)]
            pages = [(await _page(client, filters), str(sorted(filters))) for filters in _filters() for _ in range(3)]
    times = sorted(seconds for seconds, _ in pages)
    return LetterLatency(letters, percentile(sorted(groups), 95) * 1_000, percentile(times, 95) * 1_000, max(pages)[1])


def grow(path: Path, count: int) -> None:
    groups = list(itertools.product(_KINDS, _CODES, _PATHS, _PRODUCERS))
    dice = random.Random(1)
    start = time.time_ns() // 1_000 - count * 1_000

    def rows() -> Iterator[tuple[object, ...]]:
        for number in range(count):
            # A few groups have most of the letters, as after a broken release.
            kind, code, paths, producer = groups[min(int(dice.expovariate(0.02)), len(groups) - 1)]
            details = [Detail(path, "int_type", "Input should be a valid integer") for path in paths.split(",") if path]
            why = orjson.dumps(problem(ErrorCode(code), "2 fields are invalid", details).as_json()).decode()
            at = start + number // 50 * 50_000
            yield (
                f"{number:08x}-aaaa-7bbb-8ccc-{dice.getrandbits(48):012x}",
                dice.choice(_STATES),
                *(kind, code, paths, why, f"m:{number}", producer, str(uuid.UUID(int=number))),
                *(f"ingest.{kind}", number, at, at, at, b"x" * 700),
            )

    with closing(sqlite3.connect(path)) as database, database:
        database.executemany(_INSERT, rows())


def _filters() -> Iterator[Json]:
    """Every sort of page, and the same from the middle of the time on."""
    middle = format_micros(time.time_ns() // 1_000 - LETTERS * 500)
    named = {"kinds": ["session.usage"], "codes": ["VALIDATION_ERROR"], "paths": [["payload.input_tokens"]]}
    for filters in (
        {},
        {"states": ["open"]},
        {"states": ["open", "replaying"]},
        {"states": ["resolved", "discarded"]},
        {"kinds": ["content.schedule"]},
        {"codes": ["UNSUPPORTED_CONTRACT_VERSION"]},
        {"producers": [None]},
        {**named, "producers": ["planner-1"]},
        {**named, "producers": [None], "states": ["open", "replaying"]},
        {"message_ids": ["m:7"]},
    ):
        yield filters
        yield {**filters, "until": middle}


async def _page(client: Client, filters: Json) -> float:
    return await _asked(client, {"action": "list", "limit": _PAGE, **filters})


async def _asked(client: Client, payload: Json) -> float:
    """Seconds to the answer."""
    message_id = str(uuid.uuid4())
    body = orjson.dumps(
        {
            "envelope_version": 2,
            "kind": "dead-letters",
            "schema_version": "1.0",
            "message_id": message_id,
            "trace_id": message_id,
            "created_at": format_micros(time.time_ns() // 1_000),
            "producer": "bench",
            "payload": payload,
        }
    )
    started = time.perf_counter()
    answer = await client.request("hg.ops.dead-letters", body, timeout=_TIMEOUT_S)
    seconds = time.perf_counter() - started
    told = orjson.loads(answer.data)["payload"]
    if told["status"] != 200:
        raise BenchError(f"a question was not answered: {told['error']['code']}")
    return seconds
