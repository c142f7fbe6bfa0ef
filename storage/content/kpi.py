"""What the KPI report is made from: the latest measurement of each post on each day, with what is known of the post."""

from collections.abc import Sequence
from functools import cache
from typing import Final, Protocol

from sqlalchemy import Connection, bindparam, func, select

from contracts.values.times import MICROS_PER_DAY, day_text
from domain.content.kpi import PostDay
from storage.engine.answers import Answer
from storage.tables.content import ideas, publications, scripts
from storage.tables.performance import post_performance_daily

_MEASURED: Final = (*("impressions", "reach", "likes", "comments", "saves", "shares", "views", "watch_through"),)


class KpiRepository(Protocol):
    """Measurements as reports need them."""

    def post_days(self, since: int, until: int, *, topic: str | None, platform: str | None) -> Sequence[PostDay]:
        """The days from *since* on, before *until*, counted from the epoch; of one topic or platform where named.

        Topic and objective are those of the publication, else those of the idea of its script; what has not come yet is
        None.
        """
        ...


class SqlKpiRepository:
    """``post_performance_daily`` with publications, scripts and ideas."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def post_days(self, since: int, until: int, *, topic: str | None, platform: str | None) -> Sequence[PostDay]:
        answer = _post_days(self._dialect, topic is not None, platform is not None)
        bounds = {"since": day_text(since), "until": day_text(until), "topic": topic, "platform": platform}
        return [PostDay(at // MICROS_PER_DAY, at, *rest) for at, *rest in answer.rows(self._connection, bounds)]


@cache
def _post_days(dialect: str, of_topic: bool, of_platform: bool) -> Answer:
    daily = post_performance_daily.c
    topic = func.coalesce(publications.c.topic, ideas.c.topic).label("topic")
    objective = func.coalesce(publications.c.objective, ideas.c.objective).label("objective")
    sources = (
        post_performance_daily.outerjoin(publications, publications.c.post_id == daily.post_id)
        .outerjoin(scripts, scripts.c.script_id == publications.c.script_id)
        .outerjoin(ideas, ideas.c.idea_id == scripts.c.idea_id)
    )
    statement = (
        select(daily.at, daily.post_id, daily.platform, topic, objective, *(daily[name] for name in _MEASURED))
        .select_from(sources)
        .where(daily.day >= bindparam("since"), daily.day < bindparam("until"))
    )
    if of_topic:
        statement = statement.where(topic == bindparam("topic"))
    if of_platform:
        statement = statement.where(daily.platform == bindparam("platform"))
    return Answer(dialect, statement)
