"""What operators ask of the daemon and what goes on for them in it, put together."""

from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from daemon.door import Operation
from daemon.operations.audit import OpsAudit
from daemon.operations.audited import Audited, AuditedQuery, Operate
from daemon.operations.dead_letters import DeadLettersOperation
from daemon.operations.replay_failed import ReplayAbortOperation, ReplayFailedOperation
from daemon.operations.replaying import OPERATION as REPLAY_FAILED
from daemon.operations.replaying import Replaying
from daemon.runs import Runs, Worker
from handlers.effects import Context
from handlers.run_queries import list_runs, replay_status
from storage.database import Database

Loop: TypeAlias = Callable[[], Coroutine[object, object, None]]

DEAD_LETTERS: Final = "dead-letters"


class Operating:
    """The operations of one daemon, and the runs that go on after they were answered."""

    def __init__(
        self,
        database: Database,
        *,
        daemon_id: str,
        clock: Callable[[], int],
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
        audit: OpsAudit,
    ) -> None:
        self._database = database
        self._context = context
        self._wake = wake
        self._audit = audit
        self._runs = Runs(database, daemon_id=daemon_id, clock=clock)
        self._replaying = Replaying(database, context=context, wake=wake)
        # A corrected body is a replay of one.
        replaying = Worker(self._replaying.work, resumable=True)
        self._runs.employ({REPLAY_FAILED: replaying, DEAD_LETTERS: replaying})

    def operations(self) -> Mapping[str, Operation]:
        """The operations by name, each with its record."""
        return {name: Audited(operate, self._audit, self._database) for name, operate in self._unrecorded().items()}

    def _unrecorded(self) -> Mapping[str, Operate]:
        database, context = self._database, self._context
        return {
            DEAD_LETTERS: DeadLettersOperation(database, self._runs, context=context, wake=self._wake),
            REPLAY_FAILED: ReplayFailedOperation(database, self._replaying, self._runs),
            "replay-abort": ReplayAbortOperation(database),
            "replay-status": AuditedQuery(replay_status, database, context),
            "runs": AuditedQuery(list_runs, database, context),
        }

    def loops(self) -> Sequence[Loop]:
        """What goes on for as long as the daemon works."""
        return [self._runs.run]
