"""The background loops as a table: name, interval in seconds, step. A step that fails is tried again."""

from collections.abc import Sequence
from typing import Final

from adapters.nats.streams.pull import ContinuousPull
from adapters.nats.streams.topology import ADVISORY_CONSUMER
from contracts.subjects import Family
from daemon.clock import new_id, now_micros
from daemon.foundation import Foundation
from daemon.maintenance.alert_evaluation import AlertEvaluation, AlertTerms
from daemon.maintenance.due_publications import LOOK_S, DuePublications
from daemon.maintenance.lease_heartbeat import HEARTBEAT_S, LeaseHeartbeat
from daemon.maintenance.loop import Loop
from daemon.maintenance.nats_probe import PROBE_S, NatsProbe
from daemon.maintenance.run_status import RUN_STATUS_S, RunStatus
from daemon.maintenance.scheduled_runs import Schedule, ScheduledRuns
from daemon.maintenance.self_heal import SelfHeal
from daemon.maintenance.stream_trimmer import StreamTrimmer, Trimmed
from daemon.maintenance.work_watch import WorkWatch
from daemon.observability.deployment_gauges import LOOK_S as LOOK_AT_DEPLOYMENT_S
from daemon.observability.deployment_gauges import DeploymentGauges
from daemon.observability.gauges import Gauges
from daemon.observability.pulse import PulsePublisher, PulseSources
from daemon.outbox.relay import Relay
from daemon.runs.runs import ADOPT_S, Runs
from daemon.settings.alert_terms import alert_rules, notifier_terms
from daemon.version import VERSION

_WATCH_S: Final = 5.0


def background_loops(
    base: Foundation,
    relay: Relay,
    pulls: dict[Family, ContinuousPull],
    heartbeat: LeaseHeartbeat,
    runs: Runs,
    watch: WorkWatch,
    healing: SelfHeal,
    probe_loop: NatsProbe,
) -> Sequence[Loop]:
    """Every loop of the daemon but those of its files."""
    gauges = Gauges(base.database, base.nats.client, list(pulls.values()), base.metrics)
    deployment = DeploymentGauges(
        base.settings.daemon.state_dir,
        base.database,
        base.health,
        base.metrics,
        backups_wanted=base.settings.backup.every_h > 0,
    )
    trimmer = StreamTrimmer(
        base.nats.client,
        _trimmed(base, pulls),
        interval_s=base.settings.intake.trim_interval_s,
        metrics=base.metrics,
    )
    due = DuePublications(base.database, base.context, relay)
    run_status = RunStatus(base.database, runs=runs, context=base.context, wake=relay.wake)
    schedules = [
        Schedule("prune", base.settings.retention.every_h),
        Schedule("backup", base.settings.backup.every_h),
    ]
    scheduled = ScheduledRuns(base.database, schedules, runs=runs, context=base.context)
    return [
        Loop("scheduled-runs", scheduled.look_s, scheduled.step),
        Loop("lease-heartbeat", HEARTBEAT_S, heartbeat.step),
        Loop("run-adoption", ADOPT_S, runs.adopt_step),
        Loop("run-status", RUN_STATUS_S, run_status.step),
        Loop("due-publications", LOOK_S, due.step),
        Loop("work-watch", watch.interval_s, watch.step),
        Loop("self-heal", healing.look_s, healing.step),
        Loop("alerts", base.settings.alerts.interval_s, make_alerts(base, relay).step),
        Loop("stream-trimmer", 1.0, trimmer.step),
        Loop("nats-probe", PROBE_S, probe_loop.step),
        Loop("database-gauges", 1.0, gauges.read_database),
        Loop("refusal-counts", 1.0, base.stories.tell_counts),
        Loop("consumer-gauges", 5.0, gauges.read_consumers),
        *([] if base.console.off else [Loop("pulse", base.settings.console.pulse_s, make_pulse(base, runs).step)]),
        Loop("deployment-gauges", LOOK_AT_DEPLOYMENT_S, deployment.step),
    ]


def _trimmed(base: Foundation, pulls: dict[Family, ContinuousPull]) -> list[Trimmed]:
    """What producers and workers fill is trimmed; replays go by age, for those who want to look at them."""
    advisories = base.subjects.advisory_stream
    filled = [pull for family, pull in pulls.items() if family is not Family.REPLAY]
    return [
        Trimmed(advisories, ADVISORY_CONSUMER),
        *(Trimmed(pull.stream, pull.consumer, advisories) for pull in filled),
    ]


def make_alerts(base: Foundation, relay: Relay) -> AlertEvaluation:
    settings = base.settings
    terms = AlertTerms(settings.alerts.interval_s, alert_rules(settings), notifier_terms(settings))
    return AlertEvaluation(base.database, terms, context=base.context, relay=relay, metrics=base.metrics)


def make_work_watch(base: Foundation, relay: Relay) -> WorkWatch:
    return WorkWatch(
        base.nats.client,
        base.database,
        base.subjects,
        context=base.context,
        relay=relay,
        metrics=base.metrics,
        interval_s=min(_WATCH_S, base.settings.self_heal.interval_s),
    )


def make_pulse(base: Foundation, runs: Runs) -> PulsePublisher:
    sources = PulseSources(base.daemon_id, VERSION, base.metrics, base.readiness, runs.in_work)
    return PulsePublisher(sources, base.nats.client, base.subjects, new_id=new_id, clock=now_micros)
