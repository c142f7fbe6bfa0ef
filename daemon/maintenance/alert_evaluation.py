"""The loop that judges alert rules, by one daemon at a time.

What rules read comes from readers, so that the writer is held for the decision alone; that checks the lease within its
transaction and locks the alerts, so that a step is taken once, whichever daemon dies in between.
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import structlog

from daemon.observability.metrics import Metrics
from daemon.outbox.relay import Relay
from domain.alerts.alerts import Alert, AlertRule
from domain.alerts.notices import NotifierTerms
from handlers.alerts.evaluation import apply_rules, judge
from handlers.alerts.readings import READINGS, SELDOM_S, Read, Reading
from handlers.alerts.recorder import AlertRecorder
from handlers.effects import Context
from storage.engine.database import Database
from storage.engine.failures import StorageError
from storage.journal.leases import Lease
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

LEASE: Final = "alerts"
_LEAST_LEASE_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class AlertTerms:
    """What the settings say of alerts."""

    interval_s: float
    rules: Sequence[AlertRule]
    notifiers: Sequence[NotifierTerms]


class AlertEvaluation:
    """Keeps the rules of the settings, once, then judges them again and again."""

    def __init__(
        self,
        database: Database,
        terms: AlertTerms,
        *,
        context: Callable[[], Context],
        relay: Relay,
        metrics: Metrics,
        readings: Mapping[str, Read] = READINGS,
    ) -> None:
        self._database = database
        self._terms = terms
        self._context = context
        self._relay = relay
        self._metrics = metrics
        self._readings = readings
        self._has_rules = False
        self._read_at: dict[str, tuple[float, Reading]] = {}

    async def step(self) -> None:
        """A look, unless another daemon looks. Raises what storage raises."""
        if not self._has_rules:
            context = self._context()
            applied = await self._database.write(
                lambda uow: apply_rules(self._terms.rules, uow, context, self._terms.notifiers)
            )
            self._relay.wake(applied.lanes)
            self._has_rules = True
        # Longer than the pause between two looks: a daemon that looks in time keeps it.
        ttl_s = max(_LEAST_LEASE_S, 3 * self._terms.interval_s)
        holder = self._context().daemon_id
        lease = await self._database.write(lambda uow: uow.leases.take(LEASE, holder=holder, ttl_s=ttl_s))
        if lease is not None:
            await self._look(lease)
        await self._show()

    async def _look(self, lease: Lease) -> None:
        readings = await self._read()
        context = self._context()

        def decide(uow: UnitOfWork) -> AlertRecorder | None:
            if not uow.leases.still_held(lease):
                return None
            return judge(readings, uow, context, self._terms.notifiers)

        judged = await self._database.write(decide)
        if judged is not None:
            self._relay.wake(judged.lanes)

    async def _read(self) -> Mapping[str, Reading]:
        """The number of every rule, each from a snapshot of its own: one that cannot be read stops no other."""
        rules = await self._database.read(lambda uow: uow.alerts.rules())
        found: dict[str, Reading] = {}
        for rule in rules.values():
            read = self._readings.get(rule.rule)
            if read is None:
                continue
            if (recent := self._recent(rule.rule)) is not None:
                found[rule.rule] = recent
                continue
            try:
                found[rule.rule] = await self._database.read(partial(read, rule, context=self._context()))
                self._read_at[rule.rule] = (time.monotonic(), found[rule.rule])
            except StorageError:
                raise
            except Exception:  # a mistake of ours in one rule
                log.exception("alert_rule_not_read", rule=rule.rule)
                self._metrics.alert_read_failures.labels(rule.rule).inc()
        return found

    def _recent(self, rule: str) -> Reading | None:
        """The last reading of a rule that is read seldom, while it is recent."""
        seldom_s, last = SELDOM_S.get(rule), self._read_at.get(rule)
        if seldom_s is None or last is None or time.monotonic() - last[0] >= seldom_s:
            return None
        return last[1]

    async def _show(self) -> None:
        alerts: Sequence[Alert] = await self._database.read(lambda uow: uow.alerts.all())
        for alert in alerts:
            self._metrics.alert_severity.labels(alert.rule).set(alert.severity.rank)
            self._metrics.alert_value.labels(alert.rule).set(math.nan if alert.value is None else alert.value)
