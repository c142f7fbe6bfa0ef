"""Ask the daemon anything by request and reply, and print the answer.

    python examples/ask.py hg.cmd.ledger.get '{"session_id": "monday"}'
    python examples/ask.py hg.ops.health-check

It speaks to the daemon that `make run` has started in this folder, or to the server in NATS_URL. A bearer token, where
the daemon asks for one, is taken from HEADGATE_TOKEN.
"""
# ruff: noqa: T201 - an example prints

import asyncio
import json
import os
import sys
import uuid
from datetime import UTC, datetime
from pathlib import Path

import nats


async def ask(url: str, subject: str, payload: dict[str, object], token: str | None = None) -> dict[str, object]:
    """The reply's payload: `status`, and a `result` or an `error`."""
    request = {
        "envelope_version": 2,
        "kind": subject.split(".", 2)[2],
        "schema_version": "1.0",
        "message_id": str(uuid.uuid4()),  # a command that changes something: the same id again gets the same answer
        "trace_id": str(uuid.uuid4()),
        "created_at": datetime.now(UTC).isoformat(),
        "producer": "example",
        "payload": payload,
    }
    headers = {"Authorization": f"Bearer {token}"} if token else None
    nc = await nats.connect(url)
    try:
        reply = await nc.request(subject, json.dumps(request).encode(), timeout=10, headers=headers)
    finally:
        await nc.close()
    return dict(json.loads(reply.data)["payload"])


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: ask.py SUBJECT [PAYLOAD]")
    url = os.environ.get("NATS_URL") or json.loads(Path("var/runtime.json").read_text())["nats_url"]
    asked = json.loads(sys.argv[2]) if len(sys.argv) > 2 else {}
    answer = asyncio.run(ask(url, sys.argv[1], asked, os.environ.get("HEADGATE_TOKEN")))
    print(json.dumps(answer, indent=2))
