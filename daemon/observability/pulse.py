"""The pulse: the figures of one daemon, published every few seconds.

It asks neither storage nor JetStream: it tells what the daemon knows, also while they are away.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from nats.aio.client import Client
from prometheus_client import Gauge
from prometheus_client.metrics import MetricWrapperBase

from contracts import outgoing
from contracts.errors import JsonObject
from contracts.subjects import Family, Subjects
from daemon.observability.metrics import Metrics
from daemon.observability.readiness import Readiness

MOST_BYTES: Final = 8 * 1024
_MOST_RUNS: Final = 20


@dataclass(frozen=True, slots=True)
class PulseSources:
    """Where the figures stand. ``runs`` are those that this daemon works on, ``alerts`` severities by rule."""

    daemon_id: str
    version: str
    metrics: Metrics
    readiness: Readiness
    runs: Callable[[], Mapping[str, str]]


class PulsePublisher:
    """Publishes the pulse; a plain publish that no stream keeps."""

    def __init__(
        self,
        sources: PulseSources,
        client: Client,
        subjects: Subjects,
        *,
        new_id: Callable[[], str],
        clock: Callable[[], int],
    ) -> None:
        self._sources = sources
        self._client = client
        self._subject = subjects.full(f"{Family.PULSE}.{sources.daemon_id}")
        self._new_id = new_id
        self._clock = clock

    async def step(self) -> None:
        """Tell the figures of now; while there is no connection nobody could hear them."""
        if not self._client.is_connected:
            return
        message_id, now = self._new_id(), self._clock()
        payload = figures(self._sources, now)
        body = outgoing.envelope(outgoing.PULSE_KIND, payload, message_id=message_id, trace_id=message_id, now=now)
        await self._client.publish(self._subject, body)


def figures(sources: PulseSources, now: int) -> JsonObject:
    """The payload, at most 8 KiB: what would pass it is left out, the longest lists first."""
    metrics, readiness = sources.metrics, sources.readiness
    recent = metrics.recent
    recent.forget(now)
    runs = list(sources.runs().items())[:_MOST_RUNS]
    payload: JsonObject = {
        "daemon_id": sources.daemon_id,
        "version": sources.version,
        "ready": readiness.is_ready,
        "obstacles": [
            {"dependency": obstacle.dependency, "noticed_by": by, "detail": obstacle.detail[:200]}
            for by, obstacle in sorted(readiness.obstacles.items())
        ],
        "messages": _messages(metrics),
        "rate_per_second": {name: recent.per_second(name) for name in ("accepted", "refused", "duplicate")},
        "lag_ms": {"p50": recent.lag(0.5), "p99": recent.lag(0.99)},
        "outbox": {
            "rows": int(_value(metrics.outbox_rows)),
            "oldest_s": round(_value(metrics.outbox_oldest_seconds), 3),
            "failed": int(_value(metrics.outbox_failed)),
        },
        "consumers": _consumers(metrics),
        "dead_letters_open": int(_value(metrics.dead_letters_open)),
        "work_not_taken": [work for (work,), there in _samples(metrics.work_not_taken) if there],
        "runs": [{"run_id": run_id, "operation": operation, "status": "running"} for run_id, operation in runs],
        "alerts": _alerts(metrics),
    }
    nothing: JsonObject = {"runs": [], "obstacles": [], "messages": {}}
    for name, empty in nothing.items():
        if len(orjson.dumps(payload)) <= MOST_BYTES:
            break
        payload[name] = empty
    return payload


def _messages(metrics: Metrics) -> JsonObject:
    kinds: dict[str, JsonObject] = {}
    for (kind, outcome), total in _samples(metrics.messages):
        if total:
            kinds.setdefault(kind, {})[outcome] = int(total)
    return dict(kinds)


def _consumers(metrics: Metrics) -> JsonObject:
    unacknowledged = dict(_samples(metrics.consumer_unacknowledged))
    return {
        name: {"pending": int(pending), "unacknowledged": int(unacknowledged.get((name,), 0))}
        for (name,), pending in _samples(metrics.consumer_pending)
    }


_SEVERITIES: Final = ("ok", "warning", "critical")


def _alerts(metrics: Metrics) -> JsonObject:
    return {rule: _SEVERITIES[int(level)] for (rule,), level in _samples(metrics.alert_severity)}


def _value(gauge: Gauge) -> float:
    return next(value for _, value in _samples(gauge))


def _samples(metric: MetricWrapperBase) -> Iterable[tuple[tuple[str, ...], float]]:
    """Values by their labels, in the order in which the metric declares them; when a series began is no value."""
    for family in metric.collect():
        for sample in family.samples:
            if not sample.name.endswith("_created"):
                yield tuple(sample.labels.values()), sample.value
