"""One trial of a worker: a server of its own, the streams and consumers that a daemon makes, and work that is sent,
repeated, spoiled and cancelled. Receipts are answered as a daemon would."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from nats.aio.client import Client
from nats.aio.msg import Msg

from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Limits, topology
from contracts import outgoing
from contracts import subjects as subject_of
from contracts.errors import ErrorCode, JsonObject, problem
from contracts.gate.callback_checks import CallbackChecks
from contracts.gate.delivery import Accepted, Delivery, Judged
from contracts.gate.gate import Gate
from contracts.gate.receipts import RECEIPT_HEADER
from contracts.gate.rules import GateRules
from contracts.gate.webhooks import WebhookVerifier
from contracts.payloads.callbacks import Callback
from contracts.registry import REGISTRY
from contracts.subjects import Family, Subjects
from contracts.values.times import MICROS_PER_SECOND, format_micros
from contracts.values.work import WorkType
from daemon.clock import new_id, now_micros
from daemon.conformance.orders import ORDERS
from daemon.conformance.programs import Patience, own_server, until
from daemon.conformance.receipts import receipt_of
from daemon.conformance.rules import Outcome, Verdict, is_end, judge_repeats, judge_reports, kept, reports_of

_HOUR: Final = 3_600 * MICROS_PER_SECOND
_CANCELLED: Final = problem(ErrorCode.INVALID_TRANSITION, "the job was cancelled")


@dataclass(slots=True)
class Collected:
    """What came for one thing."""

    judged: list[Judged] = field(default_factory=list)
    answered: asyncio.Event = field(default_factory=asyncio.Event)
    """Receipts wait for it, so that a worker is caught in the middle."""
    cancelled: bool = False

    @property
    def ended(self) -> bool:
        reports = reports_of(self.judged)
        return bool(reports) and is_end(reports[-1])


class Trial:
    """Tries one worker. Enter it by :func:`trial`."""

    def __init__(self, nc: Client, url: str, secret: str, work_type: WorkType, patience: Patience) -> None:
        self.url = url
        self.secret = secret
        self._nc = nc
        self._js = nc.jetstream()
        self._type = work_type
        self._order = ORDERS[work_type]
        self._patience = patience
        self._subjects = Subjects()
        self._stream = self._subjects.stream(Family.WORK)
        self._consumer = subject_of.work_consumer(work_type)
        checks = CallbackChecks(WebhookVerifier([secret]))
        screens, finishes = {Family.CALLBACK: checks.screen}, {Family.CALLBACK: checks.finish}
        self._gate = Gate(REGISTRY, GateRules(), screens, finishes)
        self._collected: dict[str, Collected] = {}
        self._numbers = 0

    async def run(self) -> list[Verdict]:
        """Every verdict, in the order in which the rules are tried."""
        await self._nc.subscribe(self._subjects.full("callback.>"), cb=self._take)
        if not await until(self._is_pulled, self._patience.program_s):
            detail = f"nobody pulled from {self._consumer} within {self._patience.program_s:g} s"
            return [Verdict("binding: it pulls from the daemon's consumer", Outcome.BROKEN, detail)]
        verdicts = [Verdict("binding: it pulls from the daemon's consumer", Outcome.KEPT)]
        verdicts += await self._one_piece()
        verdicts.append(await self._spoiled())
        verdicts += await self._again()
        if self._order.family == "job":
            verdicts.append(await self._cancelled())
        return verdicts

    # -- what is tried

    async def _one_piece(self) -> list[Verdict]:
        thing = new_id()
        await self._dispatch(thing, attempt=1)
        came = await self._end_of(thing)
        return [*judge_reports(came.judged, attempt=1, subject=self._callback(thing)), await self._acknowledged()]

    async def _spoiled(self) -> Verdict:
        """What can never be worked on must not come back for ever, nor take the worker along."""
        await self._js.publish(self._subjects.full(subject_of.work(self._type)), b"{no json")
        gone = await until(self._is_empty, self._patience.quiet_s * 2)
        await self._js.purge_stream(self._stream)  # what it keeps is in nobody's way afterwards
        return kept("malformed work: terminated, not left for ever", [] if gone else ["it is still in its hands"])

    async def _again(self) -> list[Verdict]:
        """The same work with a higher attempt, as healing sends it; then the same once more, as a redelivery."""
        thing = new_id()
        await self._dispatch(thing, attempt=1)
        first = list((await self._end_of(thing)).judged)
        self._collected[thing] = _open()
        await self._dispatch(thing, attempt=2)
        second = list((await self._end_of(thing)).judged)
        self._collected[thing] = _open(second)
        await self._dispatch(thing, attempt=2)
        await until(self._is_empty, self._patience.work_s)
        third = self._collected[thing].judged[len(second) :]
        of_second = [
            Verdict(f"again, {verdict.rule}", verdict.outcome, verdict.detail)
            for verdict in judge_reports(second, attempt=2, subject=self._callback(thing))
            if verdict.rule.startswith(("attempt", "sequence", "end"))
        ]
        return [*of_second, judge_repeats([*first, *second], third)]

    async def _cancelled(self) -> Verdict:
        """After the event, and the refusals that follow it, nothing more is reported."""
        rule = "cancellation: a cancelled job is reported on no more"
        thing = new_id()
        came = self._collected[thing] = Collected()
        await self._dispatch(thing, attempt=1)
        if not await until(lambda: bool(came.judged), self._patience.work_s):
            return Verdict(rule, Outcome.NOT_TRIED, "no report came")
        if came.ended:
            came.answered.set()
            return Verdict(rule, Outcome.NOT_TRIED, "it was done before it could be cancelled")
        came.cancelled = True
        await self._js.purge_stream(self._stream)
        event = self._subjects.full(subject_of.event("job", thing, "cancelled"))
        view: JsonObject = {"job_id": thing, "status": "CANCELLED"}
        await self._js.publish(event, self._envelope("job.cancelled", view))
        came.answered.set()
        # One report may be on its way already; its receipt says that the job is over.
        await asyncio.sleep(self._patience.quiet_s / 2)
        before = len(came.judged)
        await asyncio.sleep(self._patience.quiet_s)
        late = [f"{len(came.judged) - before} reports came later"] if len(came.judged) > before else []
        return kept(rule, late)

    # -- what is done

    async def _dispatch(self, thing: str, *, attempt: int) -> None:
        self._collected.setdefault(thing, _open())
        payload: JsonObject = {
            "work_id": f"work-{thing}",
            "attempt": attempt,
            "deadline": format_micros(now_micros() + _HOUR),
            "callback_subject": self._subjects.full(self._callback(thing)),
            self._order.key: thing,
            **self._order.payload,
        }
        await self._js.publish(
            self._subjects.full(subject_of.work(self._type)), self._envelope(str(self._type), payload)
        )

    def _callback(self, thing: str) -> str:
        return f"{Family.CALLBACK}.{self._order.family}.{thing}"

    def _envelope(self, kind: str, payload: JsonObject) -> bytes:
        return outgoing.envelope(kind, payload, message_id=new_id(), trace_id=new_id(), now=now_micros())

    async def _take(self, message: Msg) -> None:
        bare = self._subjects.bare(message.subject) or message.subject
        self._numbers += 1
        headers = dict(message.headers or {})
        now = now_micros()
        judged = self._gate.judge(Delivery(bare, message.data, headers, "HG_CALLBACK", self._numbers, 1, now, ""))
        came = self._collected.setdefault(bare.split(".", 2)[2], _open())
        known = reports_of(came.judged)
        came.judged.append(judged)
        reply_to = headers.get(RECEIPT_HEADER)
        await came.answered.wait()
        if reply_to is not None:
            await self._nc.publish(reply_to, self._receipt(judged, known, came, message.subject))

    def _receipt(self, judged: Judged, known: Sequence[Callback], came: Collected, subject: str) -> bytes:
        found, good = None, (204, "accepted")
        if not isinstance(judged, Accepted):
            found = judged.problem
        elif came.cancelled:
            found = _CANCELLED
        elif isinstance(judged.payload, Callback) and judged.payload.event_id in {each.event_id for each in known}:
            good = (200, "duplicate")
        return receipt_of(judged, subject, good, found)

    # -- what is waited for

    async def _end_of(self, thing: str) -> Collected:
        came = self._collected[thing]
        await until(lambda: came.ended, self._patience.work_s)
        await until(self._is_empty, self._patience.quiet_s)
        return came

    async def _acknowledged(self) -> Verdict:
        gone = await until(self._is_empty, self._patience.quiet_s)
        return kept("acknowledgement: after the last report the work leaves the queue", [] if gone else ["it did not"])

    async def _is_pulled(self) -> bool:
        return bool((await self._js.consumer_info(self._stream, self._consumer)).num_waiting)

    async def _is_empty(self) -> bool:
        return (await self._js.stream_info(self._stream)).state.messages == 0


def _open(known: Sequence[Judged] = ()) -> Collected:
    """Receipts are answered at once; what is *known* came before."""
    collected = Collected(list(known))
    collected.answered.set()
    return collected


@asynccontextmanager
async def trial(folder: Path, work_type: WorkType, secret: str, patience: Patience) -> AsyncIterator[Trial]:
    """A trial on a server of its own, in *folder*. Raises :class:`adapters.errors.AdapterError`."""
    async with own_server(folder) as (client, url):
        await provision(client, topology(Subjects(), Limits(max_bytes=64 * 2**20)))
        yield Trial(client, url, secret, work_type, patience)
