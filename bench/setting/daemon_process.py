"""The real daemon, run as a user runs it: its own configuration file, its own state, started from the command line."""

import asyncio
import sqlite3
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import orjson

from bench.setting.processes import Child, child
from bench.setting.streams import BenchError

HEADGATE: Final = Path(sys.executable).with_name("headgate")
_READY_TIMEOUT_S: Final = 60.0
_POLL_S: Final = 0.002


@dataclass(frozen=True, slots=True)
class Home:
    """A folder with everything one daemon has: configuration, state, database, and its own server's store."""

    root: Path

    @property
    def config(self) -> Path:
        return self.root / "config.toml"

    @property
    def database(self) -> Path:
        return self.root / "headgate.db"

    @property
    def runtime(self) -> Path:
        return self.root / "state" / "runtime.json"

    def configure(self, url: str | None = None, commands_per_second: int | None = None) -> None:
        """Write the configuration: on its embedded server, or on the one at *url*. Everything else is as shipped.

        *commands_per_second* lifts the rate limit where commands are what is measured.
        """
        limits = f"\n[limits]\ncommands_per_second = {commands_per_second}\n" if commands_per_second else ""
        self.root.mkdir(parents=True, exist_ok=True)
        server = f'mode = "external"\nurl = "{url}"' if url else 'mode = "embedded"\nport = 0\nstore_dir = "jetstream"'
        self.config.write_text(
            f'[daemon]\nstate_dir = "state"\n\n[nats]\n{server}\n\n[storage]\nurl = "sqlite:///headgate.db"\n\n'
            '[auth]\nmode = "none"\n\n[http]\nhost = "127.0.0.1"\nport = 0\n\n[log]\nlevel = "info"\nformat = "json"\n'
            f"{limits}",
            encoding="utf-8",
        )
        self.config.chmod(0o600)


@dataclass(frozen=True, slots=True)
class Daemon:
    """A daemon that is ready. ``ready_s`` is the time from its command line to that."""

    process: Child
    nats_url: str
    ready_s: float


@asynccontextmanager
async def spawned(home: Home) -> AsyncIterator[Child]:
    """Start the daemon on *home* without waiting for anything, and stop it cleanly after the block."""
    if not HEADGATE.exists():
        raise BenchError(f"there is no {HEADGATE}: install the project first")
    home.runtime.unlink(missing_ok=True)
    async with child([HEADGATE, "serve", "--config", home.config], home.root / "daemon.log") as process:
        yield process
        status = await process.stop()
    if status:
        raise BenchError(f"the daemon ended with {status}: {process.last_words()}")


@asynccontextmanager
async def daemon(home: Home) -> AsyncIterator[Daemon]:
    """The same, ready: what it finds in its streams it may have worked off by then."""
    started = time.perf_counter()
    async with spawned(home) as process:
        url = await _ready(home, process)
        yield Daemon(process, url, time.perf_counter() - started)


async def _ready(home: Home, process: Child) -> str:
    deadline = time.monotonic() + _READY_TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            runtime = orjson.loads(home.runtime.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            runtime = None
        if runtime is not None and runtime["pid"] == process.pid:
            return str(runtime["nats_url"])
        if process.ended():
            raise BenchError(f"the daemon did not start: {process.last_words()}")
        await asyncio.sleep(_POLL_S)
    raise BenchError(f"the daemon was not ready within {_READY_TIMEOUT_S:g} s: {process.last_words()}")


def missing_rows(home: Home, expected: int) -> list[str]:
    """What is wrong with the database of a stopped daemon that should have stored *expected* messages."""
    with closing(sqlite3.connect(f"file:{home.database}?mode=ro", uri=True)) as database:
        counted = {
            "inbox": _count(database, "SELECT count(*) FROM inbox WHERE kind = 'session.usage'"),
            "session_usage": _count(database, "SELECT count(*) FROM session_usage"),
            "session_usage, distinct": _count(database, "SELECT count(DISTINCT message_id) FROM session_usage"),
            "session_ledger requests": _count(database, "SELECT coalesce(sum(requests), 0) FROM session_ledger"),
            "daily_usage_agg requests": _count(database, "SELECT coalesce(sum(requests), 0) FROM daily_usage_agg"),
            "model_perf_agg requests": _count(database, "SELECT coalesce(sum(requests), 0) FROM model_perf_agg"),
        }
        letters = _count(database, "SELECT count(*) FROM dead_letters")
    wrong = [f"{what}: {count:,} instead of {expected:,}" for what, count in counted.items() if count != expected]
    return [*wrong, f"{letters:,} dead letters"] if letters else wrong


def _count(database: sqlite3.Connection, query: str) -> int:
    return int(database.execute(query).fetchone()[0])
