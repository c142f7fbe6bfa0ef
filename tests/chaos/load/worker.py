"""A worker: takes work off its queue, reports by signed callbacks, and sometimes says too much or the wrong thing."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from random import Random
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.client import JetStreamContext

from adapters.cancellation import cancel_and_wait
from tests.chaos.load.journal import Journal, Work
from tests.chaos.load.messages import RECEIPT_HEADER, Author, Json, Message, Proven, encoded, envelope, payload_hash
from tests.chaos.load.producers import connected, publish

_KEY: Final = b"a key of chaos with enough bytes"
SECRET: Final = "whsec_" + base64.b64encode(_KEY).decode()

DURABLE: Final = "headgate-work-item-analyse"

_KIND: Final = "item.result"
_WORK: Final = "item.analyse"
_RECEIPTS_AT: Final = "_INBOX.chaos.worker"
_LABELS: Final = ("negative", "neutral", "positive")
_AGAIN_S: Final = 0.3


class Worker:
    """Takes ``item.analyse``; acknowledges a work message once all that it has to say of it is in the stream."""

    def __init__(self, seed: str, journal: Journal) -> None:
        self._chance = Random(f"{seed}:worker")
        self._author = Author("worker", 9, self._chance)
        self._journal = journal
        self._nc: Client | None = None
        self._task: asyncio.Task[None] | None = None

    async def open(self, url: str) -> None:
        """Connect and work, until :meth:`close`."""
        self._nc = await connected(url)
        await self._nc.subscribe(_RECEIPTS_AT, cb=self._on_receipt)
        self._task = asyncio.create_task(self._work(self._nc))

    async def close(self) -> None:
        if self._task is not None:
            await cancel_and_wait([self._task])
        if self._nc is not None:
            await self._nc.close()

    async def _work(self, nc: Client) -> None:
        queue: JetStreamContext.PullSubscription | None = None
        while True:
            try:
                if queue is None:
                    queue = await nc.jetstream(timeout=2).pull_subscribe_bind(DURABLE, "HG_WORK")
                taken = await queue.fetch(20, timeout=1)
                await asyncio.gather(*(self._do(nc, message) for message in taken))
            except (NatsError, OSError, TimeoutError):
                await asyncio.sleep(0.1)

    async def _do(self, nc: Client, message: Msg) -> None:
        written = json.loads(message.data)
        told = written["payload"]
        metadata = message.metadata
        work = Work(metadata.sequence.stream, written["message_id"], told["item_id"], metadata.timestamp.timestamp())
        self._journal.work.append(work)
        for callback in self._reports(str(told["item_id"]), str(told["work_id"]), str(told["callback_subject"])):
            while not await publish(nc, callback, self._journal):  # noqa: ASYNC110 - the server is away
                await asyncio.sleep(_AGAIN_S)
        work.finished_at = time.time()
        await message.ack()

    def _reports(self, item_id: str, work_id: str, subject: str) -> list[Message]:
        """What it says of one item: its analysis, and now and then something that must have no effect."""
        chance = self._chance
        analysis = self._analysis(item_id, f"{work_id}:{self._author.next_number()}")
        reports = [self._signed(analysis, subject, "item.result")]
        if chance.random() < 0.15:
            reports.append(self._signed(analysis, subject, "item.result again"))
        if chance.random() < 0.1:
            other = self._analysis(item_id, analysis.message_id)
            reports.append(self._signed(other, subject, "item.result, another payload"))
        if chance.random() < 0.1:
            second = self._analysis(item_id, f"{work_id}:{self._author.next_number()}")
            reports.append(self._signed(second, subject, "item.result, a second one"))
        if chance.random() < 0.1:
            reports.append(self._wrongly_signed(analysis, subject))
        if chance.random() < 0.1:
            reports.append(self._of_nothing())
        chance.shuffle(reports)
        return reports

    def _analysis(self, item_id: str, event_id: str) -> Proven:
        score = self._chance.randrange(10, 1000) / 1000
        sentiment: Json = {"label": self._chance.choice(_LABELS), "score": score}
        payload: Json = {"event_id": event_id, "sentiment": sentiment}
        covered = hashlib.sha256(f"{item_id}\n{payload_hash(payload)}".encode()).hexdigest()
        return Proven(_KIND, "1.0", event_id, self._author.moment(), payload, covered, prize=item_id)

    def _signed(self, proven: Proven, subject: str, sort: str) -> Message:
        body = encoded(envelope(proven, self._author))
        headers = _signature(proven.message_id, body, _KEY) | self._receipt()
        return Message(
            sort, subject, body, "EVENT_ID_PAYLOAD_MISMATCH", proven, beaten="INVALID_TRANSITION", headers=headers
        )

    def _wrongly_signed(self, proven: Proven, subject: str) -> Message:
        body = encoded(envelope(proven, self._author))
        headers = _signature(proven.message_id, body, b"another key of thirty-two bytes.") | self._receipt()
        return Message("item.result, wrongly signed", subject, body, "CALLBACK_SIGNATURE_INVALID", headers=headers)

    def _of_nothing(self) -> Message:
        number = self._author.next_number()
        proven = self._analysis(f"nothing.{number}", f"nothing:{number}")
        body = encoded(envelope(proven, self._author))
        headers = _signature(proven.message_id, body, _KEY) | self._receipt()
        subject = f"hg.callback.item.nothing.{number}"
        return Message("item.result of no item", subject, body, "RESOURCE_NOT_FOUND", headers=headers)

    def _receipt(self) -> dict[str, str]:
        return {RECEIPT_HEADER: _RECEIPTS_AT} if self._chance.random() < 0.5 else {}

    async def _on_receipt(self, message: Msg) -> None:
        self._journal.received(json.loads(message.data)["payload"])


def _signature(event_id: str, body: bytes, key: bytes) -> dict[str, str]:
    """The headers of the Standard Webhooks specification."""
    timestamp = str(int(time.time()))
    content = b"%b.%b.%b" % (event_id.encode(), timestamp.encode(), body)
    signed = base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode()
    return {"webhook-id": event_id, "webhook-timestamp": timestamp, "webhook-signature": f"v1,{signed}"}
