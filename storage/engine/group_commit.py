"""Group commit: units of work that queued while the last transaction ran share the next one, and its sync.

Each is a savepoint of its own: one that fails leaves no trace and does not touch its neighbours.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection

from storage.engine.failures import StorageAway
from storage.engine.sqlite_connection import Transactions, without_words
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")

_MOST_TOGETHER: Final = 16


class _Request(Generic[T]):
    """A unit of work that waits for the writer."""

    def __init__(self, work: Callable[[UnitOfWork], T]) -> None:
        self._work = work
        self._result: T
        self._unit: UnitOfWork | None = None
        self._error: Exception | None = None
        self.is_done = False
        self.is_dropped = False

    def carry_out(self, connection: Connection) -> None:
        """Run the work, alone in its transaction."""
        self._unit = UnitOfWork(connection)
        self._result = self._work(self._unit)

    def carry_out_among_others(self, connection: Connection) -> None:
        """Run the work so that what it changed is gone where it fails. Raises what ends the whole transaction."""
        connection.exec_driver_sql("SAVEPOINT unit")
        try:
            self.carry_out(connection)
        except (StorageAway, MemoryError):
            raise
        except Exception as error:  # noqa: BLE001 - raised to the caller of the work
            connection.exec_driver_sql("ROLLBACK TO unit")
            self._error = without_words(error)
        connection.exec_driver_sql("RELEASE unit")

    def end(self, error: Exception | None = None) -> None:
        """The transaction that the work was part of is durable, or failed with *error*."""
        self._error = error or self._error
        if self._error is None and self._unit is not None:
            self._unit.committed()
        self.is_done = True

    def result(self) -> T:
        """What the work answered, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class GroupCommit:
    """The writer of one connection.

    For each unit of work one call is handed to the connection's thread. The first that runs takes along what queued by
    then; a call whose unit went with an earlier group returns at once. Both queues keep one order, so a call finds its
    unit in front or done.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._queue: deque[_Request[Any]] = deque()

    async def run(self, work: Callable[[UnitOfWork], T]) -> T:
        """Run *work*; durable when this returns. A unit whose caller is cancelled before it began is dropped."""
        request = _Request(work)
        self._queue.append(request)
        try:
            await self._transactions.connection.run(partial(self._commit_with, request))
        except asyncio.CancelledError:
            request.is_dropped = True
            raise
        return request.result()

    async def close(self) -> None:
        await self._transactions.connection.close()

    def _commit_with(self, request: _Request[Any], connection: Connection) -> None:
        """In the connection's thread: commit *request* and what else waits."""
        if request.is_done:
            return
        taken = [self._queue.popleft() for _ in range(min(_MOST_TOGETHER, len(self._queue)))]
        group = [each for each in taken if not each.is_dropped]
        error: Exception | None = None
        try:
            if group:
                self._transactions.transaction(connection, partial(_carry_out, group))
        except Exception as raised:  # noqa: BLE001 - raised to all who wait for the transaction
            error = raised
        for each in taken:
            each.end(error)


def _carry_out(group: Sequence[_Request[Any]], connection: Connection) -> None:
    if len(group) == 1:
        group[0].carry_out(connection)
        return
    for request in group:
        request.carry_out_among_others(connection)
