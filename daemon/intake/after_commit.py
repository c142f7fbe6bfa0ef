"""What follows a commit: receipts, metrics, the relay's wake-up, and readiness when storage goes or comes back."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

import anyio
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError

from contracts import outgoing
from contracts.gate.delivery import Judged, Refused, weight
from contracts.gate.receipts import RECEIPT_HEADER, receipt_subject
from contracts.gate.rules import GateRules
from contracts.subjects import Subjects
from daemon.guarded_step import guarded, guarded_wait
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness
from daemon.outbox.relay import Relay
from handlers.effects import BatchOutcome, MessageOutcome, Verdict
from storage.engine.failures import StorageAway

if TYPE_CHECKING:
    from daemon.observability.traces import Traces

log = structlog.get_logger(__name__)

_LARGE_BYTES: Final = 1024 * 1024
_LARGE_LEAVES_S: Final = 5.0
"""How long the next large batch waits at most until what is told of this one has left the outbox: each is several
times in memory on its way."""


class AfterCommit:
    """The observer of one intake."""

    def __init__(
        self,
        *,
        name: str,
        nc: Client,
        rules: GateRules,
        subjects: Subjects,
        relay: Relay,
        metrics: Metrics,
        readiness: Readiness,
        clock: Callable[[], int],
        new_id: Callable[[], str],
        traces: "Traces | None" = None,
    ) -> None:
        self._name = name
        self._nc = nc
        self._rules = rules
        self._subjects = subjects
        self._relay = relay
        self._metrics = metrics
        self._readiness = readiness
        self._clock = clock
        self._new_id = new_id
        self._traces = traces
        self._is_away = False

    async def committed(self, batch: Sequence[Judged], settled: BatchOutcome, seconds: float) -> None:
        now = self._clock()
        if self._traces is not None:  # first: what follows is published within these spans
            guarded("traces", partial(self._traces.received, batch, settled, seconds=seconds, now=now))
        guarded("wake", partial(self._relay.wake, settled.lanes))
        guarded("metrics", partial(self._metrics.batch, batch, settled, seconds=seconds, now=now))
        for judged, outcome in zip(batch, settled.outcomes, strict=True):
            if RECEIPT_HEADER in judged.delivery.headers and outcome.verdict is not Verdict.HELD:
                await guarded_wait("receipt", partial(self._send_receipt, judged, outcome, now))
        if settled.lanes and sum(weight(judged.delivery) for judged in batch) > _LARGE_BYTES:
            with anyio.move_on_after(_LARGE_LEAVES_S):
                await self._relay.empty(settled.lanes)

    async def _send_receipt(self, judged: Judged, outcome: MessageOutcome, now: int) -> None:
        """A plain publish: after a crash the redelivery sends it again."""
        subject = receipt_subject(judged.delivery.headers, self._rules)
        if not isinstance(subject, str):
            return  # the gate refused it for this very header: nobody is told
        message_id = self._new_id()
        trace_id = judged.problem.trace_id if isinstance(judged, Refused) else judged.trace_id
        body = outgoing.receipt(
            judged,
            subject=f"{self._rules.prefix}.{judged.delivery.subject}",
            status=outcome.status,
            outcome=str(outcome.verdict),
            error=outcome.error,
            message_id=message_id,
            trace_id=outgoing.trace_or(trace_id, message_id),
            now=now,
        )
        try:
            await self._nc.publish(subject, body)
        except NatsError as error:
            log.warning("receipt_lost", reason=str(error), message_id=judged.message_id)

    def came_early(self, messages: int) -> None:
        """So many are kept in hand until those before them have come."""
        self._metrics.early.inc(messages)

    def storage_away(self, error: StorageAway) -> None:
        if not self._is_away:
            self._is_away = True
            self._metrics.intake_paused.inc()
        self._readiness.block(f"intake.{self._name}", "database", str(error))
        log.warning("storage_away", intake=self._name, reason=str(error))

    def storage_back(self) -> None:
        if self._is_away:
            self._is_away = False
            self._metrics.intake_paused.dec()
        self._readiness.clear(f"intake.{self._name}")
        log.info("storage_back", intake=self._name)
