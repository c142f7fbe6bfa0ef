"""``backup``: a consistent copy of the database, made while intake runs."""

import asyncio
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import anyio
import structlog

from contracts.errors import ErrorCode, JsonObject, problem
from contracts.values.times import MICROS_PER_SECOND
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audited import GOES_ON
from daemon.runs.runs import RunFailed, Runs, RunWorker, hold
from daemon.transactions import committed
from handlers.commands.command import Command, Reply, refuse
from storage.engine.backup import PG_DUMP, backup_name, copy_database, keep_newest
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageUnusable
from storage.engine.sqlite.url import sqlite_file
from storage.journal.ops_runs import SUCCEEDED, NewRun, Run
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

OPERATION: Final = "backup"
_PATIENCE_S: Final = 10.0


class BackupOperation:
    """Begins a copy. One that is made within a few seconds is told whole; else the run tells it later."""

    def __init__(self, backups: "Backups", runs: Runs) -> None:
        self._backups = backups
        self._runs = runs

    async def __call__(self, command: Command, run: NewRun) -> Reply:  # noqa: ARG002 - the shape of an operation
        if not self._backups.possible:
            return refuse(NO_PG_DUMP)
        done = self._backups.expect(run.run_id)
        self._runs.begin(run.run_id)
        told: JsonObject = {"path": str(self._backups.path_of(run.run_id, run.started_at)), "bytes": None}
        with anyio.move_on_after(_PATIENCE_S):
            told |= await done
        return Reply(GOES_ON, {"run_id": run.run_id, **told})


class Backups:
    """Makes the copies, one after the other, and keeps the newest."""

    def __init__(
        self, database: Database, url: str, folder: Path, *, keep: int, daemon_id: str, clock: Callable[[], int]
    ) -> None:
        self._database = database
        self._url = url
        self._folder = folder
        self._keep = keep
        self._daemon_id = daemon_id
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._expected: dict[str, asyncio.Future[JsonObject]] = {}

    @property
    def possible(self) -> bool:
        """Whether this machine has what a copy takes."""
        return self._dialect == "sqlite" or shutil.which(PG_DUMP) is not None

    @property
    def _dialect(self) -> str:
        return "postgresql" if sqlite_file(self._url) is None else "sqlite"

    def path_of(self, run_id: str, started_at: int) -> Path:
        """Where the copy of a run goes."""
        moment = datetime.fromtimestamp(started_at // MICROS_PER_SECOND, UTC)
        return self._folder / backup_name(f"{moment:%Y%m%dT%H%M%SZ}", run_id, self._dialect)

    def expect(self, run_id: str) -> "asyncio.Future[JsonObject]":
        """What the run comes to, once it has: path and bytes, or nothing where it failed."""
        return self._expected.setdefault(run_id, asyncio.get_running_loop().create_future())

    async def work(self, run: Run) -> None:
        """Make the copy and end the run. Raises :class:`RunFailed`, :class:`daemon.runs.runs.RunLost`."""
        told: JsonObject = {}
        try:
            async with self._one_at_a_time:
                told = await self._make(run)
        finally:
            if (expected := self._expected.pop(run.run_id, None)) is not None and not expected.done():
                expected.set_result(told)

    async def _make(self, run: Run) -> JsonObject:
        path = self.path_of(run.run_id, run.started_at)
        try:
            size = await copy_database(self._url, path)
            gone = keep_newest(self._folder, self._keep, made=path)
        except (StorageAway, StorageUnusable, OSError) as error:
            raise RunFailed(problem(ErrorCode.UNAVAILABLE, f"the copy failed: {error}")) from error
        result: JsonObject = {"run_id": run.run_id, "path": str(path), "bytes": size, "removed": len(gone)}
        await committed(self._database, lambda uow: self._finish(uow, run.run_id, result))
        log.info("backup_made", run_id=run.run_id, path=str(path), bytes=size, removed=len(gone))
        return {"path": str(path), "bytes": size}

    def _finish(self, uow: UnitOfWork, run_id: str, result: JsonObject) -> None:
        hold(uow, run_id, daemon=self._daemon_id)
        uow.ops_runs.finish(run_id, status=SUCCEEDED, ended_at=self._clock(), result=result)


NO_PG_DUMP: Final = problem(
    ErrorCode.UNAVAILABLE, f"{PG_DUMP} is not installed where the daemon runs: a copy of PostgreSQL is made by it"
)


def make(context: OperationContext) -> ServedOperation:
    """The operation, and its copies one after the other."""
    settings = context.settings
    backups = Backups(
        context.database,
        settings.storage.url,
        settings.backup.dir,
        keep=settings.backup.keep,
        daemon_id=context.daemon_id,
        clock=context.clock,
    )
    operation = context.audited(BackupOperation(backups, context.runs))
    return ServedOperation(operation, RunWorker(backups.work, resumable=False))
