"""What operators do to one dead letter: discard it, or begin a replay of a corrected body."""

from contracts.errors import JsonObject
from contracts.payloads.operations.failures import DeadLetters
from contracts.values.states import LetterState
from domain.dead_letters.dead_letters import edit_conflict, refused_discard, refused_edit
from handlers.commands.command import NOT_FOUND, Reply, ok, refuse
from handlers.effects import Context
from handlers.replays.replays import message_of
from storage.journal.discards import Discard
from storage.journal.ops_runs import NewRun
from storage.journal.replay_runs import ReplayItem
from storage.journal.replays import DEAD_LETTERS
from storage.unit_of_work import UnitOfWork

_GOES_ON = 202


def discard_letter(wanted: DeadLetters, run: NewRun, uow: UnitOfWork, context: Context) -> Reply:
    """Discard one dead letter: it is never replayed. Again: the same answer."""
    dead_letter_id = wanted.dead_letter_id or ""
    why = Discard(run.run_id, run.principal, wanted.reason, context.now)
    discarded = uow.discards.discard([dead_letter_id], why)
    found = uow.replays.states([dead_letter_id]).get(dead_letter_id)
    if found is None:
        return refuse(NOT_FOUND)
    if not discarded and (objection := refused_discard(found[0])) is not None:
        return refuse(objection)
    return ok({"dead_letter_id": dead_letter_id, "state": LetterState.DISCARDED})


def begin_edit(wanted: DeadLetters, body: bytes, run: NewRun, uow: UnitOfWork, context: Context) -> Reply:
    """Begin a replay that carries *body*. What came stays in the row; the replay keeps the other body."""
    dead_letter_id = wanted.dead_letter_id or ""
    found = uow.replays.states([dead_letter_id], locked=True).get(dead_letter_id)
    if found is None:
        return refuse(NOT_FOUND)
    objection = edit_conflict(found[1], base=wanted.base_replay_number) or refused_edit(found[0])
    if objection is not None:
        return refuse(objection)
    (replay,) = uow.replays.begin([dead_letter_id], run_id=run.run_id, principal=run.principal, now=context.now)
    uow.replays.edit((replay.dead_letter_id, replay.replay_number), body, reason=wanted.reason)
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
    return Reply(_GOES_ON, result, outbox=[message])
