"""Work on a database that goes through, or is refused."""

from collections.abc import Callable

from sqlalchemy import insert, text

from domain.ledger.changes import PerformanceCount
from storage.engine.database import Database
from storage.journal.inbox import InboxKey
from storage.tables.journal import inbox
from storage.unit_of_work import UnitOfWork

ONE = [InboxKey("k", "a", "hash")]


async def works(database: Database) -> bool:
    """Whether a write goes through, and leaves no trace."""

    def claim(uow: UnitOfWork) -> bool:
        uow.inbox.claim([InboxKey("k", "probe", "hash")], now=1)
        uow.inbox.release([("k", "probe")])
        return True

    return await database.write(claim)


def execute(statement: str, **parameters: object) -> Callable[[UnitOfWork], None]:
    def run(uow: UnitOfWork) -> None:
        uow.connection.execute(text(statement), parameters)

    return run


def insert_inbox(**values: object) -> Callable[[UnitOfWork], None]:
    row = {"kind": "k", "message_id": "a", "payload_hash": "hash", "received_at": 1} | values

    def run(uow: UnitOfWork) -> None:
        uow.connection.execute(insert(inbox), row)

    return run


def twice(work: Callable[[UnitOfWork], None]) -> Callable[[UnitOfWork], None]:
    def run(uow: UnitOfWork) -> None:
        work(uow)
        work(uow)

    return run


def counts(**values: object) -> Callable[[UnitOfWork], None]:
    row = {"day": "2026-11-20", "agent": "a", "model": "m", "bucket": 1, "requests": 1, "errors": 0} | values

    def run(uow: UnitOfWork) -> None:
        uow.performance.add([PerformanceCount(**row)])  # type: ignore[arg-type]  # wrong on purpose

    return run
