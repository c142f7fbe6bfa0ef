"""The figures that alert rules read beside counts. Each comes from an aggregate or a bounded stretch of an index."""

from dataclasses import dataclass
from typing import Final, Protocol

from sqlalchemy import Connection, bindparam, cast, func, literal_column, select

from storage.tables.base import Real
from storage.tables.usage import daily_usage_agg
from storage.tables.work import work
from storage.work.work import SubjectKind, WorkState


@dataclass(frozen=True, slots=True)
class DayCost:
    """What the usage of some days cost, as far as is known, and how many requests have no cost."""

    usd_micros: float
    missing_count: int


class AlertReadings(Protocol):
    """The figures that rules read beside counts: each is served by a key or an index."""

    def cost_of_days(self, first: str, last: str) -> DayCost:
        """The cost of usage on the days from *first* to *last*, both included (``YYYY-MM-DD``)."""
        ...

    def overdue_jobs(self, *, now: int, most: int) -> int:
        """How many jobs' work is past its deadline; *most* where there are more."""
        ...


class SqlAlertReadings:
    """Reads ``daily_usage_agg`` and ``work``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def cost_of_days(self, first: str, last: str) -> DayCost:
        row = self._connection.execute(_COST, {"first": first, "last": last}).one()
        return DayCost(row.usd_micros or 0.0, row.missing_count or 0)

    def overdue_jobs(self, *, now: int, most: int) -> int:
        return self._connection.execute(_OVERDUE_JOBS, {"now": now, "most": most}).scalar_one()


# As floating point: sums of saturated totals would pass what an integer can hold.
_COST: Final = select(
    func.sum(cast(daily_usage_agg.c.cost_usd_micros, Real)).label("usd_micros"),
    func.sum(cast(daily_usage_agg.c.cost_missing_count, Real)).label("missing_count"),
).where(daily_usage_agg.c.day >= bindparam("first"), daily_usage_agg.c.day <= bindparam("last"))
# Literals, not parameters: they select a partial index only where the planner can see them.
_OVERDUE_JOBS: Final = select(func.count()).select_from(
    select(work.c.work_id)
    .where(
        work.c.state == literal_column(f"'{WorkState.DISPATCHED}'"),
        work.c.deadline_at < bindparam("now"),
        work.c.subject_kind == literal_column(f"'{SubjectKind.JOB}'"),
    )
    .limit(bindparam("most"))
    .subquery()
)
