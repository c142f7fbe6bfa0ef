"""A worker for all that jobs need: drafts, renders, writes blocks anew, cuts pictures out of films.

It takes work from the queue and reports by signed callbacks. Needs nats-py and Pillow, and nothing of headgate. Where a
real worker would call models and encoders, this one makes do with the texts and frames that it is given.

python examples/worker.py nats://127.0.0.1:4222 whsec_...
"""

import asyncio
import base64
import hashlib
import hmac
import io
import json
import re
import sys
import time
import urllib.request
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import nats
from nats.js import JetStreamContext
from PIL import Image, ImageDraw, ImageFont

Work = dict[str, Any]


async def main(url: str, secret: str = "", *types: str) -> None:
    """Take work of all types, or of those that are named, until the end."""
    js = (await nats.connect(url)).jetstream()
    await asyncio.gather(*(take(js, secret, each) for each in types or DOES))


async def take(js: JetStreamContext, secret: str, work_type: str) -> None:
    queue = await js.pull_subscribe_bind(f"headgate-work-{work_type.replace('.', '-')}", "HG_WORK")
    while True:
        with suppress(TimeoutError):  # nothing to do, or no answer: the work is delivered again
            (message,) = await queue.fetch(1, timeout=30)
            await DOES[work_type](js, json.loads(message.data), secret)
            await message.ack()  # last of all: what a worker that dies had in hand goes to another


async def draft(js: JetStreamContext, work: Work, secret: str) -> None:
    """What would call a speech model and a language model; here the prompt, or each frame of the film, is a step."""
    order = work["payload"]
    if "video_uri" in order:
        count = len(frames(await fetched(order["video_uri"])))
        texts = [f"What scene {number} shows." for number in range(1, count + 1)]
    else:
        texts = [order.get("prompt") or "A video."]
    segments = [{"start_ms": at * 1_000, "end_ms": at * 1_000 + 1_000, "text": text} for at, text in enumerate(texts)]
    blocks = [{"block_id": f"step-{at}", "type": "step", "text": text} for at, text in enumerate(texts, 1)]
    await report(js, work, secret, 1, status="TRANSCRIBING", progress=10)
    await report(js, work, secret, 2, status="DRAFTING", progress=60, artifacts={"transcript": segments})
    done: Work = {"artifacts": {"instruction": {"blocks": blocks}}, "cost_usd": "0.002"}
    await report(js, work, secret, 3, status="AWAITING_APPROVAL", progress=100, **done)


async def render(js: JetStreamContext, work: Work, secret: str) -> None:
    """What would call a video model; here each block of the approved version is a picture of a GIF."""
    order = work["payload"]
    pictures = [scene(block["text"]) for block in order["instruction"]["blocks"]]
    written = io.BytesIO()
    pictures[0].save(written, "GIF", save_all=True, append_images=pictures[1:], duration=1_000, loop=0)
    await report(js, work, secret, 1, status="RENDERING", progress=50)
    name = f"renders/{order['job_id']}-{order['instruction']['version']}.gif"
    await (await js.object_store("HG_ASSETS")).put(name, written.getvalue())
    done: Work = {"artifacts": {"video_url": f"nats://HG_ASSETS/{name}"}, "cost_usd": "0.01"}
    await report(js, work, secret, 2, status="READY", progress=100, **done)


async def regenerate(js: JetStreamContext, work: Work, secret: str) -> None:
    """What would call a language model; here the wish stands behind each text that is to be written anew."""
    order = work["payload"]
    chosen = [block for block in order["blocks"] if block["block_id"] in order["block_ids"]]
    anew = [{**block, "text": f"{block['text']} {order.get('prompt', '')}".strip()} for block in chosen]
    made = {"instruction": {"blocks": anew}}
    await report(js, work, secret, 1, "task.status", status="SUCCEEDED", artifacts=made, model="example-1")


async def extract(js: JetStreamContext, work: Work, secret: str) -> None:
    """Cuts pictures out of a film of Motion JPEG, a frame a second, as examples/film.py makes them."""
    order = work["payload"]
    all_frames, store, assets = frames(await fetched(order["video_uri"])), await js.object_store("HG_ASSETS"), []
    kind, media_type = ("JPEG", "image/jpeg") if order["format"] == "jpg" else ("PNG", "image/png")
    for moment in order["timestamps_ms"]:
        picture = Image.open(io.BytesIO(all_frames[min(moment // 1_000, len(all_frames) - 1)]))
        if width := order.get("width"):
            picture = picture.resize((width, max(1, picture.height * width // picture.width)))
        written = io.BytesIO()
        picture.save(written, kind)
        body, name = written.getvalue(), f"{order['object_prefix']}{moment}.{order['format']}"
        await store.put(name, body)
        told = {"object": name, "media_type": media_type, "width": picture.width, "height": picture.height}
        assets.append({**told, "timestamp_ms": moment, "sha256": hashlib.sha256(body).hexdigest()})
    await report(js, work, secret, 1, "task.status", status="SUCCEEDED", artifacts={"assets": assets}, model="pillow")


DOES: dict[str, Callable[[JetStreamContext, Work, str], Awaitable[None]]] = {
    "job.process": draft,
    "job.render": render,
    "instruction.regenerate": regenerate,
    "screenshot.extract": extract,
}


async def fetched(url: str) -> bytes:
    """The film; a signed URL needs no other credential."""
    return await asyncio.to_thread(lambda: bytes(urllib.request.urlopen(url, timeout=60).read()))  # noqa: S310


def frames(film: bytes) -> list[bytes]:
    """The JPEGs that a film of Motion JPEG consists of."""
    return re.findall(rb"\xff\xd8\xff.*?\xff\xd9", film, re.DOTALL)


def scene(text: str) -> Image.Image:
    picture = Image.new("RGB", (640, 360), "#22304a")
    ImageDraw.Draw(picture).text((40, 160), text[:60], fill="white", font=ImageFont.load_default(size=24))
    return picture


async def report(
    js: JetStreamContext, work: Work, secret: str, sequence: int, kind: str = "job.status", **said: Any
) -> None:
    """One callback. The same work gives the same event id each time, so that repeating it does no harm."""
    order, now = work["payload"], datetime.now(UTC)
    event_id = f"{order['work_id']}:{order['attempt']}:{sequence}"
    head = {"envelope_version": 2, "kind": kind, "schema_version": "1.0", "message_id": event_id}
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
