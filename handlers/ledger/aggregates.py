"""Whether totals are the sums of their records: compared part by part, in one snapshot each, and corrected.

Only what still has all of its records can be compared: of what is older than their retention, what has fewer records
than its totals counted is left alone.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from operator import lt
from typing import Final, NamedTuple, TypeAlias

from contracts.values.times import MICROS_PER_DAY
from domain.ledger.consistency import Figures, Key, Totals, corrections
from storage.ledger.aggregates import Aggregate
from storage.unit_of_work import UnitOfWork

SESSIONS_AT_ONCE: Final = 500
_FIRST_DAY: Final = -719_162  # 0001-01-01
_LAST_DAY: Final = 2_932_895  # 9999-12-30

Corrections: TypeAlias = Mapping[Aggregate, dict[Key, Figures]]
"""What is wrong, by table."""


@dataclass(frozen=True, slots=True)
class AggregateScope:
    """The days, counted from the epoch, from ``since`` on and before ``until``.

    From ``complete_since`` on no record has gone by its age.
    """

    since: int = _FIRST_DAY
    until: int = _LAST_DAY + 1
    complete_since: int = _FIRST_DAY

    @classmethod
    def of_retention(cls, now: int, days: Sequence[int]) -> "AggregateScope":
        """Everything, with records that are kept for so many *days*; 0 for ever. Clocks of producers may differ by a
        day."""
        kept = [each for each in days if each > 0]
        return cls(complete_since=now // MICROS_PER_DAY - min(kept) + 2) if kept else cls()

    def within(self, since: int | None, until: int | None) -> "AggregateScope":
        """The days of it that two instants touch."""
        first = self.since if since is None else max(self.since, since // MICROS_PER_DAY)
        end = self.until if until is None else min(self.until, -(-until // MICROS_PER_DAY))
        return replace(self, since=first, until=end)


class Comparison(NamedTuple):
    """One part that was compared: its *mark*, None where there was none left, and what is wrong."""

    mark: int | str | None
    compared: int
    wrong: Corrections

    @property
    def differences(self) -> int:
        return sum(map(len, self.wrong.values()))


def compare_next_day(scope: AggregateScope, mark: int | None, uow: UnitOfWork) -> Comparison:
    """The next day that has anything, from the newest one to the oldest; *mark* is the last one that was compared."""
    day = uow.aggregates.day_before(scope.until if mark is None else mark)
    if day is None or day < scope.since:
        return Comparison(None, 0, {})
    expected, stored = uow.aggregates.expected_of_day(day), uow.aggregates.stored_of_day(day)
    if day < scope.complete_since and _requests(expected) < _requests(stored):
        return Comparison(day, 0, {})
    wrong = {aggregate: corrections(expected[aggregate], stored[aggregate]) for aggregate in expected}
    return Comparison(day, 1, {aggregate: found for aggregate, found in wrong.items() if found})


def _requests(day: Mapping[Aggregate, Totals]) -> int:
    return sum(figures[0] for figures in day[Aggregate.DAYS].values())


def compare_next_sessions(scope: AggregateScope, mark: str | None, uow: UnitOfWork) -> Comparison:
    """The next sessions by id, after *mark*."""
    since, until = scope.since * MICROS_PER_DAY, scope.until * MICROS_PER_DAY
    sessions = uow.aggregates.sessions_after(mark or "", since=since, until=until, limit=SESSIONS_AT_ONCE)
    if not sessions:
        return Comparison(None, 0, {})
    ids = [session_id for session_id, _ in sessions]
    expected, stored = uow.aggregates.expected_of_sessions(ids), uow.aggregates.stored_of_sessions(ids)
    complete_since = scope.complete_since * MICROS_PER_DAY
    gone = {
        (session_id,)
        for session_id, started_at in sessions
        if started_at < complete_since and any(map(lt, expected[session_id,][:2], stored[session_id,][:2]))
    }
    wrong = {key: found for key, found in corrections(expected, stored).items() if key not in gone}
    return Comparison(ids[-1], len(ids) - len(gone), {Aggregate.SESSIONS: wrong} if wrong else {})


def correct(wrong: Corrections, uow: UnitOfWork) -> None:
    """Add what is missing."""
    for aggregate, found in wrong.items():
        uow.aggregates.correct(aggregate, found)
