"""What can go wrong with the database, sorted by what the caller should do about it.

::

    StorageError
    ├── StorageAway      nobody's message is to blame: wait and try again, acknowledge nothing
    ├── StorageConflict  two daemons met: repeat the whole unit of work at once
    ├── DataRefused      the data (or our own code) caused it: the batch is halved until the culprit stands alone
    └── StorageUnusable  the database cannot be used as it is: an operator has to put it right

No message repeats a value that was to be stored: it may be a secret, and errors are logged.
"""

import re
import sqlite3
from typing import Final

import asyncpg
from sqlalchemy import Engine, event
from sqlalchemy.engine.interfaces import ExceptionContext
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from storage.tables import metadata

_NEWER: Final = "the schema is of a newer version of headgate"


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
_POSTGRES_NOT_NULL: Final = "23502"

# SQLSTATE, classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_CONFLICT: Final = (
    "40",  # deadlock, serialization failure
    "0A000",  # a cached plan that another daemon's migration made stale; the driver has dropped it
)
_POSTGRES_AWAY: Final = (
    "08",  # connection
    "25006",  # read-only: a standby
    "25P03",  # the server ended a transaction that was idle for too long
    "28",  # not let in
    "3D",  # no such database
    "3F",  # no such schema
    "42501",  # privileges taken away
    "42703",  # no such column
    "42P01",  # no such table
    "53",  # out of disk, memory, connections
    "55006",  # in use
    "55P03",  # a lock that was not to be had in time
    "57",  # shutting down, cancelled
    "58",  # I/O
    "XX",  # corrupted
)


_ASYNCPG: Final = asyncpg.PostgresError | asyncpg.InterfaceError | asyncpg.InternalClientError


def driver_error(error: BaseException) -> BaseException:
    """The driver's own exception under the wrappers, or *error* itself."""
    seen: BaseException = error
    while True:
        if isinstance(seen, DBAPIError) and seen.orig is not None:
            seen = seen.orig
        elif isinstance(seen, StorageError) and seen.__cause__ is not None:
            seen = seen.__cause__
        else:
            break
    # SQLAlchemy's asyncpg adapter wraps once more and chains the real one.
    cause = seen.__cause__
    return cause if isinstance(cause, _ASYNCPG | OSError) else seen


def _of_sqlite(error: sqlite3.Error) -> StorageError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and (code & 0xFF) in _SQLITE_AWAY:
        return StorageAway(f"{error.sqlite_errorname}: {error}")
    if _SQLITE_SCHEMA_GONE.match(str(error)):
        return StorageAway(str(error))
    if (wanting := _SQLITE_NOT_NULL.match(str(error))) and _is_unknown(wanting[1], wanting[2]):
        return StorageAway(f"{wanting[1]}.{wanting[2]} is wanted, which this program does not know: {_NEWER}")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StorageAway(str(error))
    # Of constraints SQLite names columns only; other messages may quote the data.
    rule = f": {error}" if isinstance(error, sqlite3.IntegrityError) else ""
    return DataRefused(f"{type(error).__name__}{rule}")


def _of_postgres(error: asyncpg.PostgresError) -> StorageError:
    state = error.sqlstate or ""
    name = f"{state} {type(error).__name__}"
    if state.startswith(_POSTGRES_CONFLICT):
        return StorageConflict(name)
    if state.startswith(_POSTGRES_AWAY):
        return StorageAway(f"{name}: {error.message}" if error.message else name)
    if state == _POSTGRES_NOT_NULL and _is_unknown(error.table_name, error.column_name):
        place = f"{error.table_name}.{error.column_name}"
        return StorageAway(f"{place} is wanted, which this program does not know: {_NEWER}")
    return DataRefused(_named(name, error))


def _named(name: str, error: asyncpg.PostgresError) -> str:
    place = [word for word in (error.table_name, error.column_name, error.constraint_name) if word]
    return f"{name}: {' '.join(place)}" if place else name


def _is_unknown(table: str | None, column: str | None) -> bool:
    """Whether the column is none of ours: a newer program has added it, and no message is to blame for its absence."""
    known = metadata.tables.get(table or "")
    return known is not None and column is not None and column not in known.columns


def of_driver(error: BaseException) -> StorageError | None:
    """The storage error that an exception out of a driver stands for; ``None`` where it ends a task."""
    if isinstance(error, StorageError):
        return error
    root = driver_error(error)
    if isinstance(root, sqlite3.Error):
        return _of_sqlite(root)
    if isinstance(root, asyncpg.PostgresError):
        return _of_postgres(root)
    if isinstance(root, ValueError | OverflowError | TypeError):
        # What the driver itself refuses to send; asyncpg's is an InterfaceError too.
        return DataRefused(type(root).__name__)
    if isinstance(root, OSError | PoolTimeout | asyncpg.InterfaceError | asyncpg.InternalClientError | MemoryError):
        return StorageAway(" ".join(f"{type(root).__name__}: {root}".split()))
    if isinstance(root, SQLAlchemyError):
        return DataRefused(type(root).__name__)
    return None


def translate_errors(engine: Engine) -> None:
    """Let *engine* raise storage errors where a driver's statement fails.

    At the source it is known that the driver raised it: an ``OSError`` of the unit of work itself is its own bug, and
    waiting would not mend it.
    """

    @event.listens_for(engine, "handle_error")
    def _translate(context: ExceptionContext) -> StorageError | None:
        root = driver_error(context.original_exception)
        if isinstance(root, OSError | asyncpg.InterfaceError) and not isinstance(root, ValueError):
            # The dialect knows a lost connection by some of its names only.
            context.is_disconnect = True
        return of_driver(root)
