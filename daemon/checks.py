"""How each dependency is measured."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from adapters.pull import ContinuousPull
from daemon.health import Check, Finding, Status
from storage.database import Database

_HEALTHY: Final = Status.HEALTHY


def database_check(database: Database) -> Check:
    """A transaction that takes the write lock and commits: what intake needs."""

    async def check() -> Finding:
        await database.write(lambda uow: uow.leases.now())
        return Finding(_HEALTHY, f"{database.dialect} takes writes")

    return check


def migrations_check(database: Database, head: str) -> Check:
    """The schema is the one this program was written for."""

    async def check() -> Finding:
        current = await database.read(lambda uow: uow.schema_revision())
        if current == head:
            return Finding(_HEALTHY, f"at {current}")
        return Finding(Status.UNHEALTHY, f"at {current or 'none'}, this program needs {head}")

    return check


def repositories_check(database: Database) -> Check:
    """Every table can be read."""

    async def check() -> Finding:
        tables = await database.read(lambda uow: uow.touch_tables())
        return Finding(_HEALTHY, f"{tables} tables answer")

    return check


def outbox_check(database: Database, clock: Callable[[], int], *, oldest_s: float) -> Check:
    """Nothing waits long, nothing was refused for good."""

    async def check() -> Finding:
        depth = await database.read(lambda uow: uow.outbox.depth())
        age_s = 0.0 if depth.oldest_at is None else (clock() - depth.oldest_at) / 1_000_000
        detail = f"{depth.pending} waiting, oldest {age_s:.1f} s, {depth.failed} refused for good"
        return Finding(Status.DEGRADED if depth.failed or age_s > oldest_s else _HEALTHY, detail)

    return check


def consumers_check(pulls: Mapping[str, ContinuousPull], silent_after_s: float) -> Check:
    """Every pull is heard of by its heartbeats."""

    async def check() -> Finding:
        silent = {name: pull.silent_s() for name, pull in pulls.items() if pull.silent_s() > silent_after_s}
        paused = [name for name, pull in pulls.items() if pull.paused]
        if paused:
            return Finding(Status.DEGRADED, f"paused: {', '.join(sorted(paused))}")
        if silent:
            words = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in sorted(silent.items()))
            return Finding(Status.DEGRADED, f"silent: {words}")
        return Finding(_HEALTHY, ", ".join(f"{name} pulls" for name in sorted(pulls)))

    return check


def nats_check(probe: Callable[[], Awaitable[float]]) -> Check:
    """A durable publish is confirmed."""

    async def check() -> Finding:
        seconds = await probe()
        return Finding(_HEALTHY, f"a publish was stored in {seconds * 1_000:.1f} ms")

    return check
