"""Commands that change something: all that queued while the last transaction ran, in one transaction.

Each command is decided in its turn, on what the ones before it left; what they need is loaded for all of them at once
and what they changed is written at once. A command that took effect is remembered with its answer in the transaction of
its effect: a repetition, in this batch or a year later, gets that answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, TypeVar

from contracts.errors import ErrorCode, Refusal, problem
from handlers.commands.command import Command, Reply, refuse
from handlers.effects import Context, Fact
from storage.journal.command_log import CommandKey, FirstAnswer
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork

_OK: Final = 200


class Aggregates(Protocol):
    """Things of one sort while a transaction's commands decide on them: each is there once, as the last decision left
    it."""

    def __init__(self, batch: "CommandBatch") -> None: ...

    def load(self) -> None:
        """Read all that is wanted, in one go."""
        ...

    def write(self) -> None:
        """Write all that was decided, and add the messages that tell of it to the batch."""
        ...


B = TypeVar("B", bound=Aggregates)


class CommandBatch:
    """What the commands of one transaction share."""

    def __init__(self, uow: UnitOfWork, context: Context) -> None:
        self.uow: Final = uow
        self.context: Final = context
        self.outbox: Final[list[OutboxMessage]] = []
        self.facts: Final[list[Fact]] = []
        self.lanes: Final[set[str]] = set()
        self._aggregates: Final[dict[type[Aggregates], Aggregates]] = {}

    def aggregates(self, kind: type[B]) -> B:
        """The one set of its kind."""
        known = self._aggregates.get(kind)
        if not isinstance(known, kind):
            known = self._aggregates[kind] = kind(self)
        return known

    def load(self) -> None:
        """Read what all commands want. In one order of aggregates, so that two daemons never wait in a circle."""
        for kind in sorted(self._aggregates, key=lambda kind: kind.__name__):
            self._aggregates[kind].load()

    def write(self) -> None:
        """Write what was decided. The aggregates are dropped afterwards: they and the batch refer to each other, and
        would stay in memory until the garbage collector runs."""
        for aggregates in self._aggregates.values():
            aggregates.write()
        self._aggregates.clear()


@dataclass(frozen=True, slots=True)
class ChangeHandler:
    """One command: what it wants to be loaded, and its decision once that is there."""

    wants: Callable[[Command, CommandBatch], None]
    decide: Callable[[Command, CommandBatch], Reply]


Changes: TypeAlias = Mapping[str, ChangeHandler]
"""Command -> how it is carried out."""


@dataclass(frozen=True, slots=True)
class ExecutedBatch:
    """What one committed batch of commands came to: a reply for each, in order."""

    replies: Sequence[Reply]
    facts: Sequence[Fact]
    lanes: frozenset[str]


def execute_commands(commands: Sequence[Command], uow: UnitOfWork, context: Context, changes: Changes) -> ExecutedBatch:
    """Decide and write *commands* inside the caller's transaction.

    Nothing in memory may change here: the transaction can still fail. Raises whatever a decision or the database
    raises; the caller then rolls back and halves, waits or repeats.
    """
    known = uow.command_log.find_all(sorted({_key(command) for command in commands}))
    batch = CommandBatch(uow, context)
    for command in commands:
        if _key(command) not in known:
            changes[command.name].wants(command, batch)
    batch.load()
    fresh: dict[CommandKey, FirstAnswer] = {}
    replies: list[Reply] = []
    for command in commands:
        key = _key(command)
        replies.append(_reply(command, known.get(key) or fresh.get(key), batch, changes, fresh))
    batch.write()
    uow.outbox.add(batch.outbox, owner=context.daemon_id, now=context.now)
    uow.command_log.remember_all(fresh, now=context.now)
    return ExecutedBatch(replies, batch.facts, frozenset(batch.lanes.union(message.lane for message in batch.outbox)))


def _reply(
    command: Command,
    first: FirstAnswer | None,
    batch: CommandBatch,
    changes: Changes,
    fresh: dict[CommandKey, FirstAnswer],
) -> Reply:
    """The first answer again where there is one; else the decision, which is remembered where it took effect."""
    if first is not None:
        if first.payload_hash != command.payload_hash:
            return refuse(CONFLICT)
        return Reply(_OK, first.result, replayed=True)
    try:
        reply = changes[command.name].decide(command, batch)
    except Refusal as refusal:
        return refuse(refusal.problem)
    if reply.problem is None:
        fresh[_key(command)] = FirstAnswer(command.payload_hash, reply.status, reply.result)
    return reply


def _key(command: Command) -> CommandKey:
    return CommandKey(command.principal.owner, command.name, command.message_id)


# It says nothing of the first command: a caller who guesses an id learns only that it is taken.
CONFLICT: Final = problem(ErrorCode.IDEMPOTENCY_CONFLICT, "this message_id was used with another payload")
