"""The bridge's own metrics."""

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector

_SECONDS: Final = (1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1_200)
_MICROS: Final = 1_000_000


class BridgeMetrics:
    """Every metric of one bridge, in a registry of its own."""

    def __init__(self, provider: str) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._provider = provider
        registry = self.registry
        self._errors = Counter(
            "headgate_bridge_errors", "What went wrong, by reason.", ["provider", "reason"], registry=registry
        )
        self._predictions = Counter(
            "headgate_bridge_predictions",
            "Predictions that ended, and how.",
            ["provider", "work", "outcome"],
            registry=registry,
        )
        self._seconds = Histogram(
            "headgate_bridge_prediction_seconds",
            "From the creation of a prediction to its end.",
            ["provider", "work"],
            buckets=_SECONDS,
            registry=registry,
        )
        self._callbacks = Counter(
            "headgate_bridge_callbacks", "Callbacks that the stream stored.", ["provider", "work"], registry=registry
        )
        self._cost = Counter(
            "headgate_bridge_cost_usd", "Cost of predictions.", ["provider", "work"], registry=registry
        )
        self._running = Gauge("headgate_bridge_running", "Work in hand.", ["provider", "work"], registry=registry)

        self._http_closed = Counter(
            "headgate_http_connections_closed",
            "HTTP connections that the bridge closed: one too many, or silent for too long.",
            ["reason"],
            registry=registry,
        )

    def http_closed(self, reason: str) -> None:
        self._http_closed.labels(str(reason)).inc()

    def error(self, reason: str) -> None:
        self._errors.labels(self._provider, reason).inc()

    def prediction_ended(self, work: str, outcome: str, seconds: float) -> None:
        self._predictions.labels(self._provider, work, outcome).inc()
        self._seconds.labels(self._provider, work).observe(max(0.0, seconds))

    def cost(self, work: str, usd_micros: int) -> None:
        self._cost.labels(self._provider, work).inc(usd_micros / _MICROS)

    def callback_stored(self, work: str) -> None:
        self._callbacks.labels(self._provider, work).inc()

    def running(self, work: str, count: int) -> None:
        self._running.labels(self._provider, work).set(count)
