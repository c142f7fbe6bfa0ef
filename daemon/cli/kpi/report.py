"""The answer of ``kpi-report`` as what is drawn from it."""

from datetime import date, timedelta
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from contracts.errors import JsonObject, JsonValue

METRICS: Final = ("impressions", "reach", "likes", "comments", "saves", "shares", "views", "watch_through")
WATCH_THROUGH: Final = "watch_through"
ABSENT: Final = "\N{EN DASH}"


class MetricSeries(NamedTuple):
    """A metric: its total, its change against the time before, and its value in each period."""

    name: str
    total: float | None
    change: float | None
    values: tuple[float | None, ...]

    @property
    def label(self) -> str:
        return self.name.replace("_", " ")


class DrawnPost(NamedTuple):
    post_id: str
    platform: str
    topic: str
    objective: str
    value: float | None
    reach: float
    z: float | None
    anomaly: bool


class DrawnReport(NamedTuple):
    """A report; ``starts`` are the first days of its periods, ``first`` and ``last`` its first and last day."""

    period: str
    first: str
    last: str
    starts: tuple[str, ...]
    metrics: tuple[MetricSeries, ...]
    posts: tuple[DrawnPost, ...]

    @property
    def anomalies(self) -> int:
        return sum(post.anomaly for post in self.posts)


def read_report(result: "JsonObject") -> DrawnReport:
    """The report that an answer holds. Raises ``KeyError`` or ``TypeError`` for what is no report."""
    periods, totals, change = _objects(result["periods"]), _object(result["totals"]), _object(result["change"])
    return DrawnReport(
        str(result["period"]),
        str(result["from"])[:_DAY],
        (date.fromisoformat(str(result["to"])[:_DAY]) - timedelta(days=1)).isoformat(),
        tuple(str(each["start"]) for each in periods),
        tuple(
            MetricSeries(
                name, _number(totals[name]), _number(change[name]), tuple(_number(each[name]) for each in periods)
            )
            for name in METRICS
        ),
        tuple(_post(each) for each in _objects(result["posts"])),
    )


def shown(name: str, value: float | None) -> str:
    """A value of a metric for people."""
    if value is None:
        return ABSENT
    return f"{value:.1%}" if name == WATCH_THROUGH else f"{value:,.0f}"


def shown_change(change: float | None) -> str:
    return ABSENT if change is None else f"{change:+.1%}"


_DAY: Final = len("2026-11-20")


def _post(row: "JsonObject") -> DrawnPost:
    return DrawnPost(
        str(row["post_id"]),
        str(row["platform"]),
        str(row["topic"] or ""),
        str(row["objective"] or ""),
        _number(row["objective_value"]),
        _number(row["reach"]) or 0.0,
        _number(row["z"]),
        row["anomaly"] is True,
    )


def _number(value: "JsonValue") -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _object(value: "JsonValue") -> "JsonObject":
    if not isinstance(value, dict):
        raise TypeError("a part of the report is no object")
    return value


def _objects(value: "JsonValue") -> "list[JsonObject]":
    if not isinstance(value, list):
        raise TypeError("a part of the report is no list")
    return [_object(each) for each in value]
