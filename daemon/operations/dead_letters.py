"""``dead-letters``: looking at refused messages, discarding them, replaying one with a corrected body."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from contracts.errors import Detail, ErrorCode, problem
from contracts.payloads.operations.failures import DeadLetters, LetterAction
from contracts.values.times import format_micros
from daemon.intake.gate_factory import import_rules, make_gate
from daemon.intake.ports import Gatekeeper
from daemon.intake.replay_source import ReplayGate
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audited import GOES_ON
from daemon.runs.discarding import DISCARDED, Discarding
from daemon.runs.replaying import Replaying
from daemon.runs.runs import Runs, RunWorker
from daemon.runs.selecting import Selecting
from daemon.transactions import committed
from handlers.commands.command import NOT_FOUND, Command, Query, Reply, answer, ok, payload_of, refuse
from handlers.dead_letters.dead_letter_queries import count_over_time, list_groups, list_letters, show_letter
from handlers.dead_letters.letter_checks import as_edited, verdict
from handlers.dead_letters.letter_commands import begin_edit, discard_letter
from handlers.effects import Context
from handlers.replays.run_queries import is_discard
from storage.engine.database import Database
from storage.journal.ops_runs import NewRun, Run

_QUERIES: Final[Mapping[LetterAction, Query]] = MappingProxyType(
    {
        LetterAction.LIST: list_letters,
        LetterAction.GROUPS: list_groups,
        LetterAction.HISTOGRAM: count_over_time,
        LetterAction.SHOW: show_letter,
    }
)


class DeadLettersOperation:
    """Reads from a snapshot; discards one and edits in a transaction; discards many in a run."""

    def __init__(
        self,
        database: Database,
        runs: Runs,
        selecting: Selecting,
        *,
        gate: Gatekeeper,
        most_bytes: int,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        self._database = database
        self._runs = runs
        self._selecting = selecting
        self._gate = gate
        self._most_bytes = most_bytes
        self._context = context
        self._wake = wake

    async def __call__(self, command: Command, run: NewRun) -> Reply:
        wanted = payload_of(command, DeadLetters)
        if (query := _QUERIES.get(wanted.action)) is not None:
            context = self._context()
            return await self._database.read(lambda uow: answer(query, command, uow, context))
        if wanted.action is LetterAction.CHECK:
            return await self._check(wanted)
        if wanted.action is LetterAction.EDIT:
            return await self._edit(wanted, run)
        if wanted.dead_letter_id is not None:
            context = self._context()
            return await self._database.write(lambda uow: discard_letter(wanted, run, uow, context))
        return await self._discard_many(wanted, run)

    async def _check(self, wanted: DeadLetters) -> Reply:
        letter = await self._database.read(lambda uow: uow.dead_letter_catalog.get(wanted.dead_letter_id or ""))
        if letter is None:
            return refuse(NOT_FOUND)
        judged = self._gate.judge(as_edited(letter, (wanted.body or "").encode()))
        return ok(await self._database.read(lambda uow: verdict(judged, uow)))

    async def _discard_many(self, wanted: DeadLetters, run: NewRun) -> Reply:
        if wanted.dry_run:
            found = await self._selecting.preview(wanted, DISCARDED, frozen_at=run.started_at)
            return ok({"requested": found.requested, "dry_run": True, "frozen_at": format_micros(run.started_at + 1)})
        requested = await self._selecting.select(run.run_id, wanted, DISCARDED, frozen_at=run.started_at)
        self._runs.begin(run.run_id)
        return Reply(GOES_ON, {"requested": requested})

    async def _edit(self, wanted: DeadLetters, run: NewRun) -> Reply:
        body = (wanted.body or "").encode()
        if len(body) > self._most_bytes:
            return refuse(_BODY_TOO_LARGE)
        reply = await committed(self._database, lambda uow: begin_edit(wanted, body, run, uow, self._context()))
        if reply.problem is None:
            self._wake({message.lane for message in reply.outbox})
            self._runs.begin(run.run_id)
        return reply


class DeadLetterRuns:
    """Works on what goes on of ``dead-letters``: a discard of many, or the replay of a corrected body."""

    def __init__(self, replaying: Replaying, discarding: Discarding) -> None:
        self._replaying = replaying
        self._discarding = discarding

    async def work(self, run: Run) -> None:
        await (self._discarding if is_discard(run) else self._replaying).work(run)


def make(context: OperationContext) -> ServedOperation:
    """The operation, and who works on what of it goes on."""
    replaying = Replaying(context.database, context=context.context, wake=context.wake)
    discarding = Discarding(context.database, replaying.selecting, context=context.context)
    operation = DeadLettersOperation(
        context.database,
        context.runs,
        replaying.selecting,
        gate=_edit_gate(context),
        most_bytes=context.rules.max_bytes,
        context=context.context,
        wake=context.wake,
    )
    worker = RunWorker(DeadLetterRuns(replaying, discarding).work, resumable=True)
    return ServedOperation(context.audited(operation), worker)


def _edit_gate(context: OperationContext) -> ReplayGate:
    """What a replay of a corrected body is judged by."""
    settings, rules = context.settings, context.rules
    return ReplayGate(make_gate(settings, rules), make_gate(settings, import_rules(rules)))


_BODY_TOO_LARGE: Final = problem(
    ErrorCode.PAYLOAD_TOO_LARGE,
    "the edited body is over the limit of contracts.max_bytes",
    [Detail("payload.body", "too_large", "Body should fit contracts.max_bytes")],
)
