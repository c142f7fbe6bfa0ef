"""What operators ask of the performance of posts."""

from collections.abc import Sequence
from enum import StrEnum

from pydantic import Field

from contracts.errors import JsonObject
from contracts.payloads.base import BrokenRule, RuledPayload
from contracts.payloads.commands.analytics import window_rule
from contracts.values.types import Identifier, Text, Timestamp


class KpiPeriod(StrEnum):
    DAILY = "daily"
    WEEKLY = "weekly"


class KpiFormat(StrEnum):
    JSON = "json"
    TEXT = "text"


class KpiReportRequest(RuledPayload):
    """kpi-report 1.0: the days that ``from`` and ``to`` touch, as whole days or weeks; else the last ones."""

    period: KpiPeriod
    since: Timestamp | None = Field(default=None, alias="from")
    until: Timestamp | None = Field(default=None, alias="to")
    topic: Text | None = None
    platform: Identifier | None = None
    format: KpiFormat = KpiFormat.JSON

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        return window_rule(raw)
