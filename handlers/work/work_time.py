"""Keeping the time of work: it stands still while nobody takes such work. The alert ``work_not_taken`` says so."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from contracts.values.times import MICROS_PER_SECOND
from contracts.values.work import WorkType
from domain.work.work_time import Seen, Watch, read_clock
from handlers.effects import Context
from storage.unit_of_work import UnitOfWork
from storage.work.work_takers import WorkTaking

_LONGEST_GAP: Final = 30 * MICROS_PER_SECOND


@dataclass(frozen=True, slots=True)
class Look:
    """What is known of a type of work at this moment."""

    in_hand: int
    idle_since: int | None


def keep_time(
    seen: Mapping[WorkType, tuple[bool, int | None]], uow: UnitOfWork, context: Context
) -> Mapping[WorkType, Look]:
    """Take the time out of the deadlines in which nobody took the work.

    *seen* is, for each type, whether somebody asks for it and when it was last taken.
    """
    before, in_hand = uow.work_takers.lock_all(), uow.work.in_hand_by_type()
    looks: dict[WorkType, Look] = {}
    rows: list[WorkTaking] = []
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
        rows.append(WorkTaking(work_type, context.now, active_at, idle_since))
        looks[work_type] = Look(wanted, idle_since)
    uow.work_takers.record(rows)
    return looks
