"""Group commit: units of work that queued while the last transaction ran share the next one, and its sync.

One that fails leaves no trace and does not touch its neighbours: the transaction is rolled back and made once more,
each unit in a savepoint of its own, which costs two statements a unit and is hardly ever needed. One with a
commit delay waits so long for siblings to share a transaction with, where such come: PostgreSQL's ``commit_delay``.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Generic, TypeVar

from sqlalchemy import Connection

from storage.engine.failures import StorageAway, is_exhausted
from storage.engine.sqlite.connection import Transactions, without_words
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")

_MOST_TOGETHER: Final = 16
_SIBLINGS_S: Final = 0.1
"""How long after a unit without a delay another is to be expected: else nobody waits for it."""


class _Request(Generic[T]):
    """A unit of work that waits for the writer."""

    def __init__(self, work: Callable[[UnitOfWork], T]) -> None:
        self._work = work
        self._result: T
        self._unit: UnitOfWork | None = None
        self._error: Exception | None = None
        self.is_done = False
        self.is_dropped = False
        self._committed_by_another = asyncio.Event()

    def carry_out(self, connection: Connection) -> None:
        """Run the work in a transaction that ends where it fails."""
        self._unit = UnitOfWork(connection)
        self._result = self._work(self._unit)

    def carry_out_among_others(self, connection: Connection) -> None:
        """Run the work so that what it changed is gone where it fails. Raises what ends the transaction anyway."""
        connection.exec_driver_sql("SAVEPOINT unit")
        try:
            self.carry_out(connection)
        except StorageAway:
            raise
        except Exception as error:  # raised to the caller of the work
            if is_exhausted(error):
                raise
            connection.exec_driver_sql("ROLLBACK TO unit")
            self._error = without_words(error)
        connection.exec_driver_sql("RELEASE unit")

    def end(self, error: Exception | None = None) -> None:
        """The transaction that the work was part of is durable, or failed with *error*."""
        self._error = error or self._error
        if self._error is None and self._unit is not None:
            self._unit.committed()
        self.is_done = True

    async def wait_for_siblings(self, commit_delay_s: float) -> None:
        """Return when it is done, or when it has waited long enough."""
        with suppress(TimeoutError):
            async with asyncio.timeout(commit_delay_s):
                await self._committed_by_another.wait()

    def tell(self) -> None:
        """It is done: in the loop, to whoever waits for that."""
        self._committed_by_another.set()

    def result(self) -> T:
        """What the work answered, or raise what it raised."""
        if self._error is not None:
            raise self._error
        return self._result


class GroupCommit:
    """The writer of one connection.

    For each unit of work one call is handed to the connection's thread. The first that runs takes along what queued by
    then; a call whose unit went with an earlier group returns at once. Both queues keep one order, so a call finds its
    unit done, or behind nothing but delayed ones: those come without a call, for as long as their delay lasts.
    """

    def __init__(self, transactions: Transactions) -> None:
        self._transactions = transactions
        self._queue: deque[_Request[Any]] = deque()
        self._siblings_until = -math.inf

    async def run(self, work: Callable[[UnitOfWork], T], commit_delay_s: float = 0.0) -> T:
        """Run *work*; durable when this returns. A unit whose caller is cancelled before it began is dropped."""
        request = _Request(work)
        self._queue.append(request)
        try:
            now = time.monotonic()
            if commit_delay_s <= 0:
                self._siblings_until = now + _SIBLINGS_S
            elif now < self._siblings_until:
                await request.wait_for_siblings(commit_delay_s)
            if not request.is_done:
                await self._commit(request)
        except asyncio.CancelledError:
            request.is_dropped = True
            raise
        return request.result()

    async def close(self) -> None:
        """Close the connection after all that is in the queue."""
        while self._queue:
            await self._commit(self._queue[-1])
        await self._transactions.connection.close()

    async def _commit(self, request: _Request[Any]) -> None:
        for each in await self._transactions.connection.run(partial(self._commit_with, request)):
            each.tell()

    def _commit_with(self, request: _Request[Any], connection: Connection) -> Sequence[_Request[Any]]:
        """In the connection's thread: commit *request* and what else waits; those that are done by that."""
        done: list[_Request[Any]] = []
        while not request.is_done:
            done += self._commit_next(connection)
        return done

    def _commit_next(self, connection: Connection) -> Sequence[_Request[Any]]:
        taken = [self._queue.popleft() for _ in range(min(_MOST_TOGETHER, len(self._queue)))]
        group = [each for each in taken if not each.is_dropped]
        error: Exception | None = None
        try:
            if group:
                self._transaction(connection, group)
        except Exception as raised:  # noqa: BLE001 - raised to all who wait for the transaction
            error = raised
        for each in taken:
            each.end(error)
        return taken

    def _transaction(self, connection: Connection, group: Sequence[_Request[Any]]) -> None:
        try:
            self._transactions.transaction(connection, partial(_carry_out, group))
        except StorageAway:
            raise
        except Exception as error:
            if len(group) == 1 or is_exhausted(error):
                raise
            self._transactions.transaction(connection, partial(_carry_out_apart, group))


def _carry_out(group: Sequence[_Request[Any]], connection: Connection) -> None:
    for request in group:
        request.carry_out(connection)


def _carry_out_apart(group: Sequence[_Request[Any]], connection: Connection) -> None:
    for request in group:
        request.carry_out_among_others(connection)
