"""What the KPI report is made from: the latest measurement of each post in each period, and what is known of it."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, Protocol

from sqlalchemy import ColumnElement, Connection, FromClause, Select, and_, bindparam, func, literal_column, select

from contracts.values.times import MICROS_PER_DAY, day_text
from domain.content.kpi import Period, PostDay
from storage.engine.answers import ColumnarAnswer
from storage.engine.batches import BatchRows, as_parameter
from storage.tables.base import Int
from storage.tables.content import ideas, publications, scripts
from storage.tables.performance import post_performance_daily

_MEASURED: Final = ("impressions", "reach", "likes", "comments", "saves", "shares", "views", "watch_through")
_WEEK: Final = 7 * MICROS_PER_DAY
_MONDAY: Final = 4 * MICROS_PER_DAY
"""The first Monday after the epoch."""


class KpiRepository(Protocol):
    """Measurements as reports need them."""

    def post_days(
        self, period: Period, since: int, until: int, *, topic: str | None, platform: str | None
    ) -> Sequence[PostDay]:
        """The latest measurement of each post in each period of the days from *since* on, before *until*, counted from
        the epoch; of one topic or platform where named.

        Topic and objective are those of the publication, else those of the idea of its script; what has not come yet is
        None.
        """
        ...


class SqlKpiRepository:
    """``post_performance_daily`` with publications, scripts and ideas."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def post_days(
        self, period: Period, since: int, until: int, *, topic: str | None, platform: str | None
    ) -> Sequence[PostDay]:
        answer = _measurements(self._dialect, period, platform is not None)
        bounds = {"since": day_text(since), "until": day_text(until), "platform": platform}
        at, post_ids, platforms, *figures = answer.columns(self._connection, bounds)
        known = self._known(sorted(set(post_ids)))
        topics = [known.get(post_id, _NOTHING)[0] for post_id in post_ids]
        objectives = [known.get(post_id, _NOTHING)[1] for post_id in post_ids]
        days = [moment // MICROS_PER_DAY for moment in at]
        rows = map(PostDay, days, at, post_ids, platforms, topics, objectives, *figures)
        return [row for row in rows if topic is None or row.topic == topic]

    def _known(self, post_ids: Sequence[str]) -> Mapping[str, tuple[str | None, str | None]]:
        """Topic and objective of those that are known."""
        batch = as_parameter([(post_id,) for post_id in post_ids])
        found = _posts(self._dialect).columns(self._connection, batch)
        return {post_id: (topic, objective) for post_id, topic, objective in zip(*found, strict=True)}


_NOTHING: Final = (None, None)


@cache
def _measurements(dialect: str, period: Period, of_platform: bool) -> ColumnarAnswer:
    daily = post_performance_daily.c
    conditions = [daily.day >= bindparam("since"), daily.day < bindparam("until")]
    if of_platform:
        conditions.append(daily.platform == bindparam("platform"))
    columns = (daily.at, daily.post_id, daily.platform, *(daily[name] for name in _MEASURED))
    statement: Select[*tuple[object, ...]] = select(*columns)
    if period is Period.DAILY:
        return ColumnarAnswer(dialect, statement.where(*conditions))
    newest = _newest_of_weeks(conditions)
    joined = post_performance_daily.join(newest, and_(daily.day == newest.c.day, daily.post_id == newest.c.post_id))
    return ColumnarAnswer(dialect, statement.select_from(joined))


def _newest_of_weeks(conditions: Sequence[ColumnElement[bool]]) -> FromClause:
    """The newest day of each post in each week: only that row of it is read whole."""
    daily = post_performance_daily.c
    size, first = (literal_column(str(number), Int) for number in (_WEEK, _MONDAY))
    since_monday = ((daily.at - first) % size + size) % size
    week = daily.at - since_monday
    newest = select(daily.post_id, func.max(daily.day).label("day")).where(*conditions)
    return newest.group_by(daily.post_id, week).subquery("newest")


@cache
def _posts(dialect: str) -> ColumnarAnswer:
    topic = func.coalesce(publications.c.topic, ideas.c.topic).label("topic")
    objective = func.coalesce(publications.c.objective, ideas.c.objective).label("objective")
    sources = publications.outerjoin(scripts, scripts.c.script_id == publications.c.script_id).outerjoin(
        ideas, ideas.c.idea_id == scripts.c.idea_id
    )
    these = BatchRows(dialect, publications, ("post_id",)).contains
    return ColumnarAnswer(dialect, select(publications.c.post_id, topic, objective).select_from(sources).where(these))
