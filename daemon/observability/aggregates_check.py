"""Whether totals are the sums of their records: the deep check of ``health-check``."""

import time
from collections.abc import Callable
from functools import partial
from typing import Final

from daemon.observability.health import Check, Finding, Status
from handlers.ledger.aggregates import AggregateScope, compare_next_day, compare_next_sessions
from storage.engine.database import Database

_BUDGET_S: Final = 10.0
"""For days, and again for sessions: what is not compared by then is told."""


def aggregates_check(database: Database, scope: Callable[[], AggregateScope], *, budget_s: float = _BUDGET_S) -> Check:
    """Compares the newest days first, each part on a snapshot of its own, beside intake."""

    async def check() -> Finding:
        within = scope()
        days = await _compare_days(database, within, budget_s)
        sessions = await _compare_sessions(database, within, budget_s)
        compared = f"{days.compared:,} days and {sessions.compared:,} sessions compared"
        if not (days.ended and sessions.ended):
            compared += ", the rest not for lack of time"
        if wrong := days.wrong + sessions.wrong:
            return Finding(Status.DEGRADED, f"{compared}; {wrong:,} totals differ: rebuild-aggregates mends them")
        return Finding(Status.HEALTHY, compared)

    return check


class _Tally:
    """What was compared so far."""

    def __init__(self, budget_s: float) -> None:
        self.compared = 0
        self.wrong = 0
        self.ended = False
        self._until = time.monotonic() + budget_s

    @property
    def has_time(self) -> bool:
        return not self.ended and time.monotonic() < self._until


async def _compare_days(database: Database, scope: AggregateScope, budget_s: float) -> _Tally:
    tally, mark = _Tally(budget_s), None
    while tally.has_time:
        compared = await database.read(partial(compare_next_day, scope, mark))
        tally.compared += compared.compared
        tally.wrong += compared.differences
        mark = compared.mark if isinstance(compared.mark, int) else None
        tally.ended = mark is None
    return tally


async def _compare_sessions(database: Database, scope: AggregateScope, budget_s: float) -> _Tally:
    tally, mark = _Tally(budget_s), None
    while tally.has_time:
        compared = await database.read(partial(compare_next_sessions, scope, mark))
        tally.compared += compared.compared
        tally.wrong += compared.differences
        mark = compared.mark if isinstance(compared.mark, str) else None
        tally.ended = mark is None
    return tally
