"""A producer of many records: publishes a file of envelopes (JSON Lines) in atomic batches.

    python examples/produce_batch.py FILE [NATS_URL]

Whatever goes wrong ends it; started again with the same file it sends the same records, which are stored once.

A batch is stored whole or not at all, and is on disk with one flush: many times faster than one by one.
"""
# ruff: noqa: T201 - an example prints

import asyncio
import json
import os
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

import nats
from nats.aio.client import Client

MOST = 1_000  # what the server takes in one batch


async def publish_batch(nc: Client, subject: str, bodies: Sequence[bytes]) -> None:
    """Store all *bodies*; raises ``TimeoutError`` where it is not known whether they are: then send them again."""
    batch = uuid.uuid4().hex
    *first, last = bodies
    for number, body in enumerate(first, start=1):
        await nc.publish(subject, body, headers={"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)})
    commit = {"Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(len(bodies)), "Nats-Batch-Commit": "1"}
    answer = json.loads((await nc.request(subject, last, timeout=5, headers=commit)).data)
    if "error" in answer:  # nothing of the batch is stored; a stream that is full says so here
        raise RuntimeError(answer["error"]["description"])


async def main(records: Sequence[bytes], url: str) -> None:
    nc = await nats.connect(url)
    try:
        for start in range(0, len(records), MOST):
            await publish_batch(nc, "hg.ingest.session.usage", records[start : start + MOST])
    finally:
        await nc.close()
    print(f"{len(records)} records are stored")


if __name__ == "__main__":
    url = sys.argv[2] if len(sys.argv) > 2 else os.environ.get("NATS_URL")
    local = url or json.loads(Path("var/runtime.json").read_text())["nats_url"]
    lines = Path(sys.argv[1]).read_bytes().splitlines()
    asyncio.run(main([line for line in lines if line.strip()], local))
