"""Intake with millions of rows already stored, against intake with none."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from bench.measurements.intake import Headgate, Results, Say, race_once
from bench.setting.daemon_process import Home, daemon
from bench.setting.messages import AGENTS, KIND, MESSAGES_PER_SESSION, MODELS, PRODUCERS, Load
from domain.ledger.percentiles import NO_RUNTIME, bucket_of

FRESH: Final = "headgate"
FULL: Final = "headgate, stored"
_HISTORY_MICROS: Final = 28 * 86_400 * 1_000_000

_NUMBERS: Final = "WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :count) "

# In the order of the primary key, one producer after the other: the shape that ordered ids leave behind.
_INBOX: Final = f"""{_NUMBERS}
INSERT INTO inbox (kind, message_id, payload_hash, received_at)
SELECT '{KIND}', :producer || ':' || printf('%06d', i), lower(hex(randomblob(32))), :start + i * :step FROM numbers
"""
_USAGE: Final = f"""{_NUMBERS}
INSERT INTO session_usage (
    message_id, session_id, agent, model, at, status, input_tokens, output_tokens, runtime_ms, cost_usd_micros,
    pricing_version, tokens_source, tokens_confidence, runtime_source, runtime_confidence, cost_source, cost_confidence,
    trace_id, producer, created_at
)
SELECT
    producers.name || ':' || printf('%06d', i / {len(PRODUCERS)}),
    producers.name || '.' || printf('%05d', i / {len(PRODUCERS)} / {MESSAGES_PER_SESSION}),
    producers.agent, models.name, :start + i * :step, iif(i % 40, 'ok', 'error'),
    50 + abs(random() % 2000), 20 + abs(random() % 600), 200 + abs(random() % 9000), abs(random() % 5000),
    '2026-10', 'provider_reported', 'high', 'derived', 'medium', 'provider_reported', 'high',
    lower(printf('%s-%s-4%s-a%s-%s', hex(randomblob(4)), hex(randomblob(2)), substr(hex(randomblob(2)), 2),
                 substr(hex(randomblob(2)), 2), hex(randomblob(6)))),
    producers.name, :start + i * :step
FROM numbers
JOIN bench_producers AS producers ON producers.number = i % {len(PRODUCERS)}
JOIN bench_models AS models ON models.number = (i / 3) % {len(MODELS)}
"""
_LEDGER: Final = """
INSERT INTO session_ledger (
    session_id, agent, model, model_at, status, started_at, last_at, requests, errors, input_tokens, output_tokens,
    cost_usd_micros
)
SELECT session_id, max(agent), max(model), max(at), 'running', min(at), max(at), count(*), sum(status = 'error'),
    sum(input_tokens), sum(output_tokens), sum(cost_usd_micros)
FROM session_usage GROUP BY session_id
"""
_TOTALS: Final = """
INSERT INTO {table} (
    {key}, agent, model, requests, errors, input_tokens, output_tokens, runtime_ms, cost_usd_micros, tokens_reported,
    tokens_derived, tokens_missing_count, runtime_ms_reported, runtime_ms_derived, runtime_missing_count,
    cost_usd_micros_reported, cost_usd_micros_derived, cost_missing_count, unpriced
)
SELECT {expression} AS {key}, agent, model, count(*), sum(status = 'error'), sum(input_tokens),
    sum(output_tokens), sum(runtime_ms), sum(cost_usd_micros), sum(input_tokens + output_tokens), 0, 0, 0,
    sum(runtime_ms), 0, sum(cost_usd_micros), 0, 0, 0
FROM session_usage GROUP BY 1, 2, 3
"""
_DAYS: Final = _TOTALS.format(table="daily_usage_agg", key="day", expression="date(at / 1000000, 'unixepoch')")
_HOURS: Final = _TOTALS.format(table="hourly_usage_agg", key="hour", expression="at / 3600000000")
_PERFORMANCE: Final = """
INSERT INTO model_perf_agg (day, agent, model, bucket, requests, errors)
SELECT date(at / 1000000, 'unixepoch') AS day, agent, model, bucket_of(runtime_ms) AS bucket, count(*),
    sum(status = 'error')
FROM session_usage GROUP BY day, agent, model, bucket
"""


@dataclass(frozen=True, slots=True)
class FullHeadgate(Headgate):
    """The daemon on a database that has a history."""

    name: str = FULL


async def measure_stored(messages: int, stored: int, rounds: int, work_dir: Path, say: Say) -> Results:
    """Race the daemon against itself, in turn: on an empty database, and on one with *stored* rows."""
    stored -= stored % len(PRODUCERS)
    results = Results()
    with TemporaryDirectory(dir=work_dir) as folder:
        full = Home(Path(folder) / "full")
        full.configure()
        async with daemon(full):
            say("tables made")
        seconds = await asyncio.to_thread(grow, full.database, stored)
        say(f"{stored:,} rows stored in {seconds:,.0f} s, {full.database.stat().st_size / 2**30:.1f} GiB")
        for number in range(1, rounds + 1):
            with TemporaryDirectory(dir=work_dir) as empty:
                fresh = await race_once(Headgate(FRESH), Load.of(messages), Path(empty) / "fresh")
            results.rounds.setdefault(FRESH, []).append(fresh)
            load = Load.of(messages, first=stored)
            grown = await race_once(FullHeadgate(), load, full.root, stored)
            results.rounds.setdefault(FULL, []).append(grown)
            stored += messages
            say(f"round {number}/{rounds}  empty {fresh.rate:,.0f}/s, with {stored:,} rows {grown.rate:,.0f}/s")
    return results


def grow(path: Path, rows: int) -> float:
    """Write *rows* messages' worth of rows into the database of a stopped daemon; answers the seconds it took."""
    started = time.monotonic()
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        # Nobody else looks and nothing is lost if this fails: no journal, no fsync.
        database.execute("PRAGMA journal_mode = OFF")
        database.execute("PRAGMA synchronous = OFF")
        database.create_function("bucket_of", 1, _bucket, deterministic=True)
        database.execute("CREATE TEMP TABLE bench_producers (number INTEGER PRIMARY KEY, name TEXT, agent TEXT)")
        database.execute("CREATE TEMP TABLE bench_models (number INTEGER PRIMARY KEY, name TEXT)")
        database.executemany(
            "INSERT INTO bench_producers VALUES (?, ?, ?)",
            [(number, name, AGENTS[number % len(AGENTS)]) for number, name in enumerate(PRODUCERS)],
        )
        database.executemany("INSERT INTO bench_models VALUES (?, ?)", list(enumerate(MODELS)))
        database.execute("BEGIN")
        _write_history(database, rows)
        database.execute("COMMIT")
        database.execute("PRAGMA journal_mode = WAL")
    return time.monotonic() - started


def _write_history(database: sqlite3.Connection, rows: int) -> None:
    start = time.time_ns() // 1_000 - 2 * 86_400_000_000 - _HISTORY_MICROS
    each = rows // len(PRODUCERS)
    for producer in sorted(PRODUCERS):
        step = _HISTORY_MICROS // each
        database.execute(_INBOX, {"count": each, "producer": producer, "start": start, "step": step})
    database.execute(_USAGE, {"count": rows, "start": start, "step": _HISTORY_MICROS // rows})
    for statement in (_LEDGER, _HOURS, _DAYS, _PERFORMANCE):
        database.execute(statement)


def _bucket(runtime_ms: int | None) -> int:
    return NO_RUNTIME if runtime_ms is None else bucket_of(runtime_ms)
