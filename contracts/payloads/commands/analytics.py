"""What is asked of usage and of the performance of models, summed up over a time."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, TypeAlias

from pydantic import Field

from contracts.errors import JsonObject, JsonValue
from contracts.payloads.base import FIRST_VIOLATIONS, ONE_OR_SEVERAL, BrokenRule, RuledPayload
from contracts.values.times import NotAnInstant, parse_micros
from contracts.values.types import Identifier, Name, Timestamp


class UsageKey(StrEnum):
    """By what usage is grouped."""

    HOUR = "hour"
    DAY = "day"
    AGENT = "agent"
    MODEL = "model"


class PerformanceKey(StrEnum):
    """By what the performance of models is grouped."""

    MODEL = "model"
    AGENT = "agent"
    DAY = "day"


UsageKeys: TypeAlias = Annotated[
    UsageKey | Annotated[list[UsageKey], Field(min_length=1, max_length=2), FIRST_VIOLATIONS], ONE_OR_SEVERAL
]
"""One key, or a list of one or two different ones."""


class AnalyticsWindow(RuledPayload):
    """A time from ``from`` on, before ``to``, at any instant; of one agent or one model where they are named."""

    since: Timestamp = Field(alias="from")
    until: Timestamp = Field(alias="to")
    agent: Identifier | None = None
    model: Name | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        return window_rule(raw)


class AnalyticsUsage(AnalyticsWindow):
    """analytics.usage 1.0: totals by hour, day, agent, model, or two of them."""

    group_by: UsageKeys

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        """The same key twice would say nothing more."""
        keys = raw.get("group_by")
        twice = isinstance(keys, list) and len(keys) == _MOST_KEYS and keys[0] == keys[1]
        rule = BrokenRule(("group_by",), "repeated", "A key should not stand twice")
        return [*super().broken_rules(raw), *([rule] if twice else [])]


class AnalyticsPerformance(AnalyticsWindow):
    """analytics.performance 1.0: requests, errors and runtimes by model, agent or day."""

    group_by: PerformanceKey = PerformanceKey.MODEL


_MOST_KEYS = 2


def window_rule(raw: JsonObject) -> Sequence[BrokenRule]:
    """``to`` is not before ``from``."""
    since, until = _instant(raw.get("from")), _instant(raw.get("to"))
    if since is None or until is None or since <= until:
        return ()
    return (BrokenRule(("to",), "end_before_start", "A window should not end before it starts"),)


def _instant(value: JsonValue) -> int | None:
    try:
        return parse_micros(value) if isinstance(value, str) else None
    except NotAnInstant:
        return None
