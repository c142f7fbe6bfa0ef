"""Keeping the time of work: it stands still while nobody takes such work, and an alert says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.errors import JsonObject
from contracts.values.times import MICROS_PER_SECOND, format_micros
from contracts.values.work import WorkType
from domain.work.work_time import Seen, Watch, read_clock
from handlers.alert_events import Severity, alert_event
from handlers.effects import Context
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work_takers import WorkTaking

NOT_TAKEN_RULE: Final = "work_not_taken"
_LONGEST_GAP: Final = 30 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a type of work at this moment."""

    in_hand: int
    idle_since: int | None


def keep_time(
    seen: Mapping[WorkType, tuple[bool, int | None]], uow: UnitOfWork, context: Context
) -> Mapping[WorkType, Look]:
    """Take the time out of the deadlines in which nobody took the work, and tell who starts or ends to be missed.

    *seen* is, for each type, whether somebody asks for it and when it was last taken.
    """
    before, in_hand = uow.work_takers.lock_all(), uow.work.in_hand_by_type()
    looks: dict[WorkType, Look] = {}
    rows: list[WorkTaking] = []
    told: list[OutboxMessage] = []
    for work_type, (asked, active_at) in seen.items():
        old, wanted = before.get(work_type), in_hand.get(work_type, 0)
        reading = read_clock(
            None if old is None else Watch(old.observed_at, old.idle_since),
            Seen(wanted > 0, asked, active_at),
            now=context.now,
            patience=round(context.work.deadline_s[work_type] * MICROS_PER_SECOND),
            longest_gap=_LONGEST_GAP,
        )
        if reading.lost is not None and wanted:
            uow.work.stand_still(work_type, since=reading.lost.since, until=reading.lost.until)
        idle_since = reading.watch.idle_since
        told += _alerts(work_type, old, idle_since, wanted, context)
        rows.append(WorkTaking(work_type, context.now, active_at, idle_since))
        looks[work_type] = Look(wanted, idle_since)
    uow.work_takers.record(rows)
    uow.outbox.add(told, owner=context.daemon_id, now=context.now)
    return looks


def _alerts(
    work_type: WorkType, old: WorkTaking | None, idle_since: int | None, wanted: int, context: Context
) -> list[OutboxMessage]:
    was_idle = old is not None and old.idle_since is not None
    if was_idle == (idle_since is not None):
        return []
    severity = Severity.OK if idle_since is None else Severity.WARNING
    since = None if idle_since is None else format_micros(idle_since)
    facts: JsonObject = {"work": str(work_type), "in_hand": wanted, "since": since}
    return [alert_event(NOT_TAKEN_RULE, severity, facts, context)]
