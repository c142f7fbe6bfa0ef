"""The Prometheus metrics, all under ``headgate_``.

Labels that come from messages are bounded: the first hundred producers are named, the rest are ``other``; kinds are
those of the registry or ``unknown``.
"""

import math
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from contracts.gate.delivery import Accepted, Judged
from contracts.payloads.ingest.session import Source
from contracts.registry import REGISTRY
from contracts.subjects import Family
from contracts.values.states import JobState
from daemon.observability.log_output import LineOutput
from daemon.observability.recent_intake import RecentIntake
from daemon.version import VERSION
from handlers.effects import BatchOutcome, Fact, FactName, Verdict
from handlers.jobs.job_callbacks import COST_OF_WORKERS

log = structlog.get_logger(__name__)

_SECONDS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_LAG_SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5, 30, 120, 600, 3600)
_WORK_SECONDS: Final = (1, 5, 15, 30, 60, 120, 300, 600, 1_800, 3_600, 7_200, 21_600)
_MOST_PRODUCERS: Final = 100
_MICROS: Final = 1_000_000
_TAKEN: Final = (Family.INGEST, Family.CALLBACK)


class BoundedLabel:
    """The first *most* distinct values by name, all later ones as ``other``."""

    def __init__(self, most: int = _MOST_PRODUCERS) -> None:
        self._most = most
        self._named: set[str] = set()

    def __call__(self, value: str) -> str:
        if value in self._named:
            return value
        if len(self._named) < self._most:
            self._named.add(value)
            return value
        return "other"


class _DroppedLines(Collector):
    """Counts where the lines are written, which is before any metric is."""

    output: LineOutput | None = None

    def collect(self) -> Iterator[CounterMetricFamily]:
        lost = 0 if self.output is None else self.output.lost
        yield CounterMetricFamily("headgate_log_lines_dropped", "Log lines that nobody read in time.", value=lost)


