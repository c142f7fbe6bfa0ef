"""What ``headgate watch`` shows, from what the daemon's ``/metrics`` and ``/readyz`` say."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from prometheus_client.parser import text_string_to_metric_families

from contracts.errors import JsonObject, JsonValue

_MESSAGES: Final = "headgate_messages_total"
_REFUSED: Final = "headgate_messages_refused_total"
_LAG: Final = "headgate_message_lag_seconds_bucket"


class Metrics:
    """One reading of ``/metrics``, at ``taken`` seconds of a monotonic clock. Raises ``ValueError`` for other text."""

    def __init__(self, text: str, taken: float) -> None:
        self.taken = taken
        self._samples: dict[str, list[tuple[Mapping[str, str], float]]] = defaultdict(list)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                self._samples[sample.name].append((sample.labels, float(sample.value)))

    def value(self, name: str) -> float | None:
        """A metric without labels; None where the daemon has none of that name."""
        return next((value for _, value in self._samples.get(name, ())), None)

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """A metric summed up by some of its labels."""
        sums: dict[tuple[str, ...], float] = defaultdict(float)
        for known, value in self._samples.get(name, ()):
            sums[tuple(known.get(label, "") for label in labels)] += value
        return sums


@dataclass(frozen=True, slots=True)
class Rate:
    """A counter: all since the daemon's start, and how much came in a second since the reading before (None: the first
    reading)."""

    labels: tuple[str, ...]
    total: int
    per_second: float | None


@dataclass(frozen=True, slots=True)
class Figures:
    """One view of a daemon. Durations carry their unit in the name; what the daemon does not tell is None."""

    at: str
    ready: bool
    phase: str
    obstacles: list[JsonObject]
    dependencies: JsonObject
    messages: list[Rate]
    refusals: list[Rate]
    per_second: float | None
    lag_p50_ms: float | None
    lag_p99_ms: float | None
    batch_size: float | None
    outbox_rows: int | None
    outbox_failed: int | None
    outbox_oldest_s: float | None
    dead_letters_open: int | None
    consumers: dict[str, tuple[int, int]]
    """Pending and unacknowledged messages by consumer."""
    memory_mib: float | None

    def as_json(self) -> JsonObject:
        consumers: JsonObject = {
            name: {"pending": pending, "unacknowledged": unacknowledged}
            for name, (pending, unacknowledged) in self.consumers.items()
        }
        return {
            "at": self.at,
            "ready": self.ready,
            "phase": self.phase,
            "obstacles": [*self.obstacles],
            "dependencies": self.dependencies,
            "per_second": self.per_second,
            "messages": [_rate_as_json(rate, "kind", "outcome") for rate in self.messages],
            "refusals": [_rate_as_json(rate, "code") for rate in self.refusals],
            "lag": {"p50_ms": self.lag_p50_ms, "p99_ms": self.lag_p99_ms},
            "batch_size": self.batch_size,
            "outbox": {"rows": self.outbox_rows, "failed": self.outbox_failed, "oldest_s": self.outbox_oldest_s},
            "dead_letters_open": self.dead_letters_open,
            "consumers": consumers,
            "memory_mib": self.memory_mib,
        }


def figures(now: Metrics, before: Metrics | None, readiness: JsonObject, at: str) -> Figures:
    """Put two readings together; ``before`` is one of the same daemon process."""
    messages = _rates(now, before, _MESSAGES, "kind", "outcome")
    lag = _buckets(now, before)
    obstacles = readiness.get("obstacles")
    dependencies = readiness.get("dependencies")
    return Figures(
        at=at,
        ready=readiness.get("status") == "ready",
        phase=str(readiness.get("phase")),
        obstacles=[entry for entry in obstacles if isinstance(entry, dict)] if isinstance(obstacles, list) else [],
        dependencies=dependencies if isinstance(dependencies, dict) else {},
        messages=messages,
        refusals=sorted(_rates(now, before, _REFUSED, "code"), key=lambda rate: -rate.total),
        per_second=None if before is None else sum(rate.per_second or 0.0 for rate in messages),
        lag_p50_ms=_quantile_ms(lag, 0.5),
        lag_p99_ms=_quantile_ms(lag, 0.99),
        batch_size=_mean(now, before, "headgate_batch_size"),
        outbox_rows=_whole(now.value("headgate_outbox_rows")),
        outbox_failed=_whole(now.value("headgate_outbox_failed_rows")),
        outbox_oldest_s=now.value("headgate_outbox_oldest_seconds"),
        dead_letters_open=_whole(now.value("headgate_dead_letters_open")),
        consumers=_consumers(now),
        memory_mib=_mib(now.value("process_resident_memory_bytes")),
    )


def _rate_as_json(rate: Rate, *names: str) -> JsonValue:
    labels: JsonObject = dict(zip(names, rate.labels, strict=True))
    return {**labels, "total": rate.total, "per_second": rate.per_second}


def _rates(now: Metrics, before: Metrics | None, name: str, *labels: str) -> list[Rate]:
    earlier = before.by(name, *labels) if before else {}
    seconds = max(now.taken - before.taken, 1e-9) if before else None
    return [
        Rate(key, int(total), None if seconds is None else max(0.0, total - earlier.get(key, 0.0)) / seconds)
        for key, total in sorted(now.by(name, *labels).items())
        if total
    ]


def _buckets(now: Metrics, before: Metrics | None) -> list[tuple[float, float]]:
    """Upper bound and count of each bucket of the lag since the reading before, ascending, not cumulative."""
    earlier = before.by(_LAG, "le") if before else {}
    cumulative = sorted((float(le), count - earlier.get((le,), 0.0)) for (le,), count in now.by(_LAG, "le").items())
    below = 0.0
    buckets = []
    for bound, count in cumulative:
        buckets.append((bound, max(0.0, count - below)))
        below = count
    return buckets


def _quantile_ms(buckets: Iterable[tuple[float, float]], share: float) -> float | None:
    """Linear within a bucket; what lies above the last bound counts as that bound."""
    listed = list(buckets)
    wanted = sum(count for _, count in listed) * share
    if not wanted:
        return None
    lower = 0.0
    for bound, count in listed:
        if count >= wanted:
            upper = lower if bound == float("inf") else bound
            return round((lower + (upper - lower) * wanted / count) * 1_000, 3)
        wanted -= count
        lower = bound
    return round(lower * 1_000, 3)


def _mean(now: Metrics, before: Metrics | None, name: str) -> float | None:
    """The mean of a histogram's observations since the reading before."""
    total, count = (
        (now.value(f"{name}_{part}") or 0.0) - ((before.value(f"{name}_{part}") or 0.0) if before else 0.0)
        for part in ("sum", "count")
    )
    return round(total / count, 1) if count else None


def _consumers(now: Metrics) -> dict[str, tuple[int, int]]:
    pending = now.by("headgate_consumer_pending", "consumer")
    unacknowledged = now.by("headgate_consumer_unacknowledged", "consumer")
    names = sorted({*pending, *unacknowledged})
    return {name[0]: (int(pending.get(name, 0)), int(unacknowledged.get(name, 0))) for name in names}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _mib(value: float | None) -> float | None:
    return None if value is None else round(value / 2**20, 1)
