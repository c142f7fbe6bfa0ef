"""What asyncpg raises, sorted as :mod:`storage.engine.failures` does it."""

from typing import Final

import asyncpg

from storage.engine.failures import (
    VALUE_ERRORS,
    DataRefused,
    StorageAway,
    StorageConflict,
    StorageError,
    away,
    driver_error,
    of_any_driver,
    of_unknown_column,
)

_NOT_NULL: Final = "23502"

# SQLSTATE, classes and codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
_CONFLICT: Final = (
    "40",  # deadlock, serialization failure
    "0A000",  # a cached plan that another daemon's migration made stale; the driver has dropped it
)
_AWAY: Final = (
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
_OF_CLIENT: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)


def asyncpg_error(error: BaseException) -> BaseException:
    """The driver's own exception under the wrappers, or *error* itself."""
    seen = driver_error(error)
    # SQLAlchemy's asyncpg adapter wraps once more and chains the real one.
    cause = seen.__cause__
    return cause if isinstance(cause, (asyncpg.PostgresError, *_OF_CLIENT, OSError)) else seen


def of_asyncpg(error: BaseException) -> StorageError | None:
    """The storage error that an exception out of asyncpg stands for; ``None`` where it ends a task."""
    if isinstance(error, StorageError):
        return error
    root = asyncpg_error(error)
    if isinstance(root, asyncpg.PostgresError):
        return _of_server(root)
    if isinstance(root, _OF_CLIENT) and not isinstance(root, VALUE_ERRORS):
        return away(root)
    return of_any_driver(root)


def is_lost(error: BaseException) -> bool:
    """Whether the connection that raised it is of no use any more."""
    root = asyncpg_error(error)
    return isinstance(root, OSError | asyncpg.InterfaceError) and not isinstance(root, ValueError)


def _of_server(error: asyncpg.PostgresError) -> StorageError:
    state = error.sqlstate or ""
    name = f"{state} {type(error).__name__}"
    if state.startswith(_CONFLICT):
        return StorageConflict(name)
    if state.startswith(_AWAY):
        return StorageAway(f"{name}: {error.message}" if error.message else name)
    if state == _NOT_NULL and (newer := of_unknown_column(error.table_name, error.column_name)):
        return newer
    return DataRefused(_named(name, error))


def _named(name: str, error: asyncpg.PostgresError) -> str:
    place = [word for word in (error.table_name, error.column_name, error.constraint_name) if word]
    return f"{name}: {' '.join(place)}" if place else name
