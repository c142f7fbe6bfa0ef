"""What operators ask of the daemon and what goes on for them in it, put together."""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from nats.aio.client import Client

from contracts.gate.rules import GateRules
from contracts.subjects import Subjects
from daemon.commands.command_endpoint import Operation
from daemon.intake.gate_factory import import_rules, make_gate
from daemon.operations.audit import OpsAudit
from daemon.operations.audited import AuditedOperation, AuditedQuery, Operate
from daemon.operations.backup import OPERATION as BACKUP
from daemon.operations.backup import BackupOperation, Backups
from daemon.operations.dead_letters import DeadLettersOperation
from daemon.operations.import_legacy import OPERATION as IMPORT
from daemon.operations.import_legacy import Importer, ImportOperation, ImportTerms
from daemon.operations.prune import OPERATION as PRUNE
from daemon.operations.prune import PruneOperation, Pruner, PruneTerms
from daemon.operations.replay_failed import ReplayAbortOperation, ReplayFailedOperation
from daemon.operations.replaying import OPERATION as REPLAY_FAILED
from daemon.operations.replaying import Replaying
from daemon.operations.runs import Runs, RunWorker
from daemon.settings.model import Settings
from handlers.effects import Context, Fact
from handlers.registry import FAMILIES
from handlers.replays.run_queries import list_runs, replay_status
from storage.engine.database import Database
from storage.journal.retention import INBOX

Loop: TypeAlias = Callable[[], Coroutine[object, object, None]]

DEAD_LETTERS: Final = "dead-letters"


@dataclass(frozen=True, slots=True)
class OperationContext:
    """What operations stand on."""

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


class OperationTable:
    """The operations of one daemon, and the runs that go on after they were answered."""

    def __init__(self, ground: OperationContext, audit: OpsAudit) -> None:
        self._ground = ground
        self._audit = audit
        database, daemon_id, clock = ground.database, ground.daemon_id, ground.clock
        self._runs = Runs(database, daemon_id=daemon_id, clock=clock)
        self._replaying = Replaying(database, context=ground.context, wake=ground.wake)
        self._import_terms = _import_terms(ground)
        self._backups = Backups(
            database,
            ground.settings.storage.url,
            ground.settings.backup.dir,
            keep=ground.settings.backup.keep,
            daemon_id=daemon_id,
            clock=clock,
        )
        pruner = Pruner(database, _prune_terms(ground.settings), daemon_id=daemon_id, clock=clock)
        # A corrected body is a replay of one.
        replaying = RunWorker(self._replaying.work, resumable=True)
        self._runs.employ(
            {
                REPLAY_FAILED: replaying,
                DEAD_LETTERS: replaying,
                IMPORT: RunWorker(self._make_importer().work, resumable=True),
                PRUNE: RunWorker(pruner.work, resumable=False),
                BACKUP: RunWorker(self._backups.work, resumable=False),
            }
        )

    def _make_importer(self) -> Importer:
        ground = self._ground
        return Importer(
            ground.nc,
            ground.database,
            self._import_terms,
            gate=make_gate(ground.settings, import_rules(ground.rules)),
            families=FAMILIES,
            context=ground.context,
            wake=ground.wake,
            count=ground.count,
        )

    def operations(self) -> Mapping[str, Operation]:
        """The operations by name, each with its record."""
        database = self._ground.database
        return {name: AuditedOperation(operate, self._audit, database) for name, operate in self._unrecorded().items()}

    def _unrecorded(self) -> Mapping[str, Operate]:
        ground = self._ground
        database, context, runs = ground.database, ground.context, self._runs
        return {
            DEAD_LETTERS: DeadLettersOperation(database, runs, context=context, wake=ground.wake),
            REPLAY_FAILED: ReplayFailedOperation(database, self._replaying, runs),
            "replay-abort": ReplayAbortOperation(database),
            "replay-status": AuditedQuery(replay_status, database, context),
            "runs": AuditedQuery(list_runs, database, context),
            IMPORT: ImportOperation(ground.nc, self._import_terms, runs, FAMILIES),
            PRUNE: PruneOperation(runs),
            BACKUP: BackupOperation(self._backups, runs),
        }

    def loops(self) -> Sequence[Loop]:
        """What goes on for as long as the daemon works."""
        return [self._runs.run]


def _import_terms(ground: OperationContext) -> ImportTerms:
    imports = ground.settings.imports
    return ImportTerms(imports.enabled, imports.dir, ground.subjects.assets_bucket, ground.settings.daemon.state_dir)


def _prune_terms(settings: Settings) -> PruneTerms:
    return PruneTerms({**settings.retention.model_dump(), INBOX: settings.storage.inbox_days})
