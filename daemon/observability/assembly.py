"""What health-check measures."""

from collections.abc import Mapping

from adapters.nats.streams.pull import ContinuousPull
from contracts.subjects import Family
from daemon.clock import now_micros
from daemon.foundation import Foundation
from daemon.maintenance.work_consumers import WorkConsumers
from daemon.observability import dependency_checks as checks
from daemon.observability.aggregates_check import aggregates_check
from daemon.observability.health import disk_check
from daemon.operations.rebuild_aggregates import scope_of


def add_checks(base: Foundation, pulls: Mapping[Family, ContinuousPull], kept: WorkConsumers, revision: str) -> None:
    health, database = base.health, base.database
    health.add("nats", checks.nats_check(base.probe))
    health.add("database", checks.database_check(database))
    health.add("migrations", checks.migrations_check(database, revision))
    health.add("repositories", checks.repositories_check(database))
    health.add("outbox", checks.outbox_check(database, now_micros, oldest_s=60.0))
    health.add("consumers", checks.consumers_check(pulls, lambda: kept.in_the_way))
    health.add("disk", disk_check(base.settings.daemon.state_dir, least_bytes=256 * 2**20, least_share=0.02))
    health.add_deep("aggregates", aggregates_check(database, lambda: scope_of(base.settings, now_micros())))
