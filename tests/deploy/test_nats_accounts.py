"""deploy/nats/accounts.conf: each role can do its work, and nothing else."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client

from adapters.nats.server.server_process import server_binary
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Limits, topology
from contracts.subjects import Subjects
from daemon.bridge.process import bridge
from daemon.settings.loading import load_settings
from tests.adapters.providers.replicate_server import STARTING, ReplicateServer, succeeded
from tests.daemon.bridge.bridge_harness import TUNING, Pipeline, settings_text
from tests.deploy.conftest import DEPLOY, Server, passwords
from tests.support.command_line import headgate
from tests.support.daemons import running_daemon
from tests.support.usage_records import envelope, lines

pytestmark = pytest.mark.process

HEADGATE_INBOX = {role: {"HEADGATE_LIMITS__REPLY_PREFIXES": f'["_INBOX.{role}."]'} for role in ("producer", "operator")}


@asynccontextmanager
async def connected(server: Server, role: str) -> AsyncIterator[Client]:
    """A client of the role. What the server refuses it stands in the server's log."""
    own_inbox = role in {"producer", "worker", "operator"}
    inbox = f"_INBOX.{role}" if own_inbox else "_INBOX"
    client = await nats.connect(server.url(role), error_cb=_ignored, inbox_prefix=inbox.encode(), allow_reconnect=False)
    try:
        yield client
    finally:
        await client.close()


async def _ignored(_: Exception) -> None:
    return None


def external(server: Server, role: str = "daemon") -> str:
    return f'[nats]\nmode = "external"\nurl = "{server.url(role)}"\n'


def test_daemon_producer_and_operator_have_all_that_they_need(accounts_server: Server, tmp_path: Path) -> None:
    good, bad = envelope("roles:1"), envelope("roles:2", status="maybe")
    with running_daemon(tmp_path / "home", external(accounts_server)) as daemon:
        published = headgate(
            *("publish", "--json", "--config", daemon.config, "--nats-url", accounts_server.url("producer")),
            stdin=lines(good, good, bad),
            variables=HEADGATE_INBOX["producer"],
        )
        health = headgate(
            *("ops", "health-check", "--json", "--config", daemon.config),
            *("--nats-url", accounts_server.url("operator")),
            variables=HEADGATE_INBOX["operator"],
        )
    said = published.json
    assert [said[outcome] for outcome in ("accepted", "duplicate", "refused")] == [1, 1, 1]
    assert health.code == 0, health.out
    assert health.json["status"] == "healthy"
    assert accounts_server.violations == []


async def test_a_second_start_on_existing_streams_is_allowed_all_that_it_asks(
    accounts_server: Server, tmp_path: Path
) -> None:
    for _ in range(2):
        with running_daemon(tmp_path / "home", external(accounts_server)) as daemon:
            assert daemon.events("ready")
    assert accounts_server.violations == []


async def test_a_bridge_does_its_work_with_its_own_user(accounts_server: Server, tmp_path: Path) -> None:
    async with ReplicateServer() as replicate, connected(accounts_server, "daemon") as nc:
        await provision(nc, topology(Subjects("hg"), Limits()))
        replicate.lives.append([STARTING, succeeded()])
        file = tmp_path / "config.toml"
        file.write_text(settings_text(accounts_server.url("bridge"), replicate.base_url))
        async with bridge(load_settings(file, {}), TUNING):
            pipe = Pipeline(None, replicate, nc, tmp_path)  # type: ignore[arg-type]  # its server is not asked
            await pipe.dispatch()
            ready = await pipe.last_payload("READY")
            await pipe.until_acknowledged()
    assert ready["artifacts"] == {"video_url": "https://delivery.example/out.mp4"}
    assert accounts_server.violations == []


async def test_a_worker_takes_work_and_reports(accounts_server: Server) -> None:
    async with connected(accounts_server, "daemon") as daemon:
        await provision(daemon, topology(Subjects("hg"), Limits()))
        await daemon.jetstream().publish("hg.work.item.analyse", b"{}")
    async with connected(accounts_server, "worker") as worker:
        js = worker.jetstream()
        subscription = await js.pull_subscribe("hg.work.item.analyse", durable="worker-item-analyse", stream="HG_WORK")
        (message,) = await subscription.fetch(1, timeout=5)
        stored = await js.publish("hg.callback.item.item-1", b"{}")
        await message.ack_sync()
        await worker.subscribe("hg.event.job.*.cancelled")
        await worker.flush()
    assert stored.stream == "HG_CALLBACK"
    assert accounts_server.violations == []


