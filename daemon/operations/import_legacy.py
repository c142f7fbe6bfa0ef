"""``import-legacy``: records from a file through the same contracts, as often as one likes with the same rows."""

import asyncio
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import orjson
import structlog
from nats.aio.client import Client

from adapters.errors import AdapterError
from adapters.nats.object_store import fetch_object, has_object
from adapters.record_files import Layout, Portion, Record, Source, Unreadable, read_records
from contracts.errors import ErrorCode, JsonObject, Problem, invalid_field, problem
from contracts.gate.delivery import Judged
from contracts.payloads.operations.failures import ImportLegacy
from contracts.registry import REGISTRY
from daemon.intake.gate_factory import import_rules, make_gate
from daemon.intake.ports import Gatekeeper
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audited import GOES_ON
from daemon.runs.runs import RunFailed, RunLost, Runs, RunWorker, hold
from daemon.transactions import Done, Poison, committed, isolated
from handlers.batch import INTERNAL
from handlers.commands.command import Command, Reply, payload_of, refuse
from handlers.dead_letters.imports import ImportReport, Taken, record_delivery, report_of, take_poison, take_records
from handlers.effects import Context, Fact, Families
from handlers.registry import FAMILIES
from storage.engine.database import Database
from storage.journal.ops_runs import SUCCEEDED, NewRun, Run
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

OPERATION: Final = "import-legacy"
_BATCH: Final = 500
_BATCH_BYTES: Final = 4 * 2**20


@dataclass(frozen=True, slots=True)
class ImportTerms:
    """Where imports may read: regular files below ``folder``, objects of ``bucket``; these are fetched to ``draft``."""

    enabled: bool
    folder: Path
    bucket: str
    draft: Path


class ImportOperation:
    """Refuses what cannot be read; the run goes on in the daemon."""

    def __init__(self, nc: Client, terms: ImportTerms, runs: Runs, families: Families) -> None:
        self._nc = nc
        self._terms = terms
        self._runs = runs
        self._families = families

    async def __call__(self, command: Command, run: NewRun) -> Reply:
        wanted = payload_of(command, ImportLegacy)
        objection = await self._objection(wanted)
        if objection is not None:
            return refuse(objection)
        self._runs.begin(run.run_id)
        return Reply(GOES_ON, {"run_id": run.run_id})

    async def _objection(self, wanted: ImportLegacy) -> Problem | None:
        if not self._terms.enabled:
            return SWITCHED_OFF
        if REGISTRY.contract(wanted.kind) is None or wanted.kind not in self._families:
            return UNKNOWN_KIND
        if wanted.path is not None:
            found = await asyncio.to_thread(importable, self._terms.folder, wanted.path)
            return None if found is not None else NO_SUCH_FILE
        return None if await has_object(self._nc, self._terms.bucket, wanted.object or "") else NO_SUCH_OBJECT


def importable(folder: Path, path: str) -> Path | None:
    """The regular file that *path* names, through all links; None where it is absent, another thing, or elsewhere."""
    try:
        base = folder.resolve(strict=True)
        found = (base / path).resolve(strict=True)
        regular = stat.S_ISREG(found.stat().st_mode)
    except (OSError, ValueError, RuntimeError):
        return None
    return found if regular and found.is_relative_to(base) else None


@dataclass(frozen=True, slots=True)
class _Line:
    """A record, or what is none, with the number of its line."""

    number: int
    body: bytes
    unreadable: bool


