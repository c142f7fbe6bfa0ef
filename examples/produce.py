"""A producer: publishes usage records and prints what became of each.

    python examples/produce.py [NATS_URL]

It needs nats-py alone. Without a URL it speaks to the daemon that `make run` has started in this folder.
"""
# ruff: noqa: T201 - an example prints

import asyncio
import json
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import nats
from nats.aio.msg import Msg

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


async def main() -> None:
    nc = await nats.connect(sys.argv[1] if len(sys.argv) > 1 else local_daemon())
    js = nc.jetstream()
    told = asyncio.Event()

    async def on_receipt(message: Msg) -> None:
        receipt = json.loads(message.data)["payload"]
        print(receipt["message_id"], receipt["outcome"], receipt["status"], receipt.get("error", ""))
        told.set()

    inbox = nc.new_inbox()
    await nc.subscribe(inbox, cb=on_receipt)

    for number, tokens_in in enumerate([1200, 800, -1]):  # the last one is refused
        told.clear()
        body = envelope(f"planner-7:{uuid.uuid4()}", usage("monday", tokens_in=tokens_in, tokens_out=100 * number))
        # Raises unless the stream has stored it: then try again with the same body. It is on disk when this returns.
        await js.publish("hg.ingest.session.usage", body, headers={"Headgate-Receipt": inbox})
        await asyncio.wait_for(told.wait(), 5)
    await nc.close()


asyncio.run(main())
