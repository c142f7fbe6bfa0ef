"""A real daemon, and beside it the people it works with: a producer, workers, and whoever reads its database."""

import asyncio
import base64
import json
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, TypeVar

import anyio
import nats
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from standardwebhooks.webhooks import Webhook

from tests.support.connections import ignored
from tests.support.daemons import DaemonProcess
from tests.support.ports import free_port
from tests.support.records.envelopes import enveloped
from tests.support.results import check_result
from tests.support.waiting import PATIENCE_S, never_true, pauses

T = TypeVar("T")
Json = dict[str, Any]

SECRET: Final = "whsec_" + base64.b64encode(b"a secret of thirty-two bytes ok!").decode()
SETTINGS: Final = f"""
[callbacks]
secrets = ["{SECRET}"]
[self_heal]
interval_s = 600
threshold_s = 3600
max_attempts = 2
[work."item.analyse"]
deadline_s = 3600
[work.publish]
deadline_s = 3600
"""


async def until(fact: Callable[[], Awaitable[T | None]], within_s: float = PATIENCE_S) -> T:
    """The first true answer of *fact*."""
    with anyio.fail_after(within_s):
        for pause_s in pauses(within_s):
            if value := await fact():
                return value
            await anyio.sleep(pause_s)
    raise never_true(within_s)


def soon(**after: float) -> str:
    """RFC 3339, from now."""
    return (datetime.now(UTC) + timedelta(**after)).isoformat()


def _payload(message: Msg) -> Json:
    payload: Json = json.loads(message.data)["payload"]
    return payload


class Pipeline:
    """A daemon's surroundings over one connection of their own."""

    def __init__(self, daemon: DaemonProcess, nc: Client) -> None:
        self.daemon = daemon
        self.nc = nc
        self.js = nc.jetstream(timeout=PATIENCE_S)

    async def send(self, kind: str, payload: Json, **envelope: object) -> Json:
        """Publish an ingest message; the payload of its receipt."""
        return await self._publish(f"hg.ingest.{kind}", kind, payload, {}, envelope)

    async def report(self, family: str, subject_id: str, kind: str, payload: Json, **headers: str) -> Json:
        """Publish a callback signed by the specification's own package, unless *headers* say otherwise."""
        return await self._publish(f"hg.callback.{family}.{subject_id}", kind, payload, headers, {}, sign=not headers)

    async def _publish(
        self, subject: str, kind: str, payload: Json, headers: dict[str, str], fields: Json, *, sign: bool = False
    ) -> Json:
        envelope = enveloped(kind, payload, **{"producer": "worker-1", **fields})
        body = json.dumps(envelope)
        if sign:
            now = datetime.now(UTC)
            headers = {
                "webhook-id": payload["event_id"],
                "webhook-timestamp": str(int(now.timestamp())),
                "webhook-signature": Webhook(SECRET).sign(payload["event_id"], now, body),
            }
        inbox = self.nc.new_inbox()
        receipts = await self.nc.subscribe(inbox, max_msgs=1)
        await self.js.publish(subject, body.encode(), headers={**headers, "Headgate-Receipt": inbox})
        receipt = await receipts.next_msg(timeout=PATIENCE_S)
        return _payload(receipt)

    async def command(self, name: str, payload: Json, *, family: str = "ops", timeout_s: float = PATIENCE_S) -> Json:
        """A command; the payload of its reply."""
        envelope = enveloped(name, payload, producer="operator")
        reply = await self.nc.request(f"hg.{family}.{name}", json.dumps(envelope).encode(), timeout=timeout_s)
        answer = _payload(reply)
        check_result(name, answer)
        return answer

    async def take_work(self, work_type: str, *, timeout: float = PATIENCE_S) -> tuple[Msg, Json]:
        """What a worker gets: the message, not acknowledged, and its payload."""
        worker = await self.js.pull_subscribe_bind(f"headgate-work-{work_type.replace('.', '-')}", "HG_WORK")
        (message,) = await worker.fetch(1, timeout=timeout)
        return message, _payload(message)

    async def waiting_work(self) -> int:
        """How many messages lie in the work queue."""
        return int((await self.js.stream_info("HG_WORK")).state.messages)

    async def kill_and_restart(self) -> None:
        """Kill the daemon, its server with it, and start it again. The client library may notice the loss only when it
        is next used, and lose what it is used for."""
        await asyncio.to_thread(self.daemon.kill9)
        await asyncio.to_thread(self.daemon.start)

        async def answered() -> bool:
            try:
                await self.nc.flush(timeout=1)
            except (NatsError, OSError):
                return False
            return True

        await until(answered)

    def rows(self, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
        """What the database says."""
        with closing(sqlite3.connect(f"file:{self.daemon.database}?mode=ro", uri=True)) as connection:
            return connection.execute(statement, parameters).fetchall()

    def write(self, statement: str, *parameters: object) -> None:
        """Change the database behind the daemon's back."""
        with closing(sqlite3.connect(self.daemon.database, timeout=PATIENCE_S)) as connection, connection:
            connection.execute(statement, parameters)

    def one(self, statement: str, *parameters: object) -> Any:
        """The one value that the database says, None where there is no row."""
        rows = self.rows(statement, *parameters)
        return rows[0][0] if rows else None

    async def becomes(self, wanted: object, statement: str, *parameters: object, within_s: float = PATIENCE_S) -> None:
        """Wait until the database says so."""

        async def said() -> bool:
            return bool(self.one(statement, *parameters) == wanted)

        await until(said, within_s)


@pytest.fixture
def settings() -> str:
    """A test that needs others has a fixture of this name."""
    return SETTINGS


@pytest.fixture
def daemon(tmp_path: Path, settings: str) -> Iterator[DaemonProcess]:
    """On a port that stays the same when it is killed and started again."""
    process = DaemonProcess(tmp_path / "home", f"{settings}\n[nats]\nport = {free_port()}\n")
    try:
        process.start()
        yield process
    finally:
        process.end()


@pytest_asyncio.fixture
async def pipeline(daemon: DaemonProcess) -> AsyncIterator[Pipeline]:

    nc = await nats.connect(
        daemon.nats_url, max_reconnect_attempts=-1, reconnect_time_wait=0.05, error_cb=ignored, connect_timeout=1
    )
    yield Pipeline(daemon, nc)
    await nc.close()
