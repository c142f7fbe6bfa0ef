"""Figures for those who run the daemon are what the database says."""

from sqlalchemy import insert

from daemon.clock import now_micros
from daemon.observability.deployment_gauges import count_agents
from daemon.observability.metrics import Metrics
from storage.engine.database import Database
from storage.tables.sessions import session_ledger

HOUR = 3_600_000_000


async def test_agents_are_counted_by_their_state(database: Database) -> None:
    now = now_micros()
    sessions = [
        {"session_id": f"{agent}:1", "agent": agent, "status": status, "started_at": last_at, "last_at": last_at}
        for agent, status, last_at in (
            ("ada", "running", now),
            ("bob", "running", now - HOUR),
            ("cai", "running", now - 2 * HOUR),
            ("dan", "killed", now),
        )
    ]
    await database.write(lambda uow: uow.connection.execute(insert(session_ledger), sessions))
    metrics = Metrics()

    await count_agents(database, metrics)

    states = ("running", "stale", "stopped", "idle")
    counted = [metrics.registry.get_sample_value("headgate_agents", {"state": state}) for state in states]
    assert counted == [1.0, 2.0, 1.0, 0.0]
