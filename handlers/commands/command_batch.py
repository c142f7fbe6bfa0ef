"""Commands that change something: all that queued while the last transaction ran, in one transaction.

Each command is decided in its turn, on what the ones before it left; what they need is loaded for all of them at once
and what they changed is written at once. A command that took effect is remembered with its answer in the transaction of
its effect: whoever repeats it, in this batch or a year later, gets that answer.
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


class Board(Protocol):
    """Things of one sort while a transaction's commands decide on them: each is there once, as the last decision left
    it."""

    def __init__(self, desk: "Desk") -> None: ...

    def load(self) -> None:
        """Read all that is wanted, in one go."""
        ...

    def write(self) -> None:
        """Write all that was decided, and put what is to be told on the desk."""
        ...


B = TypeVar("B", bound=Board)


class Desk:
    """What the commands of one transaction share."""

    def __init__(self, uow: UnitOfWork, context: Context) -> None:
        self.uow: Final = uow
        self.context: Final = context
        self.outbox: Final[list[OutboxMessage]] = []
        self.facts: Final[list[Fact]] = []
        self.lanes: Final[set[str]] = set()
        self._boards: Final[dict[type[Board], Board]] = {}

    def board(self, kind: type[B]) -> B:
        """The one board of its kind."""
        known = self._boards.get(kind)
        if not isinstance(known, kind):
            known = self._boards[kind] = kind(self)
        return known

    def load(self) -> None:
        """Read what all commands want. In one order of boards, so that two daemons never wait in a circle."""
        for kind in sorted(self._boards, key=lambda kind: kind.__name__):
            self._boards[kind].load()

    def write(self) -> None:
        """Have the boards write. They are let go of: a desk and its boards know each other, and all that is on them
        would wait for the collector."""
        for board in self._boards.values():
            board.write()
        self._boards.clear()


@dataclass(frozen=True, slots=True)
class Change:
    """One command: what it wants to be loaded, and its decision once that is there."""

    wants: Callable[[Command, Desk], None]
    decide: Callable[[Command, Desk], Reply]


Changes: TypeAlias = Mapping[str, Change]
"""Command -> how it is carried out."""


@dataclass(frozen=True, slots=True)
class CarriedOut:
    """What one committed batch of commands came to: a reply for each, in order."""

    replies: Sequence[Reply]
    facts: Sequence[Fact]
    lanes: frozenset[str]


def carry_out(commands: Sequence[Command], uow: UnitOfWork, context: Context, changes: Changes) -> CarriedOut:
    """Decide and write *commands* inside the caller's transaction.

    Nothing in memory may change here: the transaction can still fail. Raises whatever a decision or the database
    raises; the caller then rolls back and halves, waits or repeats.
    """
    known = uow.command_log.find_all(sorted({_key(command) for command in commands}))
    desk = Desk(uow, context)
    for command in commands:
        if _key(command) not in known:
            changes[command.name].wants(command, desk)
    desk.load()
    fresh: dict[CommandKey, FirstAnswer] = {}
    replies: list[Reply] = []
    for command in commands:
        key = _key(command)
        replies.append(_reply(command, known.get(key) or fresh.get(key), desk, changes, fresh))
    desk.write()
    uow.outbox.add(desk.outbox, owner=context.daemon_id, now=context.now)
    uow.command_log.remember_all(fresh, now=context.now)
    return CarriedOut(replies, desk.facts, frozenset(desk.lanes.union(message.lane for message in desk.outbox)))


def _reply(
    command: Command, first: FirstAnswer | None, desk: Desk, changes: Changes, fresh: dict[CommandKey, FirstAnswer]
) -> Reply:
    """The first answer again where there is one; else the decision, which is remembered where it took effect."""
    if first is not None:
        if first.payload_hash != command.payload_hash:
            return refuse(CONFLICT)
        return Reply(_OK, first.result, replayed=True)
    try:
        reply = changes[command.name].decide(command, desk)
    except Refusal as refusal:
        return refuse(refusal.problem)
    if reply.problem is None:
        fresh[_key(command)] = FirstAnswer(command.payload_hash, reply.status, reply.result)
    return reply


def _key(command: Command) -> CommandKey:
    return CommandKey(command.principal.owner, command.name, command.message_id)


# It says nothing of the first command: whoever guesses an id learns only that it is taken.
CONFLICT: Final = problem(ErrorCode.IDEMPOTENCY_CONFLICT, "this message_id was used with another payload")
