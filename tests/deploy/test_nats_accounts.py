"""deploy/nats/accounts.conf: each role can do its work, and nothing else."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

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
from tests.deploy.conftest import DEPLOY, Server, password, passwords
from tests.support.command_line import headgate
from tests.support.daemons import running_daemon
from tests.support.records.envelopes import enveloped
from tests.support.records.usage_records import envelope, lines
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

HEADGATE_INBOX = {role: {"HEADGATE_LIMITS__REPLY_PREFIXES": f'["_INBOX.{role}."]'} for role in ("producer", "operator")}


@asynccontextmanager
async def connected(server: Server, role: str) -> AsyncIterator[Client]:
    """A client of the role. What the server refuses it stands in the server's log."""
    inbox = "_INBOX" if role == "daemon" else f"_INBOX.{role}"
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
        own_inbox = {"HEADGATE_LIMITS__REPLY_PREFIXES": '["_INBOX.bridge."]'}
        async with bridge(load_settings(file, own_inbox), TUNING):
            pipe = Pipeline(None, replicate, nc, tmp_path)  # type: ignore[arg-type]  # its server is not asked
            await pipe.dispatch()
            ready = await pipe.last_payload("READY")
            await pipe.until_acknowledged()
    assert ready["artifacts"] == {"video_url": "https://delivery.example/out.mp4"}
    assert accounts_server.violations == []


async def test_a_worker_takes_work_keeps_it_and_reports(accounts_server: Server) -> None:
    async with connected(accounts_server, "daemon") as daemon:
        await provision(daemon, topology(Subjects("hg"), Limits()))
        await daemon.jetstream().publish("hg.work.item.analyse", b"{}")
    async with connected(accounts_server, "worker") as worker:
        js = worker.jetstream()
        subscription = await js.pull_subscribe_bind("headgate-work-item-analyse", "HG_WORK")
        (message,) = await subscription.fetch(1, timeout=PATIENCE_S)
        await message.in_progress()
        stored = await js.publish("hg.callback.item.item-1", b"{}")
        await message.ack_sync()
        await worker.subscribe("hg.event.job.*.cancelled")
        await worker.flush()
        pending = (await js.consumer_info("HG_WORK", "headgate-work-item-analyse")).num_pending
    assert (stored.stream, pending) == ("HG_CALLBACK", 0)
    assert accounts_server.violations == []


async def test_a_worker_puts_pictures_into_the_object_store(accounts_server: Server) -> None:
    async with connected(accounts_server, "daemon") as daemon:
        await provision(daemon, topology(Subjects("hg"), Limits()))
    async with connected(accounts_server, "worker") as worker:
        assets = await worker.jetstream().object_store("HG_ASSETS")
        await assets.put("task-1/0.png", b"png")
        assert (await assets.get_info("task-1/0.png")).size == 3
    assert accounts_server.violations == []


async def test_an_application_commands_watches_the_status_bucket_and_hears_events(
    accounts_server: Server, tmp_path: Path
) -> None:
    with running_daemon(tmp_path / "home", external(accounts_server)):
        async with connected(accounts_server, "app") as app:
            events = await app.subscribe("hg.event.>")
            project = await command(app, "project.create", {"name": "roles"})
            watcher = await (await app.jetstream().key_value("HG_STATUS")).watch("job.>")
            job = await command(app, "job.create", {"project_id": project["project_id"], "title": "t", "prompt": "p"})
            async for entry in watcher:
                if entry is not None:
                    assert entry.key == f"job.{job['job_id']}"
                    break
            bucket = await app.jetstream().key_value("HG_STATUS")
            view = json.loads((await bucket.get(f"job.{job['job_id']}")).value or b"")
            event = await events.next_msg(timeout=PATIENCE_S)
            await watcher.stop()  # type: ignore[no-untyped-call]  # nats-py leaves it untyped
    assert view["status"] == "UPLOADED"
    assert event.subject == f"hg.event.job.{job['job_id']}.created"
    assert accounts_server.violations == []


