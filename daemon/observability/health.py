"""Every dependency, measured for real: what ``health-check`` answers and ``/readyz`` shows.

Critical ones (nats, database, migrations, repositories) make the daemon unhealthy when they are away; the rest only
degrade it.
"""

import asyncio
import shutil
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from contracts.errors import JsonObject
from storage.engine.failures import StorageAway

log = structlog.get_logger(__name__)

CRITICAL: Final = frozenset({"nats", "database", "migrations", "repositories"})
_TIMEOUT_S: Final = 8.0
_DEEP_TIMEOUT_S: Final = 25.0
_FRESH_S: Final = 1.0


class Status(StrEnum):
    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; ``detail`` is a sentence or figures for an operator, without secrets."""

    status: Status
    detail: str


Check: TypeAlias = Callable[[], Awaitable[Finding]]


@dataclass(frozen=True, slots=True)
class Health:
    """One measurement of everything."""

    status: Status
    dependencies: Mapping[str, JsonObject]

    def as_json(self) -> JsonObject:
        return {"status": str(self.status), "dependencies": dict(self.dependencies)}


class HealthCheck:
    """Runs all checks side by side, each with a limit of its own."""

    def __init__(self) -> None:
        self._checks: dict[str, Check] = {}
        self._deep_checks: dict[str, Check] = {}
        self._latest: tuple[float, Health] | None = None
        self._measuring = asyncio.Lock()

    def add(self, name: str, check: Check) -> None:
        """Measure the dependency *name* from now on: it is known once the start has come that far."""
        self._checks[name] = check

    def add_deep(self, name: str, check: Check) -> None:
        """What takes seconds is measured only where somebody asks for it."""
        self._deep_checks[name] = check

    async def measure(self, *, deep: bool = False) -> Health:
        """Measure every dependency now; *deep* also what takes seconds."""
        asked = [(name, check, _TIMEOUT_S) for name, check in self._checks.items()]
        asked += [(name, check, _DEEP_TIMEOUT_S) for name, check in self._deep_checks.items() if deep]
        measured = await asyncio.gather(*(self._one(*each) for each in asked))
        dependencies = dict(zip([name for name, _, _ in asked], measured, strict=True))
        health = Health(_overall(dependencies), dependencies)
        if not deep:
            self._latest = (time.monotonic(), health)
        return health

    async def recent(self) -> Health:
        """A measurement not older than a second: probes may ask often, and many at once."""
        async with self._measuring:
            if self._latest is not None and time.monotonic() - self._latest[0] < _FRESH_S:
                return self._latest[1]
            return await self.measure()

    async def _one(self, name: str, check: Check, timeout_s: float) -> JsonObject:
        started = time.perf_counter()
        try:
            async with asyncio.timeout(timeout_s):
                finding = await check()
        except TimeoutError:
            finding = Finding(_away(name), f"no answer within {timeout_s:g} s")
        except Exception as error:  # a check that breaks is a finding
            log.warning("health_check_failed", dependency=name, exc_info=error)
            away = isinstance(error, StorageAway)
            finding = Finding(_away(name), " ".join(str(error).split()) if away else type(error).__name__)
        latency_ms = round((time.perf_counter() - started) * 1_000, 3)
        return {"status": str(finding.status), "latency_ms": latency_ms, "detail": finding.detail}


def _away(name: str) -> Status:
    return Status.UNHEALTHY if name in CRITICAL else Status.DEGRADED


def _overall(dependencies: Mapping[str, JsonObject]) -> Status:
    if any(found["status"] == Status.UNHEALTHY and name in CRITICAL for name, found in dependencies.items()):
        return Status.UNHEALTHY
    if any(found["status"] != Status.HEALTHY for found in dependencies.values()):
        return Status.DEGRADED
    return Status.HEALTHY


def disk_check(folder: Path, *, least_bytes: int, least_share: float) -> Check:
    """Room where the daemon writes: degraded below *least_bytes* or *least_share* of the disk."""

    async def check() -> Finding:
        usage = await asyncio.to_thread(shutil.disk_usage, folder)
        detail = f"{usage.free // 2**20} MiB free of {usage.total // 2**20}"
        low = usage.free < least_bytes or usage.free < usage.total * least_share
        return Finding(Status.DEGRADED if low else Status.HEALTHY, detail)

    return check
