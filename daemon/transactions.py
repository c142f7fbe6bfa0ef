"""What to do about a transaction that fails: one policy for everything that writes in the background.

::

    StorageConflict   two daemons met: the whole of it again, after a moment
    StorageAway       again, for as long as storage is away, or until the caller has had enough
    anything else     the data or our own code caused it: the group is halved until the culprit stands alone

:func:`committed` has the first two, :func:`isolated` the third. Time between two tries doubles, with jitter.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import structlog

from domain.backoff import Backoff
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")
R = TypeVar("R")

log = structlog.get_logger(__name__)

chance: Final[Callable[[], float]] = random.random
"""The source of all jitter in the daemon; it guards no secret."""


@dataclass(frozen=True, slots=True)
class Repeats:
    """How a transaction is tried again. *conflicts*: how often after a conflict, without end where None."""

    first_s: float = 0.05
    most_s: float = 5.0
    conflicts: int | None = None
    waits_for_storage: bool = True


PATIENT: Final = Repeats()
"""For what can wait: as often as it takes."""
ANSWERED: Final = Repeats(first_s=0.005, most_s=0.2, conflicts=20, waits_for_storage=False)
"""For what somebody waits for: storage that is away is the answer."""


class WhileAway(Protocol):
    """Waits *delay_s* because of *error*; false where the transaction is not to be tried again."""

    async def __call__(self, error: StorageAway, delay_s: float, /) -> bool: ...


async def committed(
    database: Database,
    work: Callable[[UnitOfWork], T],
    *,
    repeats: Repeats = PATIENT,
    reading: bool = False,
    commit_delay_s: float = 0.0,
    while_away: WhileAway | None = None,
) -> T:
    """One transaction, sooner or later. Raises what neither waiting nor repeating can mend, and :class:`StorageAway`
    where *repeats* or *while_away* have had enough."""
    backoff = Backoff(repeats.first_s, repeats.most_s, chance)
    conflicts = 0
    while True:
        try:
            return await (database.read(work) if reading else database.write(work, commit_delay_s=commit_delay_s))
        except StorageConflict as error:
            conflicts += 1
            if repeats.conflicts is not None and conflicts > repeats.conflicts:
                raise StorageAway("other daemons kept changing the same things") from error
            log.info("storage_conflict", reason=str(error))
            await asyncio.sleep(backoff.next_delay_s())
        except StorageAway as error:
            if not repeats.waits_for_storage or not await (while_away or _wait)(error, backoff.next_delay_s()):
                raise


async def _wait(error: StorageAway, delay_s: float) -> bool:
    log.warning("storage_away", reason=str(error))
    await asyncio.sleep(delay_s)
    return True


@dataclass(frozen=True, slots=True)
class Done(Generic[T, R]):
    """A part of a group that is committed, and what that came to."""

    part: Sequence[T]
    result: R


@dataclass(frozen=True, slots=True)
class Poison(Generic[T]):
    """The one member that cannot be committed, and why."""

    member: T
    cause: Exception


Outcome: TypeAlias = Done[T, R] | Poison[T]


async def isolated(
    group: Sequence[T],
    commit: Callable[[Sequence[T]], Awaitable[R]],
    *,
    passing: tuple[type[Exception], ...] = (),
) -> AsyncIterator[Outcome[T, R]]:
    """Commit *group*, halving it around what makes it fail; what became of its parts, in their order.

    *passing* are failures that are nobody's in the group: they are raised as they are.
    """
    waiting = [group]
    while waiting:
        part = waiting.pop()
        try:
            result = await commit(part)
        except passing:
            raise
        except Exception as cause:  # noqa: BLE001 - whatever the data or our own code raises, the others go on
            if len(part) > 1:
                middle = len(part) // 2
                waiting += [part[middle:], part[:middle]]
                continue
            outcome: Outcome[T, R] = Poison(part[0], cause)
        else:
            outcome = Done(part, result)
        yield outcome
