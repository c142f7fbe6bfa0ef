"""A worker in thirty lines: takes `job.process` and reports by signed callbacks. Needs nats-py and nothing of headgate.

python examples/worker.py nats://127.0.0.1:4222 whsec_...
"""

import asyncio
import base64
import hashlib
import hmac
import json
import sys
import time
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
from nats.js import JetStreamContext


async def main(url: str, secret: str = "") -> None:
    js = (await nats.connect(url)).jetstream()
    queue = await js.pull_subscribe_bind("headgate-work-job-process", "HG_WORK")
    while True:
        with suppress(TimeoutError):  # nothing to do, or no answer: the work is delivered again
            (message,) = await queue.fetch(1, timeout=30)
            await draft(js, json.loads(message.data), secret)
            await message.ack()  # last of all: what a worker that dies had in hand goes to another


async def draft(js: JetStreamContext, work: dict[str, Any], secret: str) -> None:
    """What would call a speech model and a language model; here the prompt itself becomes the draft."""
    text = work["payload"].get("prompt") or "A video."
    segments = [{"start_ms": 0, "end_ms": 2_000, "text": text}]
    block = {"block_id": "step-1", "type": "step", "text": text}
    await report(js, work, secret, 1, status="TRANSCRIBING", progress=10)
    await report(js, work, secret, 2, status="DRAFTING", progress=60, artifacts={"transcript": segments})
    done: dict[str, Any] = {"artifacts": {"instruction": {"blocks": [block]}}, "cost_usd": "0.002"}
    await report(js, work, secret, 3, status="AWAITING_APPROVAL", progress=100, **done)


async def report(js: JetStreamContext, work: dict[str, Any], secret: str, sequence: int, **said: Any) -> None:
    """One callback. The same work gives the same event id each time, so that repeating it does no harm."""
    order, now = work["payload"], datetime.now(UTC)
    event_id = f"{order['work_id']}:{order['attempt']}:{sequence}"
    head = {"envelope_version": 2, "kind": "job.status", "schema_version": "1.0", "message_id": event_id}
    head |= {"trace_id": work["trace_id"], "created_at": now.isoformat(), "producer": "example-worker"}
    said |= {"event_id": event_id, "attempt": order["attempt"], "sequence": sequence}
    body = json.dumps({**head, "payload": said}).encode()
    await js.publish(order["callback_subject"], body, headers=signed(event_id, secret, body))


def signed(event_id: str, secret: str, body: bytes) -> dict[str, str]:
    """The headers of a callback, as Standard Webhooks has them."""
    key, sent_at = base64.b64decode(secret.removeprefix("whsec_")), str(int(time.time()))
    signature = hmac.digest(key, f"{event_id}.{sent_at}.".encode() + body, hashlib.sha256)
    headers = {"webhook-id": event_id, "webhook-timestamp": sent_at}
    return headers | {"webhook-signature": "v1," + base64.b64encode(signature).decode()}


if __name__ == "__main__":
    local = [] if sys.argv[1:] else [json.loads(Path("var/runtime.json").read_text())["nats_url"]]
    asyncio.run(main(*local, *sys.argv[1:]))
