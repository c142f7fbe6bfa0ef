# ruff: noqa: ASYNC110 - what is waited for lies in the streams of a server, which can only be asked
"""A bridge between a real nats-server and a local server that speaks Replicate's protocol."""

import asyncio
import json
import secrets
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import nats
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js import JetStreamContext
from nats.js.api import AckPolicy, ConsumerConfig, KeyValueConfig, RetentionPolicy, StreamConfig
from nats.js.errors import NotFoundError
from standardwebhooks import Webhook

from adapters.nats.server.embedded_server import EmbeddedServer
from daemon.bridge.process import Running, Tuning, bridge
from daemon.settings.loading import load_settings
from daemon.settings.model import Settings
from tests.adapters.providers.replicate_server import ReplicateServer
from tests.support.records.envelopes import enveloped
from tests.support.waiting import PATIENCE_S

SECRET = "whsec_" + b64encode(b"k" * 32).decode()
OLD_SECRET = "whsec_" + b64encode(b"o" * 32).decode()
TUNING = Tuning(ack_wait_s=1.0, slots=4, heartbeat_s=30.0, first_wait_s=0.02, read_timeout_s=5.0, check_s=0.1)
WITHIN_S = PATIENCE_S

MODEL = """
model = "acme/video"
inputs = { prompt = "{instruction.blocks.*.text}", image = "{video_uri}", fps = 24 }
usd_per_second = "0.01"
"""


def settings_text(nats_url: str, base_url: str, *, model: str = MODEL, work: str = "job.render", more: str = "") -> str:
    return f"""
[nats]
mode = "external"
url = "{nats_url}"
[callbacks]
secrets = ["{SECRET}", "{OLD_SECRET}"]
[bridge.replicate]
base_url = "{base_url}"
token = "r8_secret"
work = ["{work}"]
poll_interval_s = 0.02
{more}
[bridge.replicate.models."{work}"]
{model}
"""


