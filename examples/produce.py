"""A producer: publishes usage records and prints what became of each.

    python examples/produce.py [NATS_URL]

It needs nats-py alone. Without a URL, here or in NATS_URL, it speaks to the daemon that `make run` has started in this
folder.
"""
# ruff: noqa: T201 - an example prints

import asyncio
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

PATIENCE_S = 2.0
REPORTED = {"source": "provider_reported", "confidence": "high"}
MISSING = {"source": "missing", "confidence": "unknown"}


def usage(session_id: str, *, tokens_in: int, tokens_out: int) -> dict[str, object]:
    """The payload: what one request to a model used. The cost is left out, so the daemon derives it."""
    return {
        "session_id": session_id,
        "agent": "planner",
        "model": "gpt-4o",
        "at": now(),
        "status": "ok",
        "input_tokens": tokens_in,
        "output_tokens": tokens_out,
        "provenance": {"tokens": REPORTED, "runtime": MISSING, "cost": MISSING},
    }


def envelope(message_id: str, payload: dict[str, object]) -> bytes:
    """Version 2. The message id is the idempotency key: the same record must always get the same one."""
    return json.dumps(
        {
            "envelope_version": 2,
            "kind": "session.usage",
            "schema_version": "2.0",
            "message_id": message_id,
            "trace_id": str(uuid.uuid4()),
            "created_at": now(),
            "producer": "planner-7",
            "payload": payload,
        }
    ).encode()


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def local_daemon() -> str:
    return str(json.loads(Path("var/runtime.json").read_text())["nats_url"])


async def send(nc: Client, body: bytes) -> dict[str, Any]:
    """The record's receipt. Where it does not come the same body is sent again, as often as it takes: the stream may be
    full or away, its acknowledgement or the receipt lost. The message id makes all tries one record."""
    pause_s = 0.1
    while True:
        inbox = nc.new_inbox()
        receipts = await nc.subscribe(inbox, max_msgs=1)
        try:
            # Raises unless the stream has stored it; it is on disk when this returns.
            await nc.jetstream().publish(
                "hg.ingest.session.usage", body, timeout=PATIENCE_S, headers={"Headgate-Receipt": inbox}
            )
            receipt = await receipts.next_msg(timeout=PATIENCE_S)
        except NatsError as error:
            print("again:", repr(error), file=sys.stderr)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, 30)
        else:
            payload: dict[str, Any] = json.loads(receipt.data)["payload"]
            print(payload["message_id"], payload["outcome"], payload["status"], payload.get("error", ""))
            return payload


async def main() -> None:
    nc = await nats.connect(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("NATS_URL") or local_daemon())
    for number, tokens_in in enumerate([1200, 800, -1]):  # the last one is refused
        message_id = f"planner-7:{uuid.uuid4()}"
        payload = usage("monday", tokens_in=tokens_in, tokens_out=100 * number)
        receipt = await send(nc, envelope(message_id, payload))
        if receipt["outcome"] == "refused":  # sent again as it is it would be refused again; corrected it keeps its id
            await send(nc, envelope(message_id, payload | {"input_tokens": 0}))
    await nc.close()


asyncio.run(main())
