"""What a command handler is given and answers."""

from collections.abc import Sequence
from typing import Protocol, TypeVar

from msgspec import Struct, field
from pydantic import BaseModel

from contracts.errors import JsonValue, Problem, Refusal
from contracts.values.principals import Principal
from domain.access import NOT_FOUND
from handlers.effects import Context, Fact
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork

__all__ = ["NOT_FOUND", "Command", "Query", "Reply", "answer", "ok", "payload_of", "refuse"]

M = TypeVar("M", bound=BaseModel)


class Command(Struct, frozen=True):
    """A command that is proven, and who gives it."""

    name: str
    message_id: str
    trace_id: str
    payload: BaseModel
    payload_hash: str
    principal: Principal


class Reply(Struct, frozen=True):
    """The answer: a status with a result, or a problem."""

    status: int
    result: JsonValue = None
    problem: Problem | None = None
    replayed: bool = False
    outbox: Sequence[OutboxMessage] = field(default=())
    facts: Sequence[Fact] = field(default=())


class Query(Protocol):
    """Answers a command that changes nothing, from one snapshot."""

    def __call__(self, command: Command, uow: UnitOfWork, context: Context) -> Reply: ...


def ok(result: JsonValue) -> Reply:
    return Reply(200, result)


def refuse(why: Problem) -> Reply:
    return Reply(why.status, problem=why)


def payload_of(command: Command, model: type[M]) -> M:
    """The payload as the model that the registry ties to the command."""
    payload = command.payload
    assert isinstance(payload, model)  # noqa: S101 - the registry ties the model to the command
    return payload


def answer(query: Query, command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """What *query* answers; what it refuses by raising, as a reply."""
    try:
        return query(command, uow, context)
    except Refusal as refusal:
        return refuse(refusal.problem)
