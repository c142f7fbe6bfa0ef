"""What can go wrong with the database, sorted by what the caller should do about it.

- :class:`StorageAway`: nobody's message is to blame; wait and try again, acknowledge nothing.
- :class:`StorageConflict`: two daemons met; repeat the whole unit of work at once.
- :class:`DataRefused`: the data (or our own code) caused it; the batch is halved until the culprit stands alone.
"""

import sqlite3
from typing import Final

import asyncpg
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout


class StorageError(Exception):
    """Base of everything the database layer raises by intention."""


class StorageAway(StorageError):
    """Storage cannot work now: locked, full, I/O error, lost connection, out of memory."""


class StorageConflict(StorageError):
    """A deadlock or serialization failure between daemons."""


class DataRefused(StorageError):
    """The database refused this data: constraint, range, encoding."""


# Primary result codes (the low byte of an extended code): https://www.sqlite.org/rescode.html
_SQLITE_AWAY: Final = frozenset(
    {
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

# SQLSTATE classes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_POSTGRES_CONFLICT: Final = ("40",)
_POSTGRES_AWAY: Final = ("08", "53", "57", "58", "25006", "55P03", "XX", "28", "3D")


def _root(error: BaseException) -> BaseException:
    """The driver's own exception under the wrappers."""
    seen: BaseException = error
    while isinstance(seen, DBAPIError) and seen.orig is not None:
        seen = seen.orig
    # SQLAlchemy's asyncpg adapter wraps once more and chains the real one.
    cause = seen.__cause__
    return cause if isinstance(cause, asyncpg.PostgresError | OSError) else seen


def _of_sqlite(error: sqlite3.Error) -> StorageError:
    code = getattr(error, "sqlite_errorcode", None)
    if code is not None and (code & 0xFF) in _SQLITE_AWAY:
        return StorageAway(f"{error.sqlite_errorname}: {error}")
    if isinstance(error, sqlite3.ProgrammingError) and "closed" in str(error):
        return StorageAway(str(error))
    return DataRefused(type(error).__name__)


def _of_postgres(error: asyncpg.PostgresError) -> StorageError:
    state = error.sqlstate or ""
    if state.startswith(_POSTGRES_CONFLICT):
        return StorageConflict(f"{state} {type(error).__name__}")
    if state.startswith(_POSTGRES_AWAY):
        return StorageAway(f"{state} {type(error).__name__}")
    return DataRefused(f"{state} {type(error).__name__}")


def classify(error: BaseException) -> StorageError | None:
    """The storage error that *error* stands for; ``None`` when it did not come from the database."""
    if isinstance(error, StorageError):
        return error
    root = _root(error)
    if isinstance(root, sqlite3.Error):
        return _of_sqlite(root)
    if isinstance(root, asyncpg.PostgresError):
        return _of_postgres(root)
    if isinstance(root, OSError | PoolTimeout | asyncpg.InterfaceError | MemoryError):
        return StorageAway(f"{type(root).__name__}: {root}")
    if isinstance(error, DBAPIError):
        return StorageAway(type(root).__name__) if error.connection_invalidated else DataRefused(type(root).__name__)
    return None
