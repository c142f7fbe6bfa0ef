"""What operations are made from, and what one consists of."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from nats.aio.client import Client

from adapters.notifiers.base import Notifier
from contracts.gate.rules import GateRules
from contracts.subjects import Subjects
from daemon.commands.command_endpoint import Operation
from daemon.http.console import Console
from daemon.maintenance.self_heal import SelfHeal
from daemon.observability.health import HealthCheck
from daemon.runs.audit import OpsAudit
from daemon.runs.audited import AuditedOperation, AuditedQuery, Operate
from daemon.runs.runs import Runs, RunWorker
from daemon.settings.model import Settings
from handlers.commands.command import Query
from handlers.effects import Context, Fact
from storage.engine.database import Database


@dataclass(frozen=True, slots=True)
class OperationContext:
    """The parts of the daemon that operations may use.

    ``wake`` tells the relay for which lanes something was committed; ``count`` hands facts to metrics.
    """

    settings: Settings
    daemon_id: str
    subjects: Subjects
    rules: GateRules
    database: Database
    nc: Client
    clock: Callable[[], int]
    context: Callable[[], Context]
    wake: Callable[[Iterable[str]], None]
    count: Callable[[Sequence[Fact]], None]
    audit: OpsAudit
    runs: Runs
    health: HealthCheck
    healing: SelfHeal
    notifiers: Mapping[str, Notifier]
    console: Console

    def audited(self, operate: Operate) -> Operation:
        """*operate* with its record, carried out once however often the same request comes."""
        return AuditedOperation(operate, self.audit, self.database)

    def audited_query(self, query: Query) -> Operation:
        """A question whose invocations are recorded."""
        return self.audited(AuditedQuery(query, self.database, self.context))


@dataclass(frozen=True, slots=True)
class ServedOperation:
    """What answers an operation, and who works on its runs after that answer where there are any."""

    operation: Operation
    worker: RunWorker | None = None


OperationFactory: TypeAlias = Callable[[OperationContext], ServedOperation]
