"""What all callback families share: whose report it is, and which events are known already."""

from collections.abc import Callable, Sequence
from typing import TypeAlias

from msgspec import Struct

from contracts.errors import Problem
from contracts.gate.delivery import Accepted
from contracts.payloads.callbacks import Callback
from contracts.subjects import parse_callback
from domain.work.work import Duplicate, known_event
from handlers.effects import Context, Effects
from storage.journal.callback_events import CallbackEvent
from storage.unit_of_work import UnitOfWork


class CallbackReport(Struct, frozen=True):
    """A proven callback, and the id in its subject. Its hash covers both."""

    family: str
    subject_id: str
    payload: Callback
    accepted: Accepted

    @property
    def event_id(self) -> str:
        return self.payload.event_id

    @property
    def event_hash(self) -> str:
        return self.accepted.payload_hash

    def event(self, now: int) -> CallbackEvent:
        """The record that it was accepted."""
        return CallbackEvent(
            family=self.family,
            event_id=self.event_id,
            event_hash=self.event_hash,
            subject_id=self.subject_id,
            attempt=getattr(self.payload, "attempt", None),
            sequence=getattr(self.payload, "sequence", None),
            trace_id=self.accepted.trace_id,
            received_at=now,
        )


def reports_of(group: Sequence[Accepted]) -> list[CallbackReport]:
    """The group as reports, in order. Raises ``TypeError`` for what is no callback: a mistake of ours."""
    return [_report(accepted) for accepted in group]


def _report(accepted: Accepted) -> CallbackReport:
    subject = parse_callback(accepted.delivery.subject)
    if subject is None or not isinstance(accepted.payload, Callback):
        raise TypeError(f"{accepted.kind} is no callback")
    return CallbackReport(subject.family, subject.id, accepted.payload, accepted)


Decide: TypeAlias = Callable[[CallbackReport], Problem | None]
"""Decides on one report whose event is new, and notes what follows; why it is refused where it is."""


def decide_in_order(reports: Sequence[CallbackReport], decide: Decide, uow: UnitOfWork, context: Context) -> Effects:
    """Decide on reports of one family one after the other. Known events change nothing; new ones are kept as known."""
    effects = Effects()
    if not reports:
        return effects
    known = dict(uow.callback_events.known(reports[0].family, sorted({report.event_id for report in reports})))
    taken: list[CallbackEvent] = []
    for index, report in enumerate(reports):
        if (known_hash := known.get(report.event_id)) is not None:
            ruling = known_event(known_hash, report.event_hash)
            if isinstance(ruling, Duplicate):
                effects.repeated.add(index)
            else:
                effects.refused[index] = ruling
        elif (objection := decide(report)) is not None:
            effects.refused[index] = objection
        else:
            known[report.event_id] = report.event_hash
            taken.append(report.event(context.now))
    uow.callback_events.add(taken)
    return effects