async def test_a_listener_misses_no_event_with_a_consumer_of_its_own(accounts_server: Server) -> None:
    async with connected(accounts_server, "daemon") as daemon:
        await provision(daemon, topology(Subjects("hg"), Limits()))
        await daemon.jetstream().publish("hg.event.job.j-1.created", b"{}")
        async with connected(accounts_server, "listener") as listener:
            heard = await listener.subscribe("hg.event.>")
            js = listener.jetstream()
            subscription = await js.pull_subscribe("hg.event.job.>", durable="billing", stream="HG_EVENT")
            (first,) = await subscription.fetch(1, timeout=PATIENCE_S)
            await first.ack_sync()
            await daemon.jetstream().publish("hg.event.job.j-1.transitioned", b"{}")
            live = await heard.next_msg(timeout=PATIENCE_S)
            (second,) = await subscription.fetch(1, timeout=PATIENCE_S)
            await second.ack_sync()
            await js.delete_consumer("HG_EVENT", "billing")
    assert (first.subject, second.subject) == ("hg.event.job.j-1.created", "hg.event.job.j-1.transitioned")
    assert live.subject == second.subject
    assert accounts_server.violations == []


async def test_an_operator_reads_every_stream_and_inspects_consumers(accounts_server: Server) -> None:
    async with connected(accounts_server, "daemon") as daemon:
        await provision(daemon, topology(Subjects("hg"), Limits()))
        await daemon.jetstream().publish("hg.dead.ingest.session.usage", b"{}")
    async with connected(accounts_server, "operator") as operator:
        js = operator.jetstream()
        names = {info.config.name for info in await js.streams_info()}
        letter = await js.get_msg("HG_DEAD", 1)
        consumers = {info.name for info in await js.consumers_info("HG_WORK")}
        waiting = (await js.consumer_info("HG_INGEST", "headgate-ingest")).num_pending
        for subject in ("hg.event.>", "hg.dead.>", "hg.control.>", "hg.pulse.>"):
            await operator.subscribe(subject)
        await operator.flush()
    assert {"HG_INGEST", "HG_WORK", "HG_DEAD"} <= names
    assert (letter.subject, waiting) == ("hg.dead.ingest.session.usage", 0)
    assert "headgate-work-publish" in consumers
    assert accounts_server.violations == []


async def test_the_console_does_not_get_in_by_tcp(accounts_server: Server) -> None:
    reader, writer = await asyncio.open_connection(*accounts_server.address.split(":"))
    await reader.readline()
    login = json.dumps({"user": "console", "pass": password("console"), "verbose": True})
    writer.write(f"CONNECT {login}\r\nPING\r\n".encode())
    answer = await asyncio.wait_for(reader.readline(), PATIENCE_S)
    writer.close()
    await writer.wait_closed()
    assert b"Authorization Violation" in answer


@pytest.mark.parametrize("console_by_tcp", [True], indirect=True)
async def test_the_console_asks_and_hears_what_is_to_be_seen(accounts_server: Server, tmp_path: Path) -> None:
    with running_daemon(tmp_path / "home", external(accounts_server)):
        async with connected(accounts_server, "console") as page:
            health = await command(page, "health-check", {}, family="ops")
            for subject in ("hg.pulse.>", "hg.event.>", "$KV.HG_STATUS.>"):
                await page.subscribe(subject)
            await page.flush()
            assert accounts_server.violations == []
            for subject in ("hg.ingest.session.usage", "hg.callback.job.j-1", "$JS.API.STREAM.INFO.HG_INGEST"):
                await page.publish(subject, b"{}")
            refused = {f'Publish Violation - Subject "{subject}"' for subject in ("hg.ingest.session.usage",)}
            assert await _not_refused(accounts_server, refused) == set()
    assert health["status"] == "healthy"


