"""Agent sessions: what they report of themselves and of their use of models."""

from collections import defaultdict
from collections.abc import Sequence

from contracts.gate.canonical import canonical_bytes
from contracts.gate.delivery import Accepted
from contracts.payloads.ingest.session import SessionEvent as EventPayload
from contracts.values.usage import Usage
from domain.ledger.ledger import fold
from domain.ledger.usage import UsageRecord, decide_usage
from handlers.agents.control import answer_event
from handlers.effects import Context, Effects, Fact, FactName
from storage.ledger.ledger import SessionEvent
from storage.unit_of_work import UnitOfWork

_MICROS = 1_000_000


def take_sessions(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """Store events and usage, and add both to the ledger and its totals. Nothing proven is refused here."""
    events: list[SessionEvent] = []
    records: list[UsageRecord] = []
    for accepted in group:
        payload = accepted.payload
        if isinstance(payload, Usage):
            records.append(
                decide_usage(
                    payload,
                    context.prices,
                    accepted.message_id,
                    accepted.trace_id,
                    accepted.created_at,
                    accepted.producer,
                )
            )
        elif isinstance(payload, EventPayload):
            events.append(_event(accepted, payload))
    changes = fold(records, events)
    uow.usage.add(records)
    uow.ledger.add_events(events)
    full = uow.ledger.apply(changes.sessions)
    full += uow.usage.add_to_hours(changes.hours)
    full += uow.usage.add_to_days(changes.days)
    uow.performance.add(changes.performance)
    facts = _facts(records)
    if full:
        facts.append(Fact(FactName.TOTALS_SATURATED, full))
    answers = [answer for event in events if (answer := answer_event(event, context)) is not None]
    return Effects(facts=facts, outbox=answers)


def _event(accepted: Accepted, payload: EventPayload) -> SessionEvent:
    return SessionEvent(
        message_id=accepted.message_id,
        session_id=payload.session_id,
        agent=payload.agent,
        type=payload.type,
        at=payload.at,
        model=payload.model,
        text=payload.text,
        data=None if payload.data is None else canonical_bytes(payload.data).decode(),
        trace_id=accepted.trace_id,
        producer=accepted.producer,
        created_at=accepted.created_at,
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
