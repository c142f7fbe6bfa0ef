"""What can go wrong with the database, sorted by what the caller should do about it.

::

    StorageError
    ├── StorageAway      nobody's message is to blame: wait and try again, acknowledge nothing
    ├── StorageConflict  two daemons met: repeat the whole unit of work at once
    ├── DataRefused      the data (or our own code) caused it: the batch is halved until the culprit stands alone
    └── StorageUnusable  the database cannot be used as it is: an operator has to put it right

No message repeats a value that was to be stored: it may be a secret, and errors are logged.

What PostgreSQL's driver raises is read in :mod:`storage.engine.postgres.failures`.
"""

import errno
import re
import sqlite3
from collections.abc import Callable
from typing import Final, TypeAlias

from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from storage.tables import metadata


class StorageError(Exception):
    """Base of everything the database layer raises by intention."""


class StorageAway(StorageError):
    """Storage cannot work now: locked, full, I/O error, lost connection, out of memory."""


class StorageConflict(StorageError):
    """A deadlock or serialization failure between daemons."""


class DataRefused(StorageError):
    """The database refused this data: constraint, range, encoding."""


class StorageUnusable(StorageError):
    """The database is not one that headgate can start on. The message is one line for an operator."""


# Primary result codes (the low byte of an extended code): https://www.sqlite.org/rescode.html
_SQLITE_AWAY: Final = frozenset(
    {
        sqlite3.SQLITE_ABORT,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_NOMEM,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_INTERRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PROTOCOL,
        sqlite3.SQLITE_NOTADB,
        sqlite3.SQLITE_PERM,
    }
)
# A schema that is not (or no longer) ours comes as the general code, and is no message's fault.
_SQLITE_SCHEMA_GONE: Final = re.compile(r"no such table|no such column|table \S+ has no column named ")
_SQLITE_NOT_NULL: Final = re.compile(r"NOT NULL constraint failed: (\w+)\.(\w+)")


def driver_error(error: BaseException) -> BaseException:
    """The driver's own exception under the wrappers, or *error* itself."""
    seen: BaseException = error
    while True:
        if isinstance(seen, DBAPIError) and seen.orig is not None:
            seen = seen.orig
        elif isinstance(seen, StorageError) and seen.__cause__ is not None:
            seen = seen.__cause__
        else:
            return seen


def _of_sqlite(error: sqlite3.Error) -> StorageError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and (code & 0xFF) in _SQLITE_AWAY:
        return StorageAway(f"{error.sqlite_errorname}: {error}")
    if _SQLITE_SCHEMA_GONE.match(str(error)):
        return StorageAway(str(error))
    if (wanting := _SQLITE_NOT_NULL.match(str(error))) and (newer := of_unknown_column(wanting[1], wanting[2])):
        return newer
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StorageAway(str(error))
    # Of constraints SQLite names columns only; other messages may quote the data.
    rule = f": {error}" if isinstance(error, sqlite3.IntegrityError) else ""
    return DataRefused(f"{type(error).__name__}{rule}")


def of_unknown_column(table: str | None, column: str | None) -> StorageAway | None:
    """Of a value that a column wants: none of ours was added by a newer program, and no message is to blame."""
    known = metadata.tables.get(table or "")
    if known is None or column is None or column in known.columns:
        return None
    newer = "the schema is of a newer version of headgate"
    return StorageAway(f"{table}.{column} is wanted, which this program does not know: {newer}")


def of_sqlite(error: BaseException) -> StorageError | None:
    """The storage error that an exception out of SQLite's driver stands for; ``None`` where it ends a task."""
    if isinstance(error, StorageError):
        return error
    root = driver_error(error)
    return _of_sqlite(root) if isinstance(root, sqlite3.Error) else of_any_driver(root)


def of_any_driver(root: BaseException) -> StorageError | None:
    """The same of what is not the driver's own."""
    if isinstance(root, VALUE_ERRORS):
        return DataRefused(type(root).__name__)
    if isinstance(root, OSError | PoolTimeout | MemoryError):
        return away(root)
    if isinstance(root, SQLAlchemyError):
        return DataRefused(type(root).__name__)
    return None


def is_exhausted(error: BaseException) -> bool:
    """Whether the process has run out of memory, or of descriptors, which modules that are loaded late need: nobody's
    message is to blame for either."""
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in _EXHAUSTED)


_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})

VALUE_ERRORS: Final = (ValueError, OverflowError, TypeError)
"""What a driver itself refuses to send."""


def away(root: BaseException) -> StorageAway:
    """In one line."""
    return StorageAway(" ".join(f"{type(root).__name__}: {root}".split()))


OfDriver: TypeAlias = Callable[[BaseException], StorageError | None]


def translate_errors(
    engine: Engine, of_driver: OfDriver, is_lost: Callable[[BaseException], bool] = lambda _error: False
) -> None:
    """Let *engine* raise storage errors where a driver's statement fails. *is_lost* knows those that mean a lost
    connection: the dialect knows it by some of its names only.

    At the source it is known that the driver raised it: an ``OSError`` of the unit of work itself is its own bug, and
    waiting would not mend it.
    """

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> StorageError | None:
        if is_lost(context.original_exception):
            context.is_disconnect = True
        return of_driver(context.original_exception)
