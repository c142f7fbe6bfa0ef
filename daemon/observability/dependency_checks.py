"""How each dependency is measured."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from adapters.nats.probe import Probe
from adapters.nats.streams.pull import ContinuousPull
from contracts.subjects import Family
from daemon.observability.health import Check, Finding, Status
from storage.engine.database import Database

_HEALTHY: Final = Status.HEALTHY


def database_check(database: Database) -> Check:
    """A transaction that takes the write lock and commits: what intake needs."""

    async def check() -> Finding:
        await database.write(lambda uow: uow.leases.now())
        weakness = await database.read(lambda uow: uow.lost_with_the_machine())
        if weakness is not None:
            return Finding(Status.DEGRADED, f"{database.dialect} takes writes; {weakness}")
        return Finding(_HEALTHY, f"{database.dialect} takes writes")

    return check


def migrations_check(database: Database, head: str) -> Check:
    """The schema is the one this program was written for.

    Revisions are numbered in one straight order: a higher one was made by a newer daemon. This one works on beside it
    for as long as every table and column is there that it knows.
    """

    async def check() -> Finding:
        current = await database.read(lambda uow: uow.schema_revision())
        if current == head:
            return Finding(_HEALTHY, f"at {current}")
        if current is not None and current > head:
            return Finding(Status.DEGRADED, f"at {current}, which a newer headgate has made; this program is of {head}")
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


def consumers_check(pulls: Mapping[Family, ContinuousPull], in_the_way: Callable[[], Sequence[str]]) -> Check:
    """Every consumer exists and answers its pull; those of workers are as they should be."""

    async def check() -> Finding:
        paused = sorted(pull.consumer for pull in pulls.values() if pull.paused)
        silent = sorted(pull.consumer for pull in pulls.values() if not pull.healthy)
        if silent:
            return Finding(Status.DEGRADED, f"no answer: {', '.join(silent)}")
        if paused:
            return Finding(Status.DEGRADED, f"paused: {', '.join(paused)}")
        if others := in_the_way():
            return Finding(Status.DEGRADED, "; ".join(others))
        return Finding(_HEALTHY, f"{len(pulls)} consumers are pulled")

    return check


def nats_check(probe: Callable[[], Awaitable[Probe]]) -> Check:
    """A durable publish is confirmed."""

    async def check() -> Finding:
        found = await probe()
        if found.ok:
            return Finding(_HEALTHY, f"a publish was stored in {found.latency_ms:.1f} ms")
        return Finding(Status.UNHEALTHY, found.detail)

    return check
