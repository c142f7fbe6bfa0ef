"""A daemon with something going on (`make demo`): usage from a trace with some faults, feed items, jobs that fail.

python examples/demo.py --speed 5 --trace azure_llm_2023_conv.csv.gz
"""

# ruff: noqa: S311, T201 - an example prints, and its chance is seeded

import argparse
import asyncio
import csv
import gzip
import json
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import nats
import worker
from nats.aio.client import Client
from nats.js import JetStreamContext

AGENTS = ("planner", "researcher", "writer", "editor")
MODELS = ("gpt-4o", "gpt-4o-mini", "claude-sonnet-4-5", "a-model-without-a-price")
TOPICS = ("bread", "night trains", "tides", "old maps")
SETTINGS = '[nats]\nsync = "interval"\n[self_heal]\ninterval_s = 30.0\n'
CHANCE = random.Random(7)
HEADGATE = Path(sys.executable).with_name("headgate")


def main(folder: Path, speed: float, trace: Path | None) -> None:
    """Start a daemon of the demo's own, say where its console is, and feed it until Ctrl+C."""
    # Ended by its terminal or by a signal: its daemon ends with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "config.toml"
    config.write_text(SETTINGS)
    with (folder / "daemon.log").open("ab") as log:
        daemon = subprocess.Popen([HEADGATE, "serve", "--config", config], stdout=log, stderr=log)
    try:
        url = located(folder / "var" / "runtime.json", daemon)
        print(f"the console opens with (in another terminal): {HEADGATE} console --config {config}")
        subprocess.run([HEADGATE, "console", "--config", config], check=False)
        asyncio.run(feed(url, speed, trace))
    finally:
        daemon.send_signal(signal.SIGTERM)
        daemon.wait(30)


def located(runtime: Path, daemon: "subprocess.Popen[bytes]") -> str:
    """Where NATS is, once this daemon says so."""
    while daemon.poll() is None:
        with suppress(FileNotFoundError, ValueError):
            found = json.loads(runtime.read_text())
            if found["pid"] == daemon.pid:
                return str(found["nats_url"])
        time.sleep(0.1)
    sys.exit(f"the daemon did not start; see {runtime.parent.parent / 'daemon.log'}")


async def feed(url: str, speed: float, trace: Path | None) -> None:
    nc = await nats.connect(url)
    js = nc.jetstream()
    await backfill(js)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(usage(js, speed, trace))
        tasks.create_task(sessions(js))
        tasks.create_task(content(js))
        tasks.create_task(jobs(nc))
        tasks.create_task(worker.main(url, "", "job.process"))
        tasks.create_task(takes(js, "job-process", failing))
        tasks.create_task(takes(js, "job-render", rendering))
        tasks.create_task(takes(js, "item-analyse", analysing))
        tasks.create_task(takes(js, "publish", publishing))


# -- what producers send


def envelope(kind: str, payload: dict[str, Any], producer: str = "demo", version: str = "1.0") -> dict[str, Any]:
    head = {"envelope_version": 2, "kind": kind, "schema_version": version, "message_id": f"{producer}:{uuid.uuid4()}"}
    head |= {"trace_id": str(uuid.uuid4()), "created_at": datetime.now(UTC).isoformat(), "producer": producer}
    return head | {"payload": payload}


async def send(js: JetStreamContext, message: dict[str, Any]) -> None:
    await js.publish(f"hg.ingest.{message['kind']}", json.dumps(message).encode())


def used(tokens_in: int, tokens_out: int, at: datetime) -> dict[str, Any]:
    agent = CHANCE.choice(AGENTS)
    reported = {"source": "provider_reported", "confidence": "high"}
    payload = {"session_id": f"{agent}-{CHANCE.randint(1, 12)}", "agent": agent, "model": CHANCE.choice(MODELS)}
    payload |= {"at": at.isoformat(), "status": "error" if CHANCE.random() < 0.02 else "ok"}
    payload |= {"input_tokens": tokens_in, "output_tokens": tokens_out, "runtime_ms": 200 + 15 * tokens_out}
    cost = {"source": "missing", "confidence": "unknown"}
    payload["provenance"] = {"tokens": reported, "runtime": reported, "cost": cost}
    return envelope("session.usage", payload, f"{agent}-{CHANCE.randint(1, 3)}", "2.0")


