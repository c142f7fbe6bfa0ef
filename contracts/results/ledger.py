"""What questions about sessions, cost, content and alerts answer."""

from typing import NotRequired

from typing_extensions import TypedDict

from contracts.errors import JsonObject
from contracts.results.jobs import Cursor, Time, Usd


class TokensProvenance(TypedDict):
    reported: int
    derived: int
    missing_count: int


class CostProvenance(TypedDict):
    reported: Usd
    derived: Usd
    missing_count: int


class Session(TypedDict):
    session_id: str
    agent: str
    model: str | None
    status: str
    started_at: Time
    last_at: Time
    events: int
    requests: int
    input_tokens: int
    output_tokens: int
    cost_usd: Usd | None
    tokens: TokensProvenance
    cost: CostProvenance


class NewestEvent(TypedDict):
    at: Time
    type: str
    text: NotRequired[str]
    data: NotRequired[JsonObject]


class SessionWithEvents(Session):
    newest_events: list[NewestEvent]


class Sessions(TypedDict):
    items: list[Session]
    next_cursor: Cursor


class UsageSums(TypedDict):
    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    runtime_ms: int
    cost_usd: Usd | None
    tokens: TokensProvenance
    cost: CostProvenance


class UsageGroup(UsageSums):
    key: str | list[str]


class Usage(TypedDict):
    items: list[UsageGroup]
    totals: UsageSums


class PerformanceGroup(TypedDict):
    key: str
    requests: int
    errors: int
    error_rate: float
    p50_runtime_ms: int | None
    p95_runtime_ms: int | None
    runtime: TokensProvenance


class Performance(TypedDict):
    items: list[PerformanceGroup]


class SentimentAnswer(TypedDict):
    label: str
    score: float


class Item(TypedDict):
    item_id: str
    source: str
    title: str
    url: str
    published_at: Time
    status: str
    attempts: int
    version: int
    created_at: Time
    updated_at: Time
    text: NotRequired[str]
    sentiment: NotRequired[SentimentAnswer]


class Items(TypedDict):
    items: list[Item]
    next_cursor: Cursor


class Cancelled(TypedDict):
    by: str
    at: Time
    reason: NotRequired[str]


class Publication(TypedDict):
    post_id: str
    platform: str
    status: str
    publish_at: Time
    caption: str
    hashtags: list[str]
    attempts: int
    version: int
    created_at: Time
    updated_at: Time
    topic: NotRequired[str]
    objective: NotRequired[str]
    script_id: NotRequired[str]
    job_id: NotRequired[str]
    external_id: NotRequired[str]
    failure: NotRequired[JsonObject]
    cancelled: NotRequired[Cancelled]


class Publications(TypedDict):
    items: list[Publication]
    next_cursor: Cursor


class Idea(TypedDict):
    idea_id: str
    topic: str
    objective: str
    hook: str
    format: str


class Ideas(TypedDict):
    items: list[Idea]
    next_cursor: Cursor


class ScriptSceneAnswer(TypedDict):
    text: str
    duration_s: float


class ScriptAnswer(TypedDict):
    script_id: str
    idea_id: str
    title: str
    body: str
    duration_s: float
    scenes: list[ScriptSceneAnswer]


class Scripts(TypedDict):
    items: list[ScriptAnswer]
    next_cursor: Cursor


class KpiSums(TypedDict):
    posts: int
    impressions: int
    reach: int
    likes: int
    comments: int
    saves: int
    shares: int
    views: int
    watch_through: float | None


class KpiPeriodSums(KpiSums):
    start: str


class KpiPost(TypedDict):
    post_id: str
    platform: str
    topic: str | None
    measured_at: Time
    impressions: int
    reach: int
    likes: int
    comments: int
    saves: int
    shares: int
    views: int
    watch_through: float
    objective: str | None
    objective_value: float | None
    anomaly: bool
    z: float | None


class KpiChange(TypedDict):
    impressions: float | None
    reach: float | None
    likes: float | None
    comments: float | None
    saves: float | None
    shares: float | None
    views: float | None
    watch_through: float | None


KpiReport = TypedDict(
    "KpiReport",
    {
        "run_id": NotRequired[str | None],
        "period": NotRequired[str],
        "from": NotRequired[Time],
        "to": NotRequired[Time],
        "posts": NotRequired[list[KpiPost]],
        "periods": NotRequired[list[KpiPeriodSums]],
        "totals": NotRequired[KpiSums],
        "change": NotRequired[KpiChange],
        "text": NotRequired[str],
    },
)
"""Either the report, or its ``text``."""
