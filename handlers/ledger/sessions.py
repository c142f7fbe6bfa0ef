"""Agent sessions: what they report of themselves and of their use of models."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from contracts.gate.canonical import canonical_bytes
from contracts.gate.delivery import Accepted
from contracts.payloads.ingest.session import SessionEvent as EventPayload
from contracts.values.usage import Usage
from domain.ledger.changes import LedgerChanges
from domain.ledger.ledger import fold
from domain.ledger.usage import UsageRecord, decide_usage
from handlers.agents.control import answer_event
from handlers.effects import Context, Effects, Fact, FactName
from storage.ledger.ledger import SessionEvent
from storage.unit_of_work import UnitOfWork

_MICROS = 1_000_000


class TakeSessions:
    """Store events and usage, and add both to the ledger and its totals. Nothing proven is refused here."""

    def __call__(self, group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
        return self.prepare(group, context)(uow)

    def prepare(self, group: Sequence[Accepted], context: Context) -> Callable[[UnitOfWork], Effects]:
        """Price the usage and add it all up."""
        events: list[SessionEvent] = []
        records: list[UsageRecord] = []
        for _, message_id, trace_id, created_at, producer, _, payload, _, _, _, _ in group:
            if isinstance(payload, Usage):
                records.append(decide_usage(payload, context.prices, message_id, trace_id, created_at, producer))
            elif isinstance(payload, EventPayload):
                events.append(_event(payload, message_id, trace_id, created_at, producer))
        return partial(_write, records, events, fold(records, events), _facts(records), context)


take_sessions: Final = TakeSessions()


def _write(
    records: Sequence[UsageRecord],
    events: Sequence[SessionEvent],
    changes: LedgerChanges,
    facts: list[Fact],
    context: Context,
    uow: UnitOfWork,
) -> Effects:
    uow.usage.add(records)
    uow.ledger.add_events(events)
    full = uow.ledger.apply(changes.sessions)
    full += uow.usage.add_to_hours(changes.hours)
    full += uow.usage.add_to_days(changes.days)
    uow.performance.add(changes.performance)
    if full:
        facts = [*facts, Fact(FactName.TOTALS_SATURATED, full)]
    answers = [answer for event in events if (answer := answer_event(event, context)) is not None]
    return Effects(facts=facts, outbox=answers)


def _event(payload: EventPayload, message_id: str, trace_id: str, created_at: int, producer: str) -> SessionEvent:
    return SessionEvent(
        message_id=message_id,
        session_id=payload.session_id,
        agent=payload.agent,
        type=payload.type,
        at=payload.at,
        model=payload.model,
        text=payload.text,
        data=None if payload.data is None else canonical_bytes(payload.data).decode(),
        trace_id=trace_id,
        producer=producer,
        created_at=created_at,
    )


def _facts(records: Sequence[UsageRecord]) -> list[Fact]:
    costs: defaultdict[str, int] = defaultdict(int)
    by_model: defaultdict[str, int] = defaultdict(int)
    unpriced = 0
    for record in records:
        if record.cost_usd_micros is not None:
            costs[record.cost_source] += record.cost_usd_micros
            by_model[record.model] += record.cost_usd_micros
        elif record.price_unknown:
            unpriced += 1
    facts = [Fact(FactName.COST_USD, micros / _MICROS, {"source": str(source)}) for source, micros in costs.items()]
    facts += [Fact(FactName.MODEL_COST_USD, micros / _MICROS, {"model": model}) for model, micros in by_model.items()]
    if unpriced:
        facts.append(Fact(FactName.USAGE_UNPRICED, unpriced))
    return facts