@dataclass
class Pipeline:
    """The daemon's side of the streams, and the bridge's settings."""

    server: EmbeddedServer
    replicate: ReplicateServer
    nc: Client
    folder: Path
    tuning: Tuning = TUNING
    settings_file: Path = Path()

    @property
    def js(self) -> JetStreamContext:
        return self.nc.jetstream(timeout=PATIENCE_S)

    def configure_text(self, **parts: str) -> str:
        return settings_text(self.server.url, self.replicate.base_url, **parts)

    def configure(self, **parts: str) -> Settings:
        self.settings_file = self.folder / f"config-{secrets.token_hex(4)}.toml"
        self.settings_file.write_text(self.configure_text(**parts))
        return load_settings(self.settings_file, {})

    @asynccontextmanager
    async def bridge(self, settings: Settings | None = None, **tuning: Any) -> AsyncIterator[Running]:
        async with bridge(settings or self.configure(), replace(self.tuning, **tuning)) as running:
            yield running

    async def dispatch(self, work_type: str = "job.render", **changes: Any) -> dict[str, Any]:
        payload = {
            "work_id": "w-1",
            "attempt": 1,
            "deadline": "2030-01-01T00:00:00Z",
            "callback_subject": "hg.callback.job.j-1",
            "job_id": "j-1",
            "instruction": {"version": 1, "blocks": [{"block_id": "a", "type": "step", "text": "A lighthouse"}]},
            "video_uri": "https://files.example/in.mp4?sig=1",
            **changes,
        }
        envelope = enveloped(
            work_type,
            payload,
            message_id=f"m-{payload['work_id']}-{payload['attempt']}",
            trace_id="5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11",
            created_at="2026-11-20T10:15:30.123Z",
            producer="headgate",
        )
        await self.js.publish(f"hg.work.{work_type}", json.dumps(envelope).encode())
        return payload

    async def set_view(self, job_id: str = "j-1", **view: Any) -> None:
        bucket = await self.js.key_value("HG_STATUS")
        await bucket.put(f"job.{job_id}", json.dumps({"job_id": job_id, "version": 1, **view}).encode())

    async def callbacks(self) -> list[Msg]:
        """Everything that lies in the callback stream, verified to be signed with the first secret alone."""
        info = await self.js.stream_info("HG_CALLBACK")
        verifier = Webhook(SECRET)
        found = []
        for sequence in range(max(1, info.state.first_seq), info.state.last_seq + 1):
            raw = await self.js.get_msg("HG_CALLBACK", sequence)
            headers, body = dict(raw.headers or {}), raw.data or b""
            verifier.verify(body, headers)
            found.append(Msg(self.nc, raw.subject or "", "", body, headers))
        return found

    async def payloads(self) -> list[dict[str, Any]]:
        return [json.loads(message.data)["payload"] for message in await self.callbacks()]

    async def last_payload(self, *statuses: str) -> dict[str, Any]:
        """The newest callback, once it has one of the statuses."""
        return (await self.until_callbacks(lambda payloads: bool(payloads) and payloads[-1]["status"] in statuses))[-1]

    async def until_callbacks(self, fact: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        async with asyncio.timeout(WITHIN_S):
            while not fact(payloads := await self.payloads()):
                await asyncio.sleep(0.02)
        return payloads

    async def until_back(self) -> None:
        """The own connection stands again."""
        async with asyncio.timeout(WITHIN_S):
            while not self.nc.is_connected:
                await asyncio.sleep(0.02)

    async def until_acknowledged(self) -> None:
        """The work queue is empty: what was taken is acknowledged."""
        async with asyncio.timeout(WITHIN_S):
            while (await self.js.stream_info("HG_WORK")).state.messages:
                await asyncio.sleep(0.02)

    async def until_consumer(self, fact: Callable[[Any], bool], work_type: str = "job.render") -> None:
        name = f"headgate-work-{work_type.replace('.', '-')}"
        async with asyncio.timeout(WITHIN_S):
            while True:
                try:
                    if fact(await self.js.consumer_info("HG_WORK", name)):
                        return
                except NotFoundError:
                    pass
                await asyncio.sleep(0.02)


async def work_consumer(js: JetStreamContext, work_type: str = "job.render", ack_wait_s: float = 1.0) -> None:
    """What a daemon makes for workers, with a lease that tests can wait for."""
    name = f"headgate-work-{work_type.replace('.', '-')}"
    config = ConsumerConfig(
        durable_name=name, filter_subject=f"hg.work.{work_type}", ack_wait=ack_wait_s, ack_policy=AckPolicy.EXPLICIT
    )
    await js.add_consumer("HG_WORK", config)


@asynccontextmanager
async def pipeline(folder: Path) -> AsyncIterator[Pipeline]:
    server = EmbeddedServer(folder / "store", folder / "state", sync="interval")
    await server.start()
    try:
        nc = await nats.connect(server.url)
        js = nc.jetstream()
        queue = RetentionPolicy.WORK_QUEUE
        await js.add_stream(StreamConfig("HG_WORK", subjects=["hg.work.>"], retention=queue))
        for work_type in ("job.render", "job.process"):
            await work_consumer(js, work_type)
        await js.add_stream(StreamConfig("HG_CALLBACK", subjects=["hg.callback.>"]))
        await js.add_stream(StreamConfig("HG_EVENT", subjects=["hg.event.>"]))
        await js.create_key_value(KeyValueConfig("HG_STATUS"))
        async with ReplicateServer() as replicate:
            yield Pipeline(server, replicate, nc, folder)
        await nc.close()
    finally:
        await server.stop()


async def metric(running: Running, name: str, **labels: str) -> float:
    """A figure from the bridge's own ``/metrics``; 0 where it is not there."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
        answer = await client.get(f"{running.http_url}/metrics")
    assert answer.status_code == 200
    wanted = {f'{key}="{value}"' for key, value in labels.items()}
    for line in answer.text.splitlines():
        known, _, figure = line.rpartition(" ")
        if known.startswith(name + "{") and wanted <= set(known[len(name) + 1 : -1].split(",")):
            return float(figure)
    return 0.0


async def until_metric(running: Running, least: float, name: str, **labels: str) -> None:
    async with asyncio.timeout(WITHIN_S):
        while await metric(running, name, **labels) < least:
            await asyncio.sleep(0.02)