def spoilt(message: dict[str, Any]) -> dict[str, Any]:
    """One of the mistakes that producers make."""
    payload = message["payload"]
    match CHANCE.randint(1, 5):
        case 1:
            payload["status"] = "fine"
        case 2:
            payload["input_tokens"] = -1
        case 3:
            message["schema_version"] = "3.0"
        case 4:
            payload["at"] = payload["at"].partition("+")[0]
        case _:
            payload["colour"] = "blue"
    return message


def rows(trace: Path | None) -> Iterator[tuple[float, int, int]]:
    """Seconds since the row before, tokens in, tokens out; for ever."""
    while trace is None:
        yield CHANCE.expovariate(5), int(CHANCE.lognormvariate(6, 1)), int(CHANCE.lognormvariate(4.5, 1))
    while True:
        with gzip.open(trace, "rt") as file:
            before: datetime | None = None
            for row in csv.DictReader(file):
                at = datetime.fromisoformat(row["TIMESTAMP"][:26])
                wait = 0.0 if before is None else (at - before).total_seconds()
                before = at
                yield wait, int(row["ContextTokens"]), int(row["GeneratedTokens"])


async def backfill(js: JetStreamContext) -> None:
    """Two weeks of usage, so that days can be compared."""
    for hour in range(14 * 24):
        at = datetime.now(UTC) - timedelta(hours=hour, minutes=CHANCE.randint(0, 59))
        for _ in range(CHANCE.randint(1, 4)):
            await send(js, used(CHANCE.randint(50, 4_000), CHANCE.randint(20, 900), at))


async def usage(js: JetStreamContext, speed: float, trace: Path | None) -> None:
    for wait, tokens_in, tokens_out in rows(trace):
        await asyncio.sleep(wait / speed)
        message = used(tokens_in, tokens_out, datetime.now(UTC))
        await send(js, spoilt(message) if CHANCE.random() < 0.03 else message)


async def sessions(js: JetStreamContext) -> None:
    says = ("looking for sources", "wrote a paragraph", "asked for a picture", "checked a figure")
    while True:
        for agent in AGENTS:
            kind = CHANCE.choices(("heartbeat", "message", "tool_call", "completed"), (4, 4, 2, 0.3))[0]
            payload = {"session_id": f"{agent}-{CHANCE.randint(1, 12)}", "agent": agent, "type": kind}
            payload |= {"at": datetime.now(UTC).isoformat(), "text": CHANCE.choice(says)}
            await send(js, envelope("session.event", payload, agent))
        await asyncio.sleep(3)


