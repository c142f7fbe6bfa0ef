"""One trial of a producer: a server that stands where the daemon's stream would, answers as it would, and in turn loses
an acknowledgement, says that it is full, and loses a receipt.

No stream is made: acknowledgements come from here, so that one can be kept back. What producers see of it is the same.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from typing import Final

import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg

from contracts.errors import ErrorCode, JsonObject, problem
from contracts.gate.canonical import payload_hash
from contracts.gate.delivery import Accepted, Delivery
from contracts.gate.gate import Gate
from contracts.gate.receipts import RECEIPT_HEADER, may_receive
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from contracts.subjects import Family, Subjects
from daemon.clock import now_micros
from daemon.conformance.producer_rules import Published, Run, Trouble, judge_records, judge_trouble
from daemon.conformance.programs import Patience, stop, until
from daemon.conformance.receipts import receipt_of
from daemon.conformance.rules import Outcome, Verdict

Start = Callable[[], Awaitable[asyncio.subprocess.Process | None]]

_BATCH_ID: Final = "Nats-Batch-Id"
_BATCH_COMMIT: Final = "Nats-Batch-Commit"
_CONFLICT: Final = problem(ErrorCode.IDEMPOTENCY_CONFLICT, "the id is known with another payload")
_FULL: Final[JsonObject] = {"code": 503, "err_code": 10077, "description": "maximum bytes exceeded"}


class ProducerTrial:
    """Tries one producer, which *start* starts where it is ours to start."""

    def __init__(self, nc: Client, patience: Patience, start: Start) -> None:
        self._nc = nc
        self._patience = patience
        self._start = start
        self._subjects = Subjects()
        self._rules = GateRules()
        self._gate = Gate(REGISTRY, self._rules)
        self._run = Run()
        self._elsewhere: list[str] = []
        self._batches: dict[str, list[tuple[Published, Msg]]] = {}
        self._contents: dict[tuple[str, str], str] = {}
        """Of what was taken, by kind and message id."""
        self._nats_ids: set[str] = set()
        self._sequence = 0
        self._last_at = 0.0

    async def run(self) -> list[Verdict]:
        """Every verdict, in the order in which the rules are tried."""
        await self._nc.subscribe(f"{self._subjects.full('')}>", cb=self._take)
        await self._nc.subscribe("$JS.API.>", cb=self._asked)
        runs = [await self._stretch(None)]
        if not runs[0].published and not self._elsewhere:
            ended = "" if runs[0].exit_code is None else f"; it ended with exit code {runs[0].exit_code}"
            detail = f"nothing was published within {self._patience.program_s:g} s{ended}"
            return [Verdict("publishing: it publishes", Outcome.BROKEN, detail)]
        troubles: list[Verdict] = []
        for trouble in Trouble:
            if trouble is Trouble.NO_RECEIPT and not any(each.asks_receipt for run in runs for each in run.published):
                troubles.append(judge_trouble(trouble, None, self._patience.work_s))
                continue
            runs.append(await self._stretch(trouble))
            troubles.append(judge_trouble(trouble, runs[-1], self._patience.work_s))
        return [*judge_records(runs, self._elsewhere, self._rules.max_bytes), *troubles]

    # -- one stretch

    async def _stretch(self, trouble: Trouble | None) -> Run:
        """Start it, have the trouble befall its first record, and see what comes of it."""
        run = self._run = Run(trouble)
        await self._see(run)
        if run.exit_code and run.troubled is not None and not run.came_again():
            # It gave up aloud: whoever runs it starts it again, and the record must come then.
            await self._see(run)
        return run

    async def _see(self, run: Run) -> None:
        process = await self._start()

        def ended() -> bool:
            return process is not None and process.returncode is not None

        try:
            await until(lambda: bool(run.published) or ended(), self._patience.program_s)
            await until(lambda: ended() or self._is_seen(run, of_its_own=process is not None), self._patience.work_s)
            if process is not None and run.came_again():
                # What it says after its record is through is looked at too.
                await until(ended, self._patience.quiet_s)
        finally:
            if process is not None:
                run.exit_code = process.returncode
                await stop(process)

    def _is_seen(self, run: Run, *, of_its_own: bool) -> bool:
        if run.trouble is not None:
            return run.came_again()
        quiet = asyncio.get_running_loop().time() - self._last_at > self._patience.quiet_s
        return bool(run.published) and quiet and not of_its_own

    # -- what comes

    async def _asked(self, message: Msg) -> None:
        """The user of a producer may publish, and ask the server for nothing."""
        self._elsewhere.append(message.subject)

    async def _take(self, message: Msg) -> None:
        bare = self._subjects.bare(message.subject) or ""
        if not bare.startswith(f"{Family.INGEST}."):
            self._elsewhere.append(message.subject)
            return
        self._last_at = asyncio.get_running_loop().time()
        self._sequence += 1
        headers, now = dict(message.headers or {}), now_micros()
        delivery = Delivery(bare, message.data, headers, "HG_INGEST", self._sequence, 1, now, "")
        published = Published(
            self._gate.judge(delivery),
            _content(message.data),
            asks_receipt=RECEIPT_HEADER in headers,
            asks_ack=bool(message.reply),
            in_batch=_BATCH_ID in headers,
        )
        if not published.in_batch:
            self._run.published.append(published)
            await self._answer([(published, message)], headers, message)
            return
        batch = self._batches.setdefault(headers[_BATCH_ID], [])
        batch.append((published, message))
        if _BATCH_COMMIT in headers:
            del self._batches[headers[_BATCH_ID]]
            self._run.published += [each for each, _ in batch]
            await self._answer(batch, headers, message)
        elif message.reply:
            await self._nc.publish(message.reply)

    async def _answer(self, batch: list[tuple[Published, Msg]], headers: dict[str, str], last: Msg) -> None:
        """As stream and daemon do, but for the trouble that is due."""
        befallen = self._befallen([each for each, _ in batch])
        trouble = self._run.trouble if befallen is not None else None
        if befallen is not None:
            befallen.troubled = True
        if last.reply and trouble is not Trouble.NO_ACKNOWLEDGEMENT:
            await self._nc.publish(last.reply, self._ack(headers, len(batch), full=trouble is Trouble.FULL))
        for each, message in batch:
            each.stored = trouble is not Trouble.FULL and self._is_new(each)
            if each.stored:
                receipt = self._receipt(each, message.subject)
                # Who sees nothing of its acknowledgement sees nothing of its receipt.
                if each is not befallen:
                    await self._tell(each, (message.headers or {}).get(RECEIPT_HEADER), receipt)

    def _befallen(self, batch: list[Published]) -> Published | None:
        """The record that the trouble of this stretch befalls: the first sound one, and that one once."""
        if self._run.trouble is None or self._run.troubled is not None:
            return None
        wanted = self._run.trouble is Trouble.NO_RECEIPT
        sound = (each for each in batch if isinstance(each.judged, Accepted))
        return next((each for each in sound if each.asks_receipt or not wanted), None)

    def _is_new(self, published: Published) -> bool:
        """Whether the stream takes it: what bears an id that it knows is acknowledged and dropped."""
        if published.nats_id is None:
            return True
        known = published.nats_id in self._nats_ids
        self._nats_ids.add(published.nats_id)
        return not known

    def _ack(self, headers: dict[str, str], count: int, *, full: bool) -> bytes:
        if full:
            return orjson.dumps({"error": _FULL})
        ack: JsonObject = {"stream": "HG_INGEST", "seq": self._sequence}
        if _BATCH_ID in headers:
            ack |= {"batch": headers[_BATCH_ID], "count": count}
        return orjson.dumps(ack)

    async def _tell(self, published: Published, reply_to: str | None, receipt: bytes) -> None:
        if reply_to is not None and may_receive(reply_to, self._rules):
            published.told_refused = not isinstance(published.judged, Accepted)
            await self._nc.publish(reply_to, receipt)

    def _receipt(self, published: Published, subject: str) -> bytes:
        judged = published.judged
        found, good = None, (201, "accepted")
        if isinstance(judged, Accepted):
            key = (judged.kind, judged.message_id)
            if self._contents.get(key) == published.content:
                good = (200, "duplicate")
            elif self._contents.setdefault(key, published.content) != published.content:
                found = _CONFLICT
        else:
            found = judged.problem
        return receipt_of(judged, subject, good, found)


def _content(body: bytes) -> str:
    """A digest of the payload, whatever stands around it; of the whole body where it has none."""
    try:
        envelope = orjson.loads(body)
        return payload_hash(envelope["payload"])
    except (ValueError, TypeError, KeyError):
        return hashlib.sha256(body).hexdigest()
