"""The database as the rest of headgate knows it: two verbs, each taking a function that is one transaction."""

from collections.abc import Callable
from typing import Protocol, TypeVar

from storage.unit_of_work import UnitOfWork

T = TypeVar("T")


class Database(Protocol):
    """A place to remember things. Both raise what :mod:`storage.engine.failures` names, or what *work* raised."""

    @property
    def dialect(self) -> str:
        """``sqlite`` or ``postgresql``."""
        ...

    @property
    def keeps_order(self) -> bool:
        """Whether what is to be written goes one after the other, in the order in which it was handed over."""
        ...

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:
        """Run *work* in one transaction: durable when this returns, without a trace when it raises.

        It may be run once more where another unit of work fails that shares the transaction. With *commit_delay_s* it
        waits so long for another to share its transaction with, where others come: one of its own costs a sync to the
        disk.
        """
        ...

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run *work* on one consistent snapshot of what is committed. It waits for no writer."""
        ...

    def wait_briefly(self) -> None:
        """The daemon stops: what another program holds is waited for no longer than about a second from now on."""
        ...

    async def close(self) -> None:
        """Finish what runs and let the connections go. Closing twice is fine."""
        ...