async def content(js: JetStreamContext) -> None:
    """Feed items, and posts with their measurements where the daemon takes them."""
    number = 0
    while True:
        number += 1
        stamp = datetime.now(UTC)
        topic, name = CHANCE.choice(TOPICS), f"{stamp:%H%M%S}-{number}"
        item = {
            "item_id": f"item-{name}",
            "source": "gazette",
            "title": f"News of {topic}",
            "text": "Something happened.",
        }
        item |= {"url": f"https://example.org/{name}", "published_at": stamp.isoformat()}
        await send(js, envelope("feed.item", item))
        post = {"post_id": f"post-{name}", "platform": CHANCE.choice(("reels", "shorts")), "topic": topic}
        post |= {"publish_at": stamp.isoformat(), "caption": f"All about {topic}", "hashtags": ["#demo"]}
        await send(js, envelope("content.schedule", post | {"objective": CHANCE.choice(("reach", "saves"))}))
        reach = int(CHANCE.lognormvariate(7, 0.5)) * (20 if CHANCE.random() < 0.04 else 1)
        seen = {"post_id": post["post_id"], "platform": post["platform"], "at": stamp.isoformat(), "reach": reach}
        seen |= {"impressions": reach * 2, "likes": reach // 9, "comments": reach // 90, "saves": reach // 30}
        seen |= {"shares": reach // 40, "views": reach, "watch_through": round(CHANCE.uniform(0.2, 0.9), 3)}
        await send(js, envelope("content.performance", seen))
        await asyncio.sleep(4)


# -- what owners ask


async def ask(nc: Client, command: str, payload: dict[str, Any]) -> dict[str, Any]:
    reply = await nc.request(f"hg.cmd.{command}", json.dumps(envelope(command, payload)).encode(), timeout=10)
    answer: dict[str, Any] = json.loads(reply.data)["payload"]
    return answer.get("result") or {}


async def jobs(nc: Client) -> None:
    """A job every few seconds; some of what was drafted is approved and rendered."""
    project = await ask(nc, "project.create", {"name": "Demo"})
    waiting: list[str] = []
    while True:
        topic = CHANCE.choice(TOPICS)
        asked = {"project_id": project["project_id"], "title": f"Teaser about {topic}", "estimated_cost_usd": "1.00"}
        job = await ask(nc, "job.create", asked | {"prompt": f"Ten seconds about {topic}."})
        await ask(nc, "job.run", {"job_id": job["job_id"]})
        waiting.append(job["job_id"])
        if len(waiting) > 5 and CHANCE.random() < 0.6:
            ready = waiting.pop(0)
            if (await ask(nc, "job.approve", {"job_id": ready})).get("approved"):
                await ask(nc, "job.render", {"job_id": ready})
        await asyncio.sleep(5)


# -- what workers do, beside the example worker


async def takes(js: JetStreamContext, consumer: str, work: Any) -> None:
    queue = await js.pull_subscribe_bind(f"headgate-work-{consumer}", "HG_WORK")
    while True:
        with suppress(TimeoutError):
            (message,) = await queue.fetch(1, timeout=30)
            await work(js, json.loads(message.data))
            await message.ack()


async def failing(js: JetStreamContext, work: dict[str, Any]) -> None:
    await asyncio.sleep(2)
    failure = {"code": "MODEL_OVERLOADED", "message": "the model took no more requests", "retryable": False}
    await worker.report(js, work, "", 1, status="FAILED", failure=failure)


async def rendering(js: JetStreamContext, work: dict[str, Any]) -> None:
    for sequence, progress in enumerate((25, 75), 1):
        await worker.report(js, work, "", sequence, status="RENDERING", progress=progress)
        await asyncio.sleep(2)
    video = {"video_url": "https://example.org/teaser.mp4"}
    await worker.report(js, work, "", 3, status="READY", progress=100, cost_usd="0.11", artifacts=video)


async def analysing(js: JetStreamContext, work: dict[str, Any]) -> None:
    sentiment = {"label": CHANCE.choice(("negative", "neutral", "positive")), "score": round(CHANCE.random(), 3)}
    await tell(js, work, "item.result", sentiment=sentiment)


async def publishing(js: JetStreamContext, work: dict[str, Any]) -> None:
    await tell(js, work, "publish.result", outcome="published", external_id=f"ext-{work['payload']['post_id']}")


async def tell(js: JetStreamContext, work: dict[str, Any], kind: str, **result: Any) -> None:
    order = work["payload"]
    event_id = f"{order['work_id']}:{order['attempt']}"
    said = envelope(kind, {"event_id": event_id, **result}, "demo-worker")
    body = json.dumps(said).encode()
    await js.publish(order["callback_subject"], body, headers=worker.signed(event_id, "", body))


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="A daemon with something going on.")
    parser.add_argument("--folder", type=Path, default=Path("var/demo"), help="where it keeps everything")
    parser.add_argument("--speed", type=float, default=1.0, help="times as fast as the trace was recorded")
    parser.add_argument("--trace", type=Path, help="a gzipped CSV with TIMESTAMP, ContextTokens, GeneratedTokens")
    return parser.parse_args()


if __name__ == "__main__":
    given = parsed()
    if given.trace is not None and not given.trace.is_file():
        print(f"no trace at {given.trace}: usage is made up", file=sys.stderr)
        given.trace = None
    elif given.trace is None:
        print("no trace is named: usage is made up", file=sys.stderr)
    with suppress(KeyboardInterrupt):
        main(given.folder.absolute(), given.speed, given.trace)
