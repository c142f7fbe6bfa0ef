"""What a command handler is given and answers."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from pydantic import BaseModel

from contracts.errors import ErrorCode, JsonValue, Problem, problem
from contracts.principals import Principal
from handlers.effects import Context, Fact
from storage.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork


@dataclass(frozen=True, slots=True)
class Command:
    """A command that is proven, and who gives it."""

    name: str
    message_id: str
    trace_id: str
    payload: BaseModel
    payload_hash: str
    principal: Principal


@dataclass(frozen=True, slots=True)
class Reply:
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


# The same bytes for what is absent and what is another owner's.
NOT_FOUND = problem(ErrorCode.RESOURCE_NOT_FOUND, "there is no such resource")