async def command(client: Client, kind: str, payload: dict[str, object], family: str = "cmd") -> dict[str, Any]:
    """The result of a command that succeeds."""
    envelope = enveloped(kind, payload, producer="roles")
    reply = await client.request(f"hg.{family}.{kind}", json.dumps(envelope).encode(), timeout=PATIENCE_S)
    answer = json.loads(reply.data)["payload"]
    assert answer["status"] < 300, answer
    found: dict[str, Any] = answer["result"]
    return found


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
        "hg.pulse.d-1",
    ),
    "app": (
        "hg.ops.health-check",
        "hg.ingest.session.usage",
        "hg.callback.job.j-1",
        "hg.work.publish",
        "hg.event.job.j-1.transitioned",
        "$KV.HG_STATUS.job.j-1",
        "$JS.API.STREAM.INFO.HG_INGEST",
        "$JS.API.STREAM.MSG.GET.HG_EVENT",
        "$JS.API.DIRECT.GET.HG_EVENT.hg.event.x",
        "$JS.API.CONSUMER.CREATE.HG_EVENT.x",
        "$JS.API.CONSUMER.MSG.NEXT.HG_WORK.headgate-work-publish",
        "$JS.API.STREAM.PURGE.KV_HG_STATUS",
        "_INBOX.operator.x",
    ),
    "listener": (
        "hg.cmd.job.get",
        "hg.ops.health-check",
        "hg.ingest.session.usage",
        "hg.event.job.j-1.transitioned",
        "hg.control.writer",
        "$JS.API.STREAM.INFO.HG_WORK",
        "$JS.API.STREAM.PURGE.HG_EVENT",
        "$JS.API.STREAM.MSG.DELETE.HG_EVENT",
        "$JS.API.CONSUMER.CREATE.HG_DEAD.x",
        "$JS.API.DIRECT.GET.KV_HG_STATUS.job.j-1",
    ),
    "worker": (
        "hg.ingest.session.usage",
        "hg.cmd.job.get",
        "hg.ops.health-check",
        "hg.work.publish",
        "hg.event.job.j-1.transitioned",
        "$JS.API.STREAM.PURGE.HG_WORK",
        "$JS.API.CONSUMER.MSG.NEXT.HG_CALLBACK.headgate-callback",
        "$JS.API.CONSUMER.DELETE.HG_WORK.headgate-work-publish",
        "$JS.API.CONSUMER.CREATE.HG_WORK.mine.hg.work.publish",
        "$JS.API.CONSUMER.DURABLE.CREATE.HG_WORK.mine",
        "$JS.API.DIRECT.GET.KV_HG_STATUS.$KV.HG_STATUS.job.j-1",
        "hg.control.writer",
        "$KV.HG_STATUS.job.j-1",
    ),
    "bridge": (
        "hg.ingest.session.usage",
        "hg.callback.publish.post-1",
        "hg.cmd.job.get",
        "hg.ops.health-check",
        "$JS.API.STREAM.DELETE.KV_HG_BRIDGE",
        "$JS.API.CONSUMER.CREATE.HG_WORK.mine.hg.work.publish",
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
    "app": ("hg.>", "hg.ingest.>", "hg.work.>", "hg.callback.>", "hg.dead.>", "hg.cmd.>", "_INBOX.operator.>", ">"),
    "listener": ("hg.>", "hg.dead.>", "hg.work.>", "hg.callback.>", "$KV.HG_STATUS.>", "_INBOX.app.>", ">"),
    "producer": ("hg.>", "hg.ingest.>", "hg.event.>", "_INBOX.operator.>", "_INBOX.>", ">", "hg.cmd.>"),
    "worker": ("hg.work.>", "hg.cmd.>", "hg.ops.>", "_INBOX.operator.>", ">"),
    "bridge": ("hg.work.>", "hg.cmd.>", "_INBOX.operator.x", "_INBOX.>", ">"),
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


async def _not_refused(server: Server, wanted: set[str], within_s: float = PATIENCE_S) -> set[str]:
    """What the server has not complained of by the deadline."""
    deadline = asyncio.get_running_loop().time() + within_s
    while True:
        log = "\n".join(server.violations)
        left = {violation for violation in wanted if violation not in log}
        if not left or asyncio.get_running_loop().time() > deadline:
            return left
        await asyncio.sleep(0.02)


@pytest.mark.parametrize("name", ["nats-server.conf", "cluster.conf"])
def test_the_server_takes_the_deployed_configuration(name: str) -> None:
    command = [str(server_binary()), "-t", "-c", str(DEPLOY / "nats" / name)]
    cluster = {
        "NATS_SERVER_NAME": "nats-1",
        "NATS_CLUSTER_PASSWORD": "clusterPassword1",
        "NATS_ROUTES": "[nats://cluster:x@nats-1:6222, nats://cluster:x@nats-2:6222]",
    }
    environment = os.environ | passwords() | cluster
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