FORBIDDEN_PUBLISHES = {
    "producer": (
        "hg.callback.job.j-1",
        "hg.cmd.ledger.get",
        "hg.ops.health-check",
        "hg.work.publish",
        "hg.event.job.j-1.transitioned",
        "hg.replay.ingest.session.usage",
        "hg.dead.ingest.session.usage",
        "hg.control.writer",
        "$JS.API.STREAM.INFO.HG_INGEST",
        "$JS.API.STREAM.PURGE.HG_INGEST",
        "$JS.ACK.HG_INGEST.headgate-ingest.1.1.1.1.0",
        "$KV.HG_STATUS.job.j-1",
        "_INBOX.operator.x",
    ),
    "worker": (
        "hg.ingest.session.usage",
        "hg.cmd.job.get",
        "hg.ops.health-check",
        "hg.work.publish",
        "hg.event.job.j-1.transitioned",
        "$JS.API.STREAM.PURGE.HG_WORK",
        "$JS.API.CONSUMER.MSG.NEXT.HG_CALLBACK.headgate-callback",
        "$JS.API.CONSUMER.DELETE.HG_WORK.worker-publish",
        "$KV.HG_STATUS.job.j-1",
    ),
    "bridge": (
        "hg.ingest.session.usage",
        "hg.callback.publish.post-1",
        "hg.cmd.job.get",
        "hg.ops.health-check",
        "$JS.API.STREAM.DELETE.KV_HG_BRIDGE",
        "$KV.HG_STATUS.job.j-1",
        "_INBOX.operator.x",
    ),
    "operator": (
        "hg.ingest.session.usage",
        "hg.callback.job.j-1",
        "hg.work.publish",
        "hg.replay.ingest.session.usage",
        "$JS.API.STREAM.PURGE.HG_INGEST",
        "$JS.API.STREAM.DELETE.HG_INGEST",
        "$JS.API.STREAM.UPDATE.HG_INGEST",
        "$JS.API.CONSUMER.DELETE.HG_INGEST.headgate-ingest",
        "$JS.API.CONSUMER.MSG.NEXT.HG_INGEST.headgate-ingest",
        "$JS.ACK.HG_INGEST.headgate-ingest.1.1.1.1.0",
        "$KV.HG_STATUS.job.j-1",
    ),
    "daemon": ("$JS.API.STREAM.DELETE.HG_INGEST", "$SYS.REQ.SERVER.PING"),
}

FORBIDDEN_SUBSCRIPTIONS = {
    "producer": ("hg.>", "hg.ingest.>", "hg.event.>", "_INBOX.operator.>", "_INBOX.>", ">", "hg.cmd.>"),
    "worker": ("hg.work.>", "hg.cmd.>", "hg.ops.>", "_INBOX.operator.>", ">"),
    "bridge": ("hg.work.>", "hg.cmd.>", "_INBOX.operator.x", ">"),
    "operator": ("hg.ingest.>", "hg.callback.>", "hg.cmd.>", "hg.ops.>", "_INBOX.producer.>", ">"),
    "daemon": ("hg.ingest.>", "_INBOX.operator.x", ">"),
}


@pytest.mark.parametrize("role", FORBIDDEN_PUBLISHES)
async def test_nobody_says_or_hears_what_is_not_theirs(accounts_server: Server, role: str) -> None:
    async with connected(accounts_server, role) as client:
        for subject in FORBIDDEN_PUBLISHES[role]:
            await client.publish(subject, b"{}")
        for subject in FORBIDDEN_SUBSCRIPTIONS[role]:
            await client.subscribe(subject)
        wanted = {f'Publish Violation - Subject "{subject}"' for subject in FORBIDDEN_PUBLISHES[role]}
        wanted |= {f'Subscription Violation - Subject "{subject}"' for subject in FORBIDDEN_SUBSCRIPTIONS[role]}
        allowed = await _not_refused(accounts_server, wanted)
    assert allowed == set()


async def _not_refused(server: Server, wanted: set[str], within_s: float = 5) -> set[str]:
    """What the server has not complained of by the deadline."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        log = "\n".join(server.violations)
        left = {violation for violation in wanted if violation not in log}
        if not left or asyncio.get_running_loop().time() > deadline:
            return left
        await asyncio.sleep(0.02)


def test_the_server_takes_the_deployed_configuration() -> None:
    command = [str(server_binary()), "-t", "-c", str(DEPLOY / "nats" / "nats-server.conf")]
    done = subprocess.run(command, env=os.environ | passwords(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