class Importer:
    """Works on the runs of the operation."""

    def __init__(
        self,
        nc: Client,
        database: Database,
        terms: ImportTerms,
        *,
        gate: Gatekeeper,
        families: Families,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
        count: Callable[[Sequence[Fact]], None],
    ) -> None:
        self._nc = nc
        self._database = database
        self._terms = terms
        self._gate = gate
        self._families = families
        self._context = context
        self._wake = wake
        self._count = count

    async def work(self, run: Run) -> None:
        """Import the file from where the run stands; then end the run. Raises :class:`RunFailed`, :class:`RunLost`."""
        wanted = ImportLegacy.model_validate(orjson.loads(run.parameters))
        stored = None if run.result is None else orjson.loads(run.result)
        report = report_of(stored)
        async with self._file(wanted, run.run_id) as file:
            looks = _looks(file, own=wanted.path is None)
            if stored is not None and stored.get("source") != looks:
                raise RunFailed(CHANGED, report.as_json())
            passing = _Passage(self, run, wanted, looks, report)
            await passing.through(file, skip=report.read)
        await committed(self._database, lambda uow: self._finish(uow, run.run_id, passing.report))
        log.info("imported", run_id=run.run_id, kind=wanted.kind, **_counts(passing.report))

    @asynccontextmanager
    async def _file(self, wanted: ImportLegacy, run_id: str) -> AsyncIterator[Path]:
        if wanted.path is not None:
            found = await asyncio.to_thread(importable, self._terms.folder, wanted.path)
            if found is None:
                raise RunFailed(NO_SUCH_FILE)
            yield found
            return
        draft = self._terms.draft / f"import-{run_id}"
        try:
            await fetch_object(self._nc, self._terms.bucket, wanted.object or "", draft)
            yield draft
        except AdapterError as error:
            raise RunFailed(problem(ErrorCode.UPSTREAM_FAILED, "the object could not be fetched")) from error
        finally:
            draft.unlink(missing_ok=True)

    def _finish(self, uow: UnitOfWork, run_id: str, report: ImportReport) -> None:
        context = self._context()
        hold(uow, run_id, daemon=context.daemon_id)
        uow.ops_runs.finish(run_id, status=SUCCEEDED, ended_at=context.now, result=report.as_json())

    # -- one batch

    async def take(
        self, run: Run, looks: JsonObject, lines: Sequence[int], batch: Sequence[Judged], report: ImportReport
    ) -> ImportReport:
        """Settle a batch together with how far the import has come; the report after it."""
        records = list(zip(lines, batch, strict=True))

        async def commit(part: Sequence[tuple[int, Judged]]) -> ImportReport:
            taken = partial(self._take_all, [judged for _, judged in part])
            return await self._commit(run, looks, [line for line, _ in part], report, taken)

        async for outcome in isolated(records, commit, passing=(RunLost,)):
            match outcome:
                case Done(_, after):
                    report = after
                case Poison((line, judged), cause):
                    log.error("poison_record", run_id=run.run_id, line=line, exc_info=cause)
                    report = await self._commit(run, looks, [line], report, partial(self._take_poison, judged))
        return report

    def _take_all(self, batch: Sequence[Judged], uow: UnitOfWork, context: Context) -> Taken:
        return take_records(batch, uow, context, self._families)

    def _take_poison(self, judged: Judged, uow: UnitOfWork, context: Context) -> Taken:
        return take_poison(judged, INTERNAL, uow, context)

    async def _commit(
        self,
        run: Run,
        looks: JsonObject,
        lines: Sequence[int],
        report: ImportReport,
        take: Callable[[UnitOfWork, Context], Taken],
    ) -> ImportReport:
        def write(uow: UnitOfWork) -> tuple[Taken, ImportReport]:
            context = self._context()
            hold(uow, run.run_id, daemon=context.daemon_id)
            taken = take(uow, context)
            after = report.with_outcomes(lines, taken.outcomes)
            uow.ops_runs.record_progress(run.run_id, after.as_json() | {"source": looks})
            return taken, after

        taken, after = await committed(self._database, write)
        self._wake(taken.lanes)
        self._count(taken.facts)
        return after

    def judge(self, kind: str, line: _Line, *, source: str, started_at: int) -> Judged:
        return self._gate.judge(
            record_delivery(kind, line.body, source=source, line=line.number, started_at=started_at)
        )


