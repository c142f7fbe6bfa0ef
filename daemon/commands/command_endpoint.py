"""The endpoint of commands: takes requests in and answers each one.

What only reads goes to the readers in small groups and waits for no write; what changes something shares transactions
(:mod:`daemon.commands.command_batcher`). A request whose reply subject is not allowed is counted and not executed: a
reply is published with the rights of the daemon.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

import anyio
import structlog
from anyio.abc import TaskGroup

from adapters.nats.service import IncomingRequest
from contracts import outgoing
from contracts.contract import Contract
from contracts.errors import ErrorCode, JsonValue, Problem, problem
from contracts.gate.commands import open_command, prove_command
from contracts.gate.delivery import Delivery
from contracts.gate.receipts import may_receive
from contracts.gate.rules import GateRules
from contracts.payloads.base import Payload
from contracts.subjects import Family
from daemon.commands.authorization import Authorization
from daemon.commands.command_batcher import ChangeQueue
from daemon.guarded_step import guarded_wait
from daemon.observability.metrics import Metrics
from daemon.observability.story_log import StoryLog
from handlers.commands.command import Command, Query, Reply, answer, refuse
from handlers.commands.command_batch import Changes
from handlers.effects import Context
from storage.engine.database import Database
from storage.engine.failures import StorageAway

if TYPE_CHECKING:
    from daemon.observability.traces import Traces

log = structlog.get_logger(__name__)

_READ_GROUP: Final = 16
_READ_LANES: Final = 2
_FAILED: Final = 400
_HEADERS_ROOM: Final = 1_024
_MOST_BYTES: Final = 16 * 1024 * 1024
"""Of all requests that are taken in and not answered; a single one may be larger."""


class Operation(Protocol):
    """A command that acts by itself, outside of one transaction, and leaves a record of its own."""

    async def __call__(self, command: Command) -> Reply: ...


class Refused(Protocol):
    """Learns of an operation that was refused before it could act."""

    async def __call__(self, contract: Contract, body: bytes, headers: Mapping[str, str], why: Problem) -> None: ...


class Replies(Protocol):
    """The way back (:class:`adapters.nats.service.CommandService`)."""

    async def reply(self, endpoint: str, subject: str, body: bytes, *, error: str | None, status: int) -> None: ...


@dataclass(frozen=True, slots=True)
class QueryRoute:
    """A command that only reads."""

    contract: Contract
    answer: Query


@dataclass(frozen=True, slots=True)
class ChangeRoute:
    """A command that changes something, in one transaction with others."""

    contract: Contract


@dataclass(frozen=True, slots=True)
class OperationRoute:
    """A command that acts by itself."""

    contract: Contract
    operate: Operation


@dataclass(frozen=True, slots=True)
class PreparedRoute:
    """A command that looks at the outside world before its transaction. It is no operation: no audit keeps it."""

    contract: Contract
    operate: Operation


Route: TypeAlias = PreparedRoute | QueryRoute | ChangeRoute | OperationRoute


@dataclass(frozen=True, slots=True)
class _Call:
    """A request on its way; ``started`` in seconds of the monotonic clock."""

    request: IncomingRequest
    started: float
    command: Command


@dataclass(frozen=True, slots=True)
class _Asked(_Call):
    answer: Query


class CommandEndpoint:
    """Answers the requests of one service, in a task group that the daemon owns."""

    def __init__(
        self,
        *,
        routes: Mapping[str, Route],
        guard: Authorization,
        rules: GateRules,
        database: Database,
        context: Callable[[], Context],
        metrics: Metrics,
        replies: Callable[[], Replies],
        changes: Changes,
        wake: Callable[[Iterable[str]], None],
        stories: StoryLog,
        refused: Refused | None = None,
        traces: "Traces | None" = None,
    ) -> None:
        self._routes = routes
        self._traces = traces
        self._stories = stories
        self._refused = refused
        self._guard = guard
        self._rules = rules
        self._database = database
        self._context = context
        self._metrics = metrics
        self._replies = replies
        self._durations: dict[tuple[str, int], Callable[[float], None]] = {}
        self._queries: deque[_Asked] = deque()
        self._asked = asyncio.Event()
        self._unanswered = 0
        self._in_hand_bytes = 0
        self._all_answered = asyncio.Event()
        self._all_answered.set()
        self._changing: ChangeQueue[_Call] = ChangeQueue(
            database=database,
            changes=changes,
            context=context,
            wake=wake,
            count=metrics.facts,
            answer=self._answer,
            unavailable=refuse(UNAVAILABLE),
            broken=self._broken,
        )
        self._tasks: TaskGroup | None = None

    def open(self, tasks: TaskGroup) -> None:
        """Start answering, in *tasks*."""
        self._tasks = tasks
        for _ in range(_READ_LANES):
            tasks.start_soon(self._answer_queries)
        tasks.start_soon(self._changing.run)

    async def finish(self) -> None:
        """Return when every question and every change that was taken in is answered; operations are waited for by
        nobody."""
        await self._changing.finish()
        await self._all_answered.wait()

    async def take(self, request: IncomingRequest) -> None:
        """Take one request in; it is answered here where it is refused, else later."""
        if not may_receive(request.reply_to, self._rules):
            self._metrics.commands_unanswerable.inc()
            return
        started = time.perf_counter()
        route = self._routes[request.endpoint]
        self._in_hand_bytes += len(request.body)
        if len(request.body) < self._in_hand_bytes > _MOST_BYTES:
            await self._reply(request, started, refuse(BUSY), None)
            return
        try:
            command = self._admit(request, route)
        except Exception:  # a reply always comes; the cause is logged
            log.exception("command_not_admitted", endpoint=request.endpoint)
            command = INTERNAL
        if self._traces is not None and not isinstance(command, Problem):
            self._traces.asked(id(request), command.name, command.trace_id, request.headers)
        if isinstance(command, Problem):
            await self._turn_away(request, started, route, command)
        elif isinstance(route, QueryRoute):
            self._ask(_Asked(request, started, command, route.answer))
        elif isinstance(route, ChangeRoute):
            self._changing.put(_Call(request, started, command))
        elif self._tasks is not None:
            self._tasks.start_soon(self._operate, _Call(request, started, command), route.operate)

    async def _turn_away(self, request: IncomingRequest, started: float, route: Route, why: Problem) -> None:
        """Answer what is refused; of operations there is a record before."""

        async def record_and_reply(refused: Refused) -> None:
            try:
                await refused(route.contract, request.body, request.headers, why)
            except Exception:  # a reply always comes
                log.exception("refusal_not_recorded", operation=route.contract.kind)
            await self._reply(request, started, refuse(why), why.trace_id)

        if isinstance(route, OperationRoute) and self._refused is not None and self._tasks is not None:
            self._tasks.start_soon(record_and_reply, self._refused)
        else:
            await self._reply(request, started, refuse(why), why.trace_id)

    def _admit(self, request: IncomingRequest, route: Route) -> Command | Problem:
        """Size, JSON, envelope, then who calls, then the payload."""
        context = self._context()
        now = context.now
        if (objection := self._guard.turn_away(request.headers, now)) is not None:
            return objection
        delivery = Delivery(request.endpoint, request.body, request.headers, "", 0, 1, now, "")
        opened = open_command(
            delivery, route.contract, self._rules, most_bytes=self._most_bytes(request, route, context)
        )
        if isinstance(opened, Problem):
            return opened
        principal = self._guard.admit(route.contract.kind, opened.payload, request.headers, now)
        if isinstance(principal, Problem):
            return principal.traced(opened.trace_id)
        proven = prove_command(opened, self._rules)
        if isinstance(proven, Problem):
            return proven
        if proven.adapted:
            self._metrics.count_adapted(proven)
        payload = proven.payload
        if not isinstance(payload, Payload):
            raise TypeError(f"{proven.kind} is no command")
        return Command(proven.kind, proven.message_id, proven.trace_id, payload, proven.payload_hash, principal)

    def _most_bytes(self, request: IncomingRequest, route: Route, context: Context) -> int:
        """A command of an operator may be as large as the server allows; of anybody else nothing so large is read."""
        is_operators = route.contract.family is Family.OPS and len(request.body) > self._rules.max_bytes
        if is_operators and self._guard.knows(request.headers, context.now):
            return max(self._rules.max_bytes, context.max_message_bytes)
        return self._rules.max_bytes

    def _ask(self, call: _Asked) -> None:
        self._queries.append(call)
        self._unanswered += 1
        self._all_answered.clear()
        self._asked.set()

    async def _answer_queries(self) -> None:
        while True:
            await self._asked.wait()
            group = [self._queries.popleft() for _ in range(min(_READ_GROUP, len(self._queries)))]
            if not self._queries:
                self._asked.clear()
            if group:
                await self._query(group)

    async def _query(self, group: Sequence[_Asked]) -> None:
        context = self._context()
        try:
            replies = await self._database.read(
                lambda uow: [answer(call.answer, call.command, uow, context) for call in group]
            )
        except StorageAway:
            replies = [refuse(UNAVAILABLE)] * len(group)
        except Exception as error:  # noqa: BLE001 - a reply always comes; the cause is logged
            if len(group) > 1:
                for call in group:
                    await self._query([call])
                return
            replies = [self._broken(group[0].command, error)]
        for call, reply in zip(group, replies, strict=True):
            await self._answer(call, reply)
            self._unanswered -= 1
        if not self._unanswered:
            self._all_answered.set()

    async def _operate(self, call: _Call, operate: Operation) -> None:
        try:
            reply = await operate(call.command)
        except asyncio.CancelledError:
            with anyio.CancelScope(shield=True):
                await self._answer(call, refuse(STOPPING))
            raise
        except StorageAway:
            reply = refuse(UNAVAILABLE)
        except Exception as error:  # noqa: BLE001 - a reply always comes; the cause is logged
            reply = self._broken(call.command, error)
        await self._answer(call, reply)

    async def _answer(self, call: _Call, reply: Reply) -> None:
        await self._reply(call.request, call.started, reply, call.command.trace_id)

    def _broken(self, command: Command, error: Exception) -> Reply:
        log.error("command_failed", command=command.name, trace_id=command.trace_id, exc_info=error)
        return refuse(INTERNAL)

    async def _reply(self, request: IncomingRequest, started: float, reply: Reply, trace_id: str | None) -> None:
        self._in_hand_bytes -= len(request.body)
        await guarded_wait("reply", partial(self._send_reply, request, started, reply, trace_id))

    async def _send_reply(self, request: IncomingRequest, started: float, reply: Reply, trace_id: str | None) -> None:
        context = self._context()
        try:
            body = self._body(reply, trace_id, context)
        except Exception:  # a reply always comes: one that cannot be written is a mistake of ours, told as such
            log.exception("reply_not_writable", endpoint=request.endpoint, trace_id=trace_id)
            reply = refuse(INTERNAL)
            body = self._body(reply, trace_id, context)
        if len(body) + _HEADERS_ROOM > context.max_message_bytes:
            log.error("reply_too_large", endpoint=request.endpoint, bytes=len(body), trace_id=trace_id)
            reply = refuse(TOO_LARGE)
            body = self._body(reply, trace_id, context)
        failure = _failure(reply)
        if reply.problem is not None:
            self._tell_refusal(request, reply.problem, trace_id)
        await self._replies().reply(request.endpoint, request.reply_to, body, error=failure, status=reply.status)
        if self._traces is not None:
            self._traces.answered(id(request), reply.status)
        self._duration(request.endpoint, reply.status)(time.perf_counter() - started)

    def _duration(self, endpoint: str, status: int) -> Callable[[float], None]:
        """Takes how long such a reply took. Looking a series up by its labels costs several times as much."""
        observe = self._durations.get((endpoint, status))
        if observe is None:
            series = self._metrics.command_seconds.labels(self._routes[endpoint].contract.kind, str(status))
            observe = self._durations[endpoint, status] = series.observe
        return observe

    def _tell_refusal(self, request: IncomingRequest, why: Problem, trace_id: str | None) -> None:
        facts: dict[str, JsonValue] = {"code": str(why.code), "command": self._routes[request.endpoint].contract.kind}
        self._stories.refusal("command_refused", facts if trace_id is None else {**facts, "trace_id": trace_id})

    def _body(self, reply: Reply, trace_id: str | None, context: Context) -> bytes:
        message_id = context.new_id()
        return outgoing.reply(
            status=reply.status,
            result=reply.result,
            error=reply.problem,
            replayed=reply.replayed,
            message_id=message_id,
            trace_id=outgoing.trace_or(trace_id, message_id),
            now=context.now,
        )


def _failure(reply: Reply) -> str | None:
    """What the service headers say of a reply that is no success; nothing of the payload."""
    if reply.problem is not None:
        return f"{reply.problem.code}: {reply.problem.message}"
    return str(ErrorCode.UNAVAILABLE) if reply.status >= _FAILED else None


BUSY: Final = problem(ErrorCode.UNAVAILABLE, "too many bytes of commands are in hand; try again")
UNAVAILABLE: Final = problem(ErrorCode.UNAVAILABLE, "storage is away; try again")
STOPPING: Final = problem(ErrorCode.UNAVAILABLE, "the daemon is stopping; try again")
TOO_LARGE: Final = problem(ErrorCode.INTERNAL_ERROR, "the answer is larger than the server's max_payload")
INTERNAL: Final = problem(ErrorCode.INTERNAL_ERROR, "the command could not be carried out")
