"""What the daemon says of itself: healthy, degraded, unhealthy; ready or not, and why; alive in any case."""

import asyncio
import json
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from daemon.observability.health import Finding, HealthCheck, Status
from tests.adapters.nats.waiting import eventually_awaited
from tests.support.commands import Answer, ask, get, metric
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.locks import locked

HEALTH = "hg.ops.health-check"
DEPENDENCIES = {"nats", "database", "migrations", "repositories", "outbox", "consumers", "disk"}
SETTINGS = """
[storage]
busy_timeout_ms = 2000
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("health"), SETTINGS + "[audit]\nreads = 'all'\n") as running:
        yield running


@pytest_asyncio.fixture
async def nc(daemon: DaemonProcess) -> AsyncIterator[Client]:
    client = await nats.connect(daemon.nats_url)
    yield client
    await client.close()


def change(daemon: DaemonProcess, statement: str, *values: object) -> None:
    """Change the database behind the daemon's back."""
    with closing(sqlite3.connect(daemon.database, timeout=10)) as connection, connection:
        connection.execute(statement, values)


def runs(daemon: DaemonProcess) -> dict[str, tuple[str, str, str]]:
    """run_id -> (operation, status, principal)"""
    with closing(sqlite3.connect(daemon.database, timeout=10)) as connection:
        found = connection.execute("SELECT run_id, operation, status, principal FROM ops_runs").fetchall()
    return {run_id: (operation, status, principal) for run_id, operation, status, principal in found}


async def is_healthy(nc: Client) -> bool:
    return bool((await ask(nc, HEALTH)).result["status"] == "healthy")


@pytest.mark.process
async def test_a_healthy_daemon_measures_every_dependency_and_records_that_it_was_asked(
    nc: Client, daemon: DaemonProcess
) -> None:
    await eventually_awaited(lambda: is_healthy(nc))

    answer = await ask(nc, HEALTH)

    assert answer.status == 200
    assert set(answer.result["dependencies"]) == DEPENDENCIES
    for found in answer.result["dependencies"].values():
        assert (found["status"], found["latency_ms"] >= 0, bool(found["detail"])) == ("healthy", True, True)
    assert runs(daemon)[answer.result["run_id"]] == ("health-check", "succeeded", "local")


@pytest.mark.process
async def test_a_ready_daemon_says_so_over_http(nc: Client, daemon: DaemonProcess) -> None:
    await eventually_awaited(lambda: is_healthy(nc))

    alive, _ = get(f"{daemon.http_url}/livez")
    ready, body = get(f"{daemon.http_url}/readyz")
    also, _ = get(f"{daemon.http_url}/healthz")
    page, html = get(f"{daemon.http_url}/asyncapi")

    assert (alive, ready, also, page) == (200, 200, 200, 200)
    assert set(json.loads(body)["dependencies"]) == DEPENDENCIES
    assert b"<html" in html.lower()
    assert metric(daemon.http_url, "headgate_ready") == 1


@pytest.mark.process
async def test_a_message_refused_for_good_only_degrades(nc: Client, daemon: DaemonProcess) -> None:
    change(
        daemon,
        "INSERT INTO outbox (message_id, lane, aggregate, subject, headers, body, owner, created_at, attempts, state)"
        " VALUES ('m', 'HG_EVENT', 'a', 's', '{}', x'', 'nobody', 0, 0, 'failed')",
    )

    answer = await ask(nc, HEALTH)
    ready, _ = get(f"{daemon.http_url}/readyz")
    change(daemon, "DELETE FROM outbox")

    assert (answer.status, answer.result["status"]) == (200, "degraded")
    assert answer.result["dependencies"]["outbox"]["status"] == "degraded"
    assert "1 refused for good" in answer.result["dependencies"]["outbox"]["detail"]
    assert "Nats-Service-Error" not in answer.headers
    assert ready == 200


@pytest.mark.process
async def test_a_schema_of_an_older_revision_is_unhealthy(nc: Client, daemon: DaemonProcess) -> None:
    change(daemon, "UPDATE alembic_version SET version_num = '0' || version_num")
    answer = await ask(nc, HEALTH)
    change(daemon, "UPDATE alembic_version SET version_num = substr(version_num, 2)")

    assert (answer.status, answer.result["status"]) == (503, "unhealthy")
    assert answer.result["dependencies"]["migrations"]["status"] == "unhealthy"
    assert answer.headers["Nats-Service-Error-Code"] == "503"
    await eventually_awaited(lambda: is_healthy(nc))


@pytest.mark.process
async def test_a_locked_database_is_not_ready_and_unhealthy_and_comes_back_by_itself(
    nc: Client, daemon: DaemonProcess
) -> None:
    await eventually_awaited(lambda: is_healthy(nc))
    before = set(runs(daemon))
    with locked(daemon.database):
        status, body = await asyncio.to_thread(not_ready, daemon)
        answer: Answer = await ask(nc, HEALTH)
        assert get(f"{daemon.http_url}/livez")[0] == 200
        assert metric(daemon.http_url, "headgate_ready") == 0

    assert status == 503
    assert json.loads(body)["obstacles"][0]["dependency"] == "database"
    assert (answer.status, answer.result["status"], answer.result["run_id"]) == (503, "unhealthy", None)
    assert set(answer.result["dependencies"]) == DEPENDENCIES
    assert answer.result["dependencies"]["database"]["status"] == "unhealthy"
    eventually(lambda: get(f"{daemon.http_url}/readyz")[0] == 200)
    eventually(lambda: len(set(runs(daemon)) - before) == 1)
    [written] = set(runs(daemon)) - before
    assert runs(daemon)[written][0] == "health-check"
    await eventually_awaited(lambda: is_healthy(nc))


def not_ready(daemon: DaemonProcess) -> tuple[int, bytes]:
    eventually(lambda: get(f"{daemon.http_url}/readyz")[0] == 503)
    return get(f"{daemon.http_url}/readyz")


async def test_a_check_that_hangs_or_breaks_is_a_finding_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("daemon.observability.health._TIMEOUT_S", 0.01)

    async def fine() -> Finding:
        return Finding(Status.HEALTHY, "fine")

    async def hangs() -> Finding:
        await asyncio.Event().wait()
        return Finding(Status.HEALTHY, "never")

    async def breaks() -> Finding:
        raise OSError("/a/secret/path")

    only_degraded, unhealthy = HealthCheck(), HealthCheck()
    for health in (only_degraded, unhealthy):
        health.add("nats", fine)
        health.add("disk", hangs)
        health.add("consumers", breaks)
    unhealthy.add("database", hangs)

    first, second = await only_degraded.measure(), await unhealthy.measure()

    assert (first.status, second.status) == (Status.DEGRADED, Status.UNHEALTHY)
    assert second.dependencies["database"]["status"] == "unhealthy"
    assert first.dependencies["disk"]["status"] == first.dependencies["consumers"]["status"] == "degraded"
    assert "secret" not in str(first.as_json())


async def test_probes_that_come_at_once_share_one_measurement() -> None:
    measured = 0

    async def count() -> Finding:
        nonlocal measured
        measured += 1
        await asyncio.sleep(0)
        return Finding(Status.HEALTHY, "")

    health = HealthCheck()
    health.add("nats", count)

    await asyncio.gather(*(health.recent() for _ in range(50)))

    assert measured == 1
