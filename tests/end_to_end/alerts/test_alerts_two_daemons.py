"""Two daemons on one database, killed in turn while alerts come and go: every step is taken, told and sent once."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from typing import Any, Final

import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client

from adapters.nats.server.embedded_server import EmbeddedServer
from tests.end_to_end.alerts.test_alerts import RULE, usage
from tests.end_to_end.conftest import SECRET, until
from tests.support import databases
from tests.support.daemons import DaemonProcess
from tests.support.http_servers import FakeServer, answers, fake_server
from tests.support.records.envelopes import enveloped
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.slow]

Json = dict[str, Any]

ROUNDS: Final = 4
_SETTINGS: Final = """
[nats]
mode = "external"
url = "{nats_url}"
[storage]
url = "{storage_url}"
[callbacks]
secrets = ["{secret}"]
[alerts]
interval_s = 0.1
[alerts.rules.cost_usd_per_day]
warning = 1
critical = 1000
cooldown_s = 0.05
[notifiers.hook]
type = "webhook"
url = "{hook}"
"""


@pytest.fixture
def storage_url() -> Iterator[str]:
    with databases.postgres_server() as postgres, postgres.migrated_database() as url:
        yield url


@pytest_asyncio.fixture
async def hook() -> AsyncIterator[FakeServer]:
    async with fake_server(answers(204)) as server:
        yield server


@pytest_asyncio.fixture
async def pair(tmp_path: Path, storage_url: str, hook: FakeServer) -> AsyncIterator[list[DaemonProcess]]:
    server = EmbeddedServer(tmp_path / "store", tmp_path / "state", sync="interval")
    await server.start()
    settings = _SETTINGS.format(nats_url=server.url, storage_url=storage_url, secret=SECRET, hook=hook.url)
    with ExitStack() as stack:
        daemons = [DaemonProcess(tmp_path / name, settings) for name in ("one", "two")]
        for daemon in daemons:
            stack.callback(daemon.end)
            await asyncio.to_thread(daemon.start)
        yield daemons
    await server.stop()


async def ask(nc: Client, subject: str, payload: Json) -> Json:
    """A command, sent again with its message id where a daemon died with it."""
    envelope = enveloped(subject.split(".", 2)[2], payload, producer="operator")

    async def answered() -> Json | None:
        try:
            reply = await nc.request(subject, json.dumps(envelope).encode(), timeout=3)
        except (nats.errors.TimeoutError, nats.errors.NoRespondersError):
            return None
        said: Json = json.loads(reply.data)["payload"]
        return said["result"] if said["status"] == 200 else None

    return await until(answered)


async def alert(nc: Client) -> Json:
    return await ask(nc, "hg.cmd.alert.get", {"rule": RULE})


async def settled(nc: Client) -> list[Json] | None:
    """Every step, the oldest first, once all of them have been sent."""
    history: list[Json] = (await alert(nc))["history"]
    told = [each for step in history for each in step["notifications"]]
    return history[::-1] if all(each["state"] == "sent" for each in told) else None


async def expect_told_once(nc: Client, history: list[Json]) -> None:
    """As events."""
    js = nc.jetstream(timeout=PATIENCE_S)
    wanted = {f"hg.event.alert.{RULE}.warning": ROUNDS + 1, f"hg.event.alert.{RULE}.ok": ROUNDS}

    async def all_published() -> bool:
        """What a dead daemon had left is published when its lease is over."""
        there = (await js.stream_info("HG_EVENT", subjects_filter="hg.event.alert.>")).state.subjects or {}
        return sum(there.values()) >= len(history)

    await until(all_published)
    events = await js.pull_subscribe(f"hg.event.alert.{RULE}.>", stream="HG_EVENT")
    published = await events.fetch(len(history), timeout=PATIENCE_S)
    # Across daemons the version orders events: what a dead one left is published by the other, later.
    told = sorted((json.loads(event.data)["payload"] for event in published), key=lambda step: int(step["version"]))
    assert [step["transition_id"] for step in told] == [step["transition_id"] for step in history]
    assert (await js.stream_info("HG_EVENT", subjects_filter="hg.event.alert.>")).state.subjects == wanted


async def test_every_step_is_taken_told_and_sent_once_whichever_daemon_dies(
    pair: list[DaemonProcess], hook: FakeServer
) -> None:
    async with AsyncExitStack() as stack:
        nc = await nats.connect(pair[0].nats_url)
        stack.push_async_callback(nc.close)
        spent = json.dumps(enveloped("session.usage", usage("5"), schema_version="2.0", message_id="u-1", producer="p"))
        await nc.jetstream().publish("hg.ingest.session.usage", spent.encode())

        async def is_raised() -> bool:
            return bool((await alert(nc))["severity"] == "warning")

        for round_ in range(ROUNDS):
            await until(is_raised)
            victim = pair[round_ % 2]
            if round_ % 2:
                await asyncio.to_thread(victim.kill9)
            await ask(nc, "hg.ops.alerts", {"action": "resolve", "rule": RULE, "reason": f"round {round_}"})
            if not round_ % 2:
                await asyncio.to_thread(victim.kill9)
            await asyncio.to_thread(victim.start)
        await until(is_raised)

        history = await until(lambda: settled(nc))
        assert [step["version"] for step in history] == list(range(1, len(history) + 1))
        assert [step["what"] for step in history] == ["warning_raised", "resolved"] * ROUNDS + ["warning_raised"]
        await expect_told_once(nc, history)
        sent = Counter(request.headers["webhook-id"] for request in hook.requests)
        notified = [step["transition_id"] for step in history if step["notifications"]]
        assert sent.keys() == set(notified)
