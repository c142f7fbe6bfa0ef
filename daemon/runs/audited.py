"""What every operation has around it: its record, and the first answer again where the same request comes again."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Protocol

import structlog
from msgspec.structs import replace

from contracts.errors import ErrorCode, JsonObject, JsonValue, Problem, Refusal, problem
from daemon.runs.audit import OpsAudit, action_of
from domain.access import is_look
from handlers.commands.command import Command, Query, Reply, answer, refuse
from handlers.effects import Context
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict
from storage.journal.command_log import FirstAnswer
from storage.journal.ops_runs import NewRun
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_OK: Final = 200
GOES_ON: Final = 202
"""An operation that answers so goes on in the daemon and ends its run itself."""


class Operate(Protocol):
    """What an operation does; its run is begun already. May raise :class:`Refusal`."""

    async def __call__(self, command: Command, run: NewRun) -> Reply: ...


@dataclass(frozen=True, slots=True)
class RequestKey:
    """What makes a request the same request."""

    caller: str
    command: str
    message_id: str

    @classmethod
    def of(cls, command: Command) -> "RequestKey":
        return cls(command.principal.owner, command.name, command.message_id)


class AuditedOperation:
    """An operation with its record. What changes something is carried out once, however often the request comes."""

    def __init__(self, operate: Operate, audit: OpsAudit, database: Database) -> None:
        self._operate = operate
        self._audit = audit
        self._database = database
        self._turns = _Turns()

    async def __call__(self, command: Command) -> Reply:
        run = self._audit.new_run(command)
        if not self._audit.keeps(command):
            return await self._look(command, run)
        if is_look(command.name, action_of(command)):
            await self._database.write(lambda uow: uow.ops_runs.start(run))
            return await self._carry_out(command, run)
        async with self._turns.of(RequestKey.of(command)):
            first = await self._database.write(lambda uow: _begin(uow, run, command))
            if first is not None:
                return await self._answer_again(command, run, first)
            reply = await self._carry_out(command, run)
            if reply.problem is None:
                _tell(command, run, reply)
                await self._remember(command, reply)
            return reply

    async def _look(self, command: Command, run: NewRun) -> Reply:
        """Answer what leaves no row, unless it is refused."""
        reply = await self._reply(command, run)
        if reply.problem is not None:
            await self._audit.record(run, error=reply.problem.traced(command.trace_id).as_json())
        return _with_run_id(reply, None)

    async def _reply(self, command: Command, run: NewRun) -> Reply:
        try:
            return await self._operate(command, run)
        except Refusal as refusal:
            return refuse(refusal.problem)
        except StorageAway:
            raise
        except Exception:  # a reply always comes
            log.exception("operation_failed", operation=run.operation, run_id=run.run_id, trace_id=command.trace_id)
            return refuse(BROKEN)

    async def _carry_out(self, command: Command, run: NewRun) -> Reply:
        """Operate, and end the run unless it goes on."""
        try:
            reply = await self._reply(command, run)
        except StorageAway:
            await self._audit.end(run, error=_STORAGE_AWAY.traced(command.trace_id).as_json())
            raise
        if reply.problem is not None:
            await self._audit.end(run, error=reply.problem.traced(command.trace_id).as_json())
        elif reply.status != GOES_ON:
            await self._audit.end(run, result=_recorded(reply.result))
        return _with_run_id(reply, run.run_id)

    async def _answer_again(self, command: Command, run: NewRun, first: FirstAnswer) -> Reply:
        if first.payload_hash != command.payload_hash:
            await self._audit.end(run, error=CONFLICT.traced(command.trace_id).as_json())
            return refuse(CONFLICT)
        await self._audit.end(run, result={"replayed": True})
        return Reply(_OK, first.result, replayed=True)

    async def _remember(self, command: Command, reply: Reply) -> None:
        first = FirstAnswer(command.payload_hash, reply.status, reply.result)
        key = RequestKey.of(command)
        try:
            await self._database.write(
                lambda uow: uow.command_log.remember(
                    first, caller=key.caller, command=key.command, message_id=key.message_id, now=self._audit.now()
                )
            )
        except (StorageAway, StorageConflict) as error:
            # What was done is done and recorded; only its repetition would not be known.
            log.warning("answer_not_remembered", operation=command.name, reason=str(error))


class AuditedQuery:
    """An operation that only reads, from one snapshot."""

    def __init__(self, query: Query, database: Database, context: Callable[[], Context]) -> None:
        self._query = query
        self._database = database
        self._context = context

    async def __call__(self, command: Command, run: NewRun) -> Reply:  # noqa: ARG002 - the shape of an operation
        context = self._context()
        return await self._database.read(lambda uow: answer(self._query, command, uow, context))


class _Turns:
    """Requests with one key one after the other."""

    def __init__(self) -> None:
        self._held: dict[RequestKey, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def of(self, key: RequestKey) -> AsyncIterator[None]:
        lock, waiting = self._held.get(key, (asyncio.Lock(), 0))
        self._held[key] = (lock, waiting + 1)
        try:
            async with lock:
                yield
        finally:
            lock, waiting = self._held.pop(key)
            if waiting > 1:
                self._held[key] = (lock, waiting - 1)


def _tell(command: Command, run: NewRun, reply: Reply) -> None:
    """A line for each act; what it was refused for is told where it is answered."""
    action = action_of(command)
    log.info(
        "operation",
        operation=command.name,
        **({} if action is None else {"action": str(action)}),
        run_id=run.run_id,
        principal=run.principal,
        trace_id=command.trace_id,
        goes_on=reply.status == GOES_ON,
    )


def _begin(uow: UnitOfWork, run: NewRun, command: Command) -> FirstAnswer | None:
    uow.ops_runs.start(run)
    key = RequestKey.of(command)
    return uow.command_log.find(caller=key.caller, command=key.command, message_id=key.message_id)


def _recorded(result: JsonValue) -> JsonValue:
    """The result as the run keeps it: a list that was asked for is not kept once more, only how long it was."""
    if not isinstance(result, dict) or not isinstance(items := result.get("items"), list):
        return None if _is_content(result) else result
    kept: JsonObject = {name: value for name, value in result.items() if name not in {"items", "next_cursor"}}
    return kept | {"items": len(items)}


def _is_content(result: JsonValue) -> bool:
    return isinstance(result, dict) and "body" in result


def _with_run_id(reply: Reply, run_id: str | None) -> Reply:
    if reply.problem is not None or not isinstance(reply.result, dict):
        return reply
    return replace(reply, result={"run_id": run_id, **reply.result})


# It says nothing of the first request: a caller who guesses a key learns only that it is taken.
CONFLICT: Final[Problem] = problem(ErrorCode.IDEMPOTENCY_CONFLICT, "this message_id was used with another payload")
BROKEN: Final[Problem] = problem(ErrorCode.INTERNAL_ERROR, "the operation could not be carried out")
_STORAGE_AWAY: Final[Problem] = problem(ErrorCode.UNAVAILABLE, "storage is away; try again")
