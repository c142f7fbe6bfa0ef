"""Figures for those who run the daemon: its dependencies, its agents, its disk, the age of its newest backup."""

import asyncio
import shutil
from collections import Counter
from pathlib import Path
from typing import Final

from contracts.values.states import AgentState
from daemon.clock import now_micros
from daemon.observability.health import HealthCheck, Status
from daemon.observability.metrics import Metrics
from domain.agents.agents import agent_state
from handlers.agents.agent_queries import MOST_AGENTS
from storage.engine.database import Database
from storage.journal.ops_runs import SUCCEEDED, RunFilter

LOOK_S: Final = 15.0
_MICROS: Final = 1_000_000
_BACKUPS: Final = RunFilter(operation="backup", status=SUCCEEDED)


class DeploymentGauges:
    """Reads them again, one step at a time. ``backups_wanted``: that none was made is a figure too."""

    def __init__(
        self, folder: Path, database: Database, health: HealthCheck, metrics: Metrics, *, backups_wanted: bool
    ) -> None:
        self._folder = folder
        self._database = database
        self._health = health
        self._metrics = metrics
        if backups_wanted:
            metrics.backup_last_success.set(0)

    async def step(self) -> None:
        """Raises the errors of :mod:`storage.engine.failures`, and ``OSError`` where the disk cannot be asked."""
        for name, found in (await self._health.recent()).dependencies.items():
            self._metrics.dependency_up.labels(name).set(found["status"] == Status.HEALTHY)
        await count_agents(self._database, self._metrics)
        usage = await asyncio.to_thread(shutil.disk_usage, self._folder)
        self._metrics.disk_free.set(usage.free)
        newest = await self._database.read(lambda uow: uow.ops_runs.page(_BACKUPS, before=None, limit=1))
        if newest:
            self._metrics.backup_last_success.set((newest[0].ended_at or newest[0].started_at) / _MICROS)


async def count_agents(database: Database, metrics: Metrics) -> None:
    """Agents by state, as system-status tells them."""
    seen = await database.read(lambda uow: uow.agents.seen(limit=MOST_AGENTS))
    now = now_micros()
    counted = Counter(agent_state(each.status, last_at=each.last_at, now=now) for each in seen)
    for state in AgentState:
        metrics.agents.labels(state).set(counted[state])