class Metrics:
    """Every metric of one daemon, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._dropped_lines = _DroppedLines()
        self.registry.register(self._dropped_lines)
        self.recent = RecentIntake()
        self._producer = BoundedLabel()
        self._model = BoundedLabel()
        self._intake()
        self._state()
        self._doors()
        self._healing()
        self._jobs()
        self._loops()
        self._deployment()
        self._alerts()
        self._facts: dict[FactName, Callable[[Fact], None]] = {
            FactName.USAGE_UNPRICED: _counts(self.usage_unpriced),
            FactName.TOTALS_SATURATED: self._count_saturated,
            FactName.COST_USD: _counts(self.cost_usd),
            FactName.MODEL_COST_USD: self._count_model_cost,
            FactName.JOB_TRANSITIONS: _counts(self.job_transitions),
            FactName.JOB_APPROVALS: _counts(self.job_approvals),
            FactName.JOBS_CREATED: _counts(self.jobs_created),
            FactName.JOB_DURATION_SECONDS: self._observe_job,
            FactName.JOB_FAILURES: self._count_job_failure,
        }
        if missing := set(FactName) - set(self._facts):
            raise ValueError(f"facts without a metric: {sorted(missing)}")

    def _intake(self) -> None:
        registry = self.registry
        self.messages = Counter("headgate_messages", "Deliveries by outcome.", ["kind", "outcome"], registry=registry)
        # A series that is born at 1 rises by nothing: the first post of a day would be missing from every increase.
        for contract in REGISTRY.contracts():
            if contract.family in _TAKEN:
                for verdict in (Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.REFUSED):
                    self.messages.labels(contract.kind, str(verdict))
        self.adapted = Counter(
            "headgate_messages_adapted", "Messages that compat mode adapted.", ["kind", "producer"], registry=registry
        )
        self.refused = Counter(
            "headgate_messages_refused", "Refusals by code and producer.", ["code", "producer"], registry=registry
        )
        self.redelivered = Counter(
            "headgate_messages_redelivered", "Deliveries that were not the first of their message.", registry=registry
        )
        self.early = Counter(
            "headgate_messages_early", "Messages that had to wait for those before them.", registry=registry
        )
        self.batch_size = Histogram(
            "headgate_batch_size",
            "Messages in one transaction.",
            buckets=(1, 3, 10, 30, 100, 300, 1000),
            registry=registry,
        )
        self.stage_seconds = Histogram(
            "headgate_stage_seconds", "Time of a batch in one stage.", ["stage"], buckets=_SECONDS, registry=registry
        )
        self.lag_seconds = Histogram(
            "headgate_message_lag_seconds",
            "From the stream's store to the commit, of the oldest message of each batch; replays apart.",
            buckets=_LAG_SECONDS,
            registry=registry,
        )
        self.usage_unpriced = Counter(
            "headgate_usage_unpriced", "Usage records whose model no price list knows.", registry=registry
        )
        self.totals_saturated = Counter(
            "headgate_totals_saturated", "Totals that stayed at the largest number of 64 bits.", registry=registry
        )
        self.cost_usd = Counter("headgate_cost_usd", "Cost of stored usage in USD.", ["source"], registry=registry)
        for source in (Source.PROVIDER_REPORTED, Source.DERIVED, COST_OF_WORKERS):
            self.cost_usd.labels(str(source))
        self.model_cost_usd = Counter(
            "headgate_model_cost_usd", "Cost of sessions in USD, by model.", ["model"], registry=registry
        )

    def _state(self) -> None:
        registry = self.registry
        self.ready = Gauge("headgate_ready", "1 while the daemon is ready.", registry=registry)
        self.intake_paused = Gauge("headgate_intake_paused", "Consumers that wait for storage.", registry=registry)
        self.dead_letters_open = Gauge(
            "headgate_dead_letters_open", "Dead letters that wait for somebody.", registry=registry
        )
        self.outbox_rows = Gauge("headgate_outbox_rows", "Messages that wait to be published.", registry=registry)
        self.outbox_failed = Gauge(
            "headgate_outbox_failed_rows", "Messages that were refused for good.", registry=registry
        )
        self.outbox_oldest_seconds = Gauge("headgate_outbox_oldest_seconds", "Age of the oldest.", registry=registry)
        self.outbox_published = Counter(
            "headgate_outbox_published", "Messages that left the outbox.", ["lane", "outcome"], registry=registry
        )
        self.consumer_pending = Gauge(
            "headgate_consumer_pending", "Messages not yet delivered.", ["consumer"], registry=registry
        )
        self.consumer_unacknowledged = Gauge(
            "headgate_consumer_unacknowledged",
            "Messages delivered and not acknowledged.",
            ["consumer"],
            registry=registry,
        )
        self.replays_ignored = Counter(
            "headgate_replays_ignored", "Messages in the replay stream that are no replays.", registry=registry
        )
        self.forged = Counter(
            "headgate_forged",
            "Messages on the daemon's own streams and inboxes that are not what they say.",
            ["stream"],
            registry=registry,
        )
        self.given_up = Counter(
            "headgate_messages_given_up", "Messages that the server gave up on.", ["stream"], registry=registry
        )
        self.trimmed = Counter(
            "headgate_stream_trimmed", "Acknowledged messages purged.", ["stream"], registry=registry
        )
        self.nats_errors = Counter("headgate_nats_errors", "Errors told by the connection.", registry=registry)
        self.server_restarts = Counter(
            "headgate_nats_server_restarts", "Embedded server starts after the first.", registry=registry
        )

    def _doors(self) -> None:
        self.command_seconds = Histogram(
            "headgate_command_duration_seconds",
            "From request to reply.",
            ["command", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.commands_unanswerable = Counter(
            "headgate_commands_unanswerable",
            "Commands whose reply subject is not allowed: not executed.",
            registry=self.registry,
        )

    def _loops(self) -> None:
        registry = self.registry
        self.loop_last_run = Gauge(
            "headgate_loop_last_run_timestamp_seconds", "When a background loop last ran.", ["loop"], registry=registry
        )
        self.loop_seconds = Histogram(
            "headgate_loop_duration_seconds",
            "Time of one step of a loop.",
            ["loop"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.loop_failures = Counter(
            "headgate_loop_failures", "Steps of a background loop that failed.", ["loop"], registry=registry
        )

        self._http_closed = Counter(
            "headgate_http_connections_closed",
            "HTTP connections that the daemon closed: one too many, or silent for too long.",
            ["reason"],
            registry=self.registry,
        )

    def watch_log(self, output: LineOutput) -> None:
        """Tell how many log lines could not be written."""
        self._dropped_lines.output = output

    def http_closed(self, reason: str) -> None:
        """Count a connection that the daemon closed."""
        self._http_closed.labels(str(reason)).inc()

    def _jobs(self) -> None:
        registry = self.registry
        self._failure_code = BoundedLabel()
        self.job_transitions = Counter(
            "headgate_job_transitions", "Jobs that moved, by the state they moved to.", ["to"], registry=registry
        )
        for state in JobState:  # so that the first one counts: an increase over a series that is born at 1 is 0
            self.job_transitions.labels(str(state))
        self.job_approvals = Counter("headgate_job_approvals", "Drafts that were approved.", registry=registry)
        self.jobs_created = Counter("headgate_jobs_created", "Jobs that were made.", registry=registry)
        self.job_seconds = Histogram(
            "headgate_job_duration_seconds",
            "From the first dispatch of work for a job to its end.",
            ["work", "status"],
            buckets=_WORK_SECONDS,
            registry=registry,
        )
        self._job_seconds: dict[tuple[tuple[str, str], ...], Histogram] = {}
        self.job_failures = Counter(
            "headgate_job_failures", "Work for jobs that failed, by the worker's code.", ["code"], registry=registry
        )

    def _deployment(self) -> None:
        registry = self.registry
        build = Gauge("headgate_build_info", "1, with the version that runs.", ["version"], registry=registry)
        build.labels(VERSION).set(1)
        self.dependency_up = Gauge(
            "headgate_dependency_up", "1 while a dependency is healthy.", ["dependency"], registry=registry
        )
        self.disk_free = Gauge("headgate_disk_free_bytes", "Room where the daemon writes.", registry=registry)
        self.backup_last_success = Gauge(
            "headgate_backup_last_success_timestamp_seconds",
            "When the newest copy of the database was made; 0 where one is wanted and none was made.",
            registry=registry,
        )
        self.backup_last_success.set(math.nan)

    def _healing(self) -> None:
        registry = self.registry
        self.self_heal_found = Counter(
            "headgate_self_heal_items_found", "What rounds of healing found.", ["what"], registry=registry
        )
        self.self_heal_republished = Counter(
            "headgate_self_heal_items_republished", "What went out again.", ["what"], registry=registry
        )
        self.self_heal_errors = Counter("headgate_self_heal_errors", "What could not be healed.", registry=registry)
        self.self_heal_seconds = Histogram(
            "headgate_self_heal_duration_seconds", "Time of a round.", buckets=_SECONDS, registry=registry
        )
        self.work_in_hand = Gauge("headgate_work_in_hand", "Work that is handed out.", ["work"], registry=registry)
        self.work_not_taken = Gauge(
            "headgate_work_not_taken",
            "1 while nobody takes such work: its deadlines stand still.",
            ["work"],
            registry=registry,
        )

    def _alerts(self) -> None:
        registry = self.registry
        self.alert_severity = Gauge(
            "headgate_alert_severity", "0 ok, 1 warning, 2 critical.", ["rule"], registry=registry
        )
        self.alert_value = Gauge(
            "headgate_alert_value",
            "What the rule read last, in the unit of its thresholds; NaN where there was nothing to read.",
            ["rule"],
            registry=registry,
        )
        self.agents = Gauge(
            "headgate_agents", "Agents that were heard of, by their state.", ["state"], registry=registry
        )
        self.alert_read_failures = Counter(
            "headgate_alert_read_failures", "Alert rules that could not be read.", ["rule"], registry=registry
        )
        self.notifications = Counter(
            "headgate_notifications", "Attempts to tell a notifier.", ["notifier", "outcome"], registry=registry
        )
        self.jobs_stuck = Gauge("headgate_jobs_stuck", "Jobs whose work is past its deadline.", registry=registry)

    def batch(self, batch: Sequence[Judged], settled: BatchOutcome, *, seconds: float, now: int) -> None:
        """Count one committed batch."""
        outcomes = Tally(
            (judged.kind, outcome.verdict) for judged, outcome in zip(batch, settled.outcomes, strict=True)
        )
        for (kind, verdict), count in outcomes.items():
            self.messages.labels(kind, str(verdict)).inc(count)
        for judged, outcome in zip(batch, settled.outcomes, strict=True):
            if outcome.error is not None:
                producer = self._producer(judged.producer or "unknown")
                self.refused.labels(str(outcome.error["code"]), producer).inc()
            elif isinstance(judged, Accepted) and judged.adapted:
                self.count_adapted(judged)
        again = sum(judged.delivery.delivered > 1 for judged in batch)
        if again:
            self.redelivered.inc(again)
        self.batch_size.observe(len(batch))
        self.stage_seconds.labels("commit").observe(seconds)
        verdicts = Tally(str(outcome.verdict) for outcome in settled.outcomes)
        if batch[0].delivery.lineage is not None:  # replays: what they say of their storing is of days ago
            self.recent.note(now, None, verdicts)
        else:
            lag_s = max(0.0, (now - min(judged.delivery.stored_at for judged in batch)) / _MICROS)
            self.lag_seconds.observe(lag_s)
            self.recent.note(now, lag_s * 1_000, verdicts)
        self.facts(settled.facts)

    def count_adapted(self, message: Accepted) -> None:
        """Count what could only be read in compat mode."""
        self.adapted.labels(message.kind, self._producer(message.producer)).inc()

    def facts(self, facts: Sequence[Fact]) -> None:
        """Count what handlers report once it is committed."""
        for fact in facts:
            self._facts[fact.name](fact)

    def _count_saturated(self, fact: Fact) -> None:
        log.warning("totals_saturated", totals=int(fact.value))
        self.totals_saturated.inc(fact.value)

    def _count_model_cost(self, fact: Fact) -> None:
        self.model_cost_usd.labels(self._model(fact.labels["model"])).inc(fact.value)

    def _observe_job(self, fact: Fact) -> None:
        key = tuple(fact.labels.items())  # looking a series up by its labels costs five times as much
        series = self._job_seconds.get(key)
        if series is None:
            series = self._job_seconds[key] = self.job_seconds.labels(**fact.labels)
        series.observe(fact.value)

    def _count_job_failure(self, fact: Fact) -> None:
        self.job_failures.labels(self._failure_code(fact.labels["code"])).inc(fact.value)


def _counts(counter: Counter) -> Callable[[Fact], None]:
    """The metric of facts that are counted as they are."""
    return lambda fact: (counter.labels(**fact.labels) if fact.labels else counter).inc(fact.value)
