"""``dead-letters``: looking at refused messages, discarding one, replaying one with a corrected body."""

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Final

from contracts.errors import JsonObject
from contracts.payloads.operations import DeadLetters, LetterAction
from contracts.values.states import LetterState
from daemon.operations.audited import GOES_ON
from daemon.operations.context import OperationContext, ServedOperation
from daemon.operations.replaying import Replaying
from daemon.operations.runs import Runs, RunWorker
from daemon.transactions import patiently
from domain.dead_letters.dead_letters import refused_discard, refused_edit
from handlers.commands.command import NOT_FOUND, Command, Query, Reply, answer, ok, payload_of, refuse
from handlers.dead_letters.dead_letter_queries import list_groups, list_letters, show_letter
from handlers.effects import Context
from handlers.replays.replays import message_of
from storage.engine.database import Database
from storage.journal.ops_runs import NewRun
from storage.journal.replay_runs import ReplayItem
from storage.journal.replays import DEAD_LETTERS
from storage.unit_of_work import UnitOfWork

_QUERIES: Final[Mapping[LetterAction, Query]] = MappingProxyType(
    {LetterAction.LIST: list_letters, LetterAction.GROUPS: list_groups, LetterAction.SHOW: show_letter}
)


class DeadLettersOperation:
    """Reads from a snapshot; discards and edits in a transaction."""

    def __init__(
        self,
        database: Database,
        runs: Runs,
        *,
        context: Callable[[], Context],
        wake: Callable[[Iterable[str]], None],
    ) -> None:
        self._database = database
        self._runs = runs
        self._context = context
        self._wake = wake

    async def __call__(self, command: Command, run: NewRun) -> Reply:
        wanted = payload_of(command, DeadLetters)
        dead_letter_id = wanted.dead_letter_id or ""
        if (query := _QUERIES.get(wanted.action)) is not None:
            context = self._context()
            return await self._database.read(lambda uow: answer(query, command, uow, context))
        if wanted.action is LetterAction.DISCARD:
            return await self._database.write(lambda uow: self._discard(uow, dead_letter_id))
        body = (wanted.body or "").encode()
        reply = await patiently(self._database, lambda uow: self._edit(uow, dead_letter_id, body, run))
        if reply.problem is None:
            self._wake({message.lane for message in reply.outbox})
            self._runs.begin(run.run_id)
        return reply

    def _discard(self, uow: UnitOfWork, dead_letter_id: str) -> Reply:
        discarded = uow.replays.discard(dead_letter_id, now=self._context().now)
        found = uow.replays.states([dead_letter_id]).get(dead_letter_id)
        if found is None:
            return refuse(NOT_FOUND)
        if not discarded and (why := refused_discard(found[0])) is not None:
            return refuse(why)
        return ok({"dead_letter_id": dead_letter_id, "state": LetterState.DISCARDED})

    def _edit(self, uow: UnitOfWork, dead_letter_id: str, body: bytes, run: NewRun) -> Reply:
        """Begin a replay that carries *body*. What came stays in the row; the replay keeps the other body."""
        context = self._context()
        begun = uow.replays.begin([dead_letter_id], run_id=run.run_id, principal=run.principal, now=context.now)
        if not begun:
            found = uow.replays.states([dead_letter_id]).get(dead_letter_id)
            return refuse(NOT_FOUND if found is None else refused_edit(found[0]) or NOT_FOUND)
        (replay,) = begun
        uow.replays.edit((replay.dead_letter_id, replay.replay_number), body)
        uow.replay_runs.open(run.run_id, frozen_at=context.now, is_selecting=False)
        item = ReplayItem(DEAD_LETTERS, replay.dead_letter_id, replay.replay_number, None, None)
        uow.replay_runs.add(run.run_id, [item])
        message = message_of(replay, body, run.run_id, context)
        uow.outbox.add([message], owner=context.daemon_id, now=context.now)
        result: JsonObject = {
            "dead_letter_id": replay.dead_letter_id,
            "replay_number": replay.replay_number,
            "state": LetterState.REPLAYING,
        }
        return Reply(GOES_ON, result, outbox=[message])


def make(context: OperationContext) -> ServedOperation:
    """The operation. A corrected body is a replay of one."""
    operation = DeadLettersOperation(context.database, context.runs, context=context.context, wake=context.wake)
    replaying = Replaying(context.database, context=context.context, wake=context.wake)
    return ServedOperation(context.audited(operation), RunWorker(replaying.work, resumable=True))
