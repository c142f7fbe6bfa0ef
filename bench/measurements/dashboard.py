"""What a dashboard asks, over a million usage records: each question alone, at windows that begin and end anywhere."""

import asyncio
import random
import sqlite3
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, TypeAlias

import orjson
from nats.aio.client import Client

from bench.measurements.commands import envelope
from bench.measurements.stored import grow
from bench.setting.daemon_process import Home, daemon
from bench.setting.messages import AGENTS, MODELS, PRODUCERS
from bench.setting.server import connected
from bench.setting.streams import BenchError

_EVENTS: Final = 100_000
_POSTS: Final = 300
_DAYS: Final = 28
_TIMEOUT_S: Final = 20.0
_WORDS: Final = ("harbour", "draft", "retry", "photo", "outline", "editor", "source", "summary")

_NUMBERS: Final = "WITH RECURSIVE numbers(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM numbers WHERE i + 1 < :count) "
# Every event says a common word, one in eight a word of eight, one in a thousand a rare one.
_SAID: Final = f"""{_NUMBERS}
INSERT INTO session_events (message_id, session_id, agent, type, at, text, trace_id, producer, created_at)
SELECT 'event:' || i, sessions.session_id, sessions.agent, 'message', sessions.started_at + i % 97,
    'looked at the ' || words.word || CASE WHEN i % 1000 = 0 THEN ' needle' ELSE '' END || ' number ' || i,
    'bench', 'bench', sessions.started_at
FROM numbers JOIN bench_words AS words ON words.number = i % {len(_WORDS)}
JOIN bench_sessions AS sessions ON sessions.number = i % (SELECT count(*) FROM bench_sessions)
"""
_MEASURED: Final = f"""{_NUMBERS}
INSERT INTO post_performance_daily (
    day, post_id, platform, at, impressions, reach, likes, comments, saves, shares, views, watch_through, message_id,
    trace_id, producer, created_at
)
SELECT date('now', '-' || (i / {_POSTS}) || ' days'), printf('post-%04d', i % {_POSTS}),
    CASE i % 2 WHEN 0 THEN 'shorts' ELSE 'reels' END,
    (unixepoch('now', 'start of day', '-' || (i / {_POSTS}) || ' days') + 3600) * 1000000,
    1000 + abs(random() % 900), 800 + abs(random() % 700), 40, 5, 9, 4, 900, 0.5, 'm:' || i, 'bench', 'bench', i
FROM numbers
"""

Ask: TypeAlias = Callable[[random.Random], Mapping[str, object]]


@dataclass(frozen=True, slots=True)
class DashboardTimes:
    """Milliseconds from request to reply, by question."""

    rows: int
    times: Mapping[str, Sequence[float]]

    @property
    def p95_ms(self) -> float:
        """Over all questions together."""
        return percentile([each for times in self.times.values() for each in times], 0.95)

    @property
    def slowest(self) -> tuple[str, float]:
        """The question with the highest 95th percentile."""
        return max(((name, percentile(times, 0.95)) for name, times in self.times.items()), key=lambda each: each[1])