class _Passage:
    """One way through a file."""

    def __init__(
        self, importer: Importer, run: Run, wanted: ImportLegacy, looks: JsonObject, report: ImportReport
    ) -> None:
        self._importer = importer
        self._run = run
        self._wanted = wanted
        self._looks = looks
        self.report = report
        self._lines: list[int] = []
        self._batch: list[Judged] = []
        self._bytes = 0

    async def through(self, file: Path, *, skip: int) -> None:
        """Take everything after the first *skip* records."""
        name = self._wanted.path or self._wanted.object or ""
        portions = read_records(Source(name, file, None), Layout.AUTO)
        try:
            while (portion := await asyncio.to_thread(next, portions, None)) is not None:
                for line in _lines_of(portion, name):
                    if skip > 0:
                        skip -= 1
                    else:
                        await self._take(line, name)
        except OSError as error:
            raise RunFailed(problem(ErrorCode.UNAVAILABLE, "the file could not be read to its end")) from error
        await self._flush()

    async def _take(self, line: _Line, name: str) -> None:
        if line.unreadable and not line.body:
            await self._flush()
            self.report = self.report.with_unreadable(line.number, UNREADABLE)
            return
        judged = self._importer.judge(self._wanted.kind, line, source=name, started_at=self._run.started_at)
        self._batch.append(judged)
        self._lines.append(line.number)
        self._bytes += len(line.body)
        if len(self._batch) >= _BATCH or self._bytes >= _BATCH_BYTES:
            await self._flush()

    async def _flush(self) -> None:
        if self._batch:
            self.report = await self._importer.take(self._run, self._looks, self._lines, self._batch, self.report)
        self._lines, self._batch, self._bytes = [], [], 0


def _lines_of(portion: Portion, name: str) -> Iterator[_Line]:
    for item in portion.items:
        number = int(item.place[len(name) + 1 :].partition(":")[0] or 0)
        match item:
            case Record():
                yield _Line(number, item.body, unreadable=False)
            case Unreadable():
                yield _Line(number, item.body, unreadable=True)


def _looks(file: Path, *, own: bool) -> JsonObject:
    """By what a file is known to be the same when a run goes on with it; the time of one's *own* copy says nothing."""
    found = file.stat()
    return {"bytes": found.st_size, "modified_ns": 0 if own else found.st_mtime_ns}


def _counts(report: ImportReport) -> JsonObject:
    told = report.as_json()
    return {name: told[name] for name in ("read", "written", "skipped", "refused")}


SWITCHED_OFF: Final = problem(ErrorCode.FORBIDDEN, "imports are switched off")
UNKNOWN_KIND: Final = invalid_field("payload.kind", "unknown_kind", "Input should be a known ingest kind")
NO_SUCH_FILE: Final = invalid_field(
    "payload.path", "import_path", "Path should name a regular file below the folder of imports"
)
NO_SUCH_OBJECT: Final = invalid_field("payload.object", "import_object", "Object should be one of the assets' store")
CHANGED: Final = problem(ErrorCode.INVALID_STATE, "the file changed while it was imported")
UNREADABLE: Final = invalid_field("", "json_invalid", "The file should hold JSON values up to here and beyond")


def make(context: OperationContext) -> ServedOperation:
    """The operation, with a gate that reads bare payloads too."""
    imports = context.settings.imports
    terms = ImportTerms(imports.enabled, imports.dir, context.subjects.assets_bucket, context.settings.daemon.state_dir)
    importer = Importer(
        context.nc,
        context.database,
        terms,
        gate=make_gate(context.settings, import_rules(context.rules)),
        families=FAMILIES,
        context=context.context,
        wake=context.wake,
        count=context.count,
    )
    operation = ImportOperation(context.nc, terms, context.runs, FAMILIES)
    return ServedOperation(context.audited(operation), RunWorker(importer.work, resumable=True))