def percentile(times: Sequence[float], share: float) -> float:
    """By nearest rank."""
    ordered = sorted(times)
    return ordered[max(0, -(-len(ordered) * round(share * 100) // 100) - 1)]


@dataclass(slots=True)
class _Questions:
    """The questions, by a name and the command."""

    asked: list[tuple[str, str, Ask]] = field(default_factory=list)

    def add(self, name: str, command: str, ask: Ask) -> None:
        self.asked.append((name, command, ask))


async def measure_dashboard(rows: int, samples: int, work_dir: Path) -> DashboardTimes:
    """Ask each question *samples* times, in turn, of a daemon with *rows* records of four weeks."""
    rows -= rows % len(PRODUCERS)
    times: defaultdict[str, list[float]] = defaultdict(list)
    with TemporaryDirectory(dir=work_dir) as folder:
        home = Home(Path(folder))
        home.configure(commands_per_second=1_000_000)
        async with daemon(home):
            pass
        await asyncio.to_thread(grow, home.database, rows)
        await asyncio.to_thread(_add_words_and_posts, home.database)
        async with daemon(home) as running, connected(running.nats_url) as client:
            chance = random.Random(7)
            for number in range(samples + 1):
                for name, command, ask in _questions().asked:
                    taken = await _time(client, command, ask(chance))
                    if number:  # the first round warms up
                        times[name].append(taken)
    return DashboardTimes(rows, dict(times))


async def _time(client: Client, command: str, payload: Mapping[str, object]) -> float:
    family, _, name = command.partition(" ")
    body = envelope(name, payload)
    started = time.perf_counter()
    reply = await client.request(f"hg.{family}.{name}", body, timeout=_TIMEOUT_S)
    taken = (time.perf_counter() - started) * 1_000
    answer = orjson.loads(reply.data)["payload"]
    if answer["status"] != 200:
        raise BenchError(f"{name} was answered {answer['status']}: {answer.get('error')}")
    return taken


def _add_words_and_posts(path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        database.execute("PRAGMA synchronous = OFF")
        database.execute("CREATE TEMP TABLE bench_words (number INTEGER PRIMARY KEY, word TEXT)")
        database.executemany("INSERT INTO bench_words VALUES (?, ?)", enumerate(_WORDS))
        database.execute(
            "CREATE TEMP TABLE bench_sessions AS SELECT row_number() OVER (ORDER BY session_id) - 1 AS number,"
            " session_id, agent, started_at FROM session_ledger"
        )
        database.execute("CREATE UNIQUE INDEX temp.bench_sessions_number ON bench_sessions (number)")
        database.execute("BEGIN")
        database.execute(_SAID, {"count": _EVENTS})
        database.execute(_MEASURED, {"count": _POSTS * 2 * _DAYS})
        database.execute("COMMIT")


def _questions() -> _Questions:
    questions = _Questions()
    _ask_ledger(questions)
    _ask_analytics(questions)
    questions.add("kpi-report daily", "ops kpi-report", lambda _: {"period": "daily"})
    questions.add("kpi-report weekly", "ops kpi-report", lambda _: {"period": "weekly", "format": "text"})
    questions.add("alert.list", "cmd alert.list", lambda _: {})
    questions.add("alert.get", "cmd alert.get", lambda _: {"rule": "cost_usd_per_day"})
    return questions


def _ask_ledger(questions: _Questions) -> None:
    filters: dict[str, Ask] = {
        "all": lambda _: {},
        "agent": lambda chance: {"agent": chance.choice(AGENTS)},
        "model": lambda chance: {"model": chance.choice(MODELS)},
        "status": lambda _: {"status": "running"},
        "agent and model": lambda chance: {"agent": chance.choice(AGENTS), "model": chance.choice(MODELS)},
        "rare status": lambda chance: {"agent": chance.choice(AGENTS), "status": "killed"},
        "window": lambda chance: _window(chance, hours=24),
        "search, rare": lambda _: {"search": "needle"},
        "search, one in eight": lambda chance: {"search": chance.choice(_WORDS)},
        "search, everywhere": lambda _: {"search": "looked"},
        "search of an agent": lambda chance: {"search": chance.choice(_WORDS), "agent": chance.choice(AGENTS)},
    }
    for name, ask in filters.items():
        questions.add(f"ledger.list {name}", "cmd ledger.list", ask)
    questions.add("ledger.get", "cmd ledger.get", lambda chance: {"session_id": f"{chance.choice(PRODUCERS)}.00007"})


def _ask_analytics(questions: _Questions) -> None:
    for hours, keys in (
        (6, "model"),
        (24, "hour"),
        (7 * 24, "hour"),
        (7 * 24, ["hour", "model"]),
        (27 * 24, "day"),
        (27 * 24, ["day", "model"]),
        (27 * 24, ["agent", "model"]),
    ):
        questions.add(
            f"analytics.usage {hours} h by {keys}",
            "cmd analytics.usage",
            lambda chance, hours=hours, keys=keys: {**_window(chance, hours=hours), "group_by": keys},  # type: ignore[misc]  # mypy infers no lambda with defaults
        )
    for hours in (6, 24, 7 * 24, 27 * 24):
        questions.add(
            f"analytics.performance {hours} h",
            "cmd analytics.performance",
            lambda chance, hours=hours: _window(chance, hours=hours),  # type: ignore[misc]  # mypy infers no lambda with defaults
        )


def _window(chance: random.Random, *, hours: int) -> dict[str, object]:
    """So many hours within the last four weeks, from any microsecond on; the history ends two days ago."""
    room = timedelta(days=_DAYS) - timedelta(hours=hours)
    since = datetime.now(UTC) - timedelta(days=_DAYS + 2) + room * chance.random()
    return {"from": since.isoformat(), "to": (since + timedelta(hours=hours)).isoformat()}
