"""Migrating a database by its URL: what ``headgate migrate`` and the start of the daemon do."""

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from storage import migrations
from storage.failures import StorageAway, classify
from storage.migrations import SchemaStatus
from storage.postgres import postgres_engine
from storage.sqlite import EXCLUSIVE, sqlite_engine

T = TypeVar("T")

_LOCK_WAIT_MS = 60_000
"""How long a second daemon waits for the first one's migration."""


async def in_schema_transaction(url: str, step: Callable[[Connection], T]) -> T:
    """Run *step* in one transaction that may change the schema. Raises the errors of :mod:`storage.failures`."""
    target = make_url(url)
    try:
        if target.get_backend_name() == "sqlite":
            return _on_sqlite(Path(str(target.database)), step)
        engine = postgres_engine(target, pool_size=1, timeout_s=10)
        try:
            async with engine.begin() as connection:
                return await connection.run_sync(step)
        finally:
            await engine.dispose()
    except Exception as error:
        failure = classify(error)
        if failure is None or failure is error:
            raise
        raise failure from error


def _on_sqlite(path: Path, step: Callable[[Connection], T]) -> T:
    _make_folder(path.parent)
    engine = sqlite_engine(path, busy_timeout_ms=_LOCK_WAIT_MS, begin=EXCLUSIVE)
    try:
        with engine.begin() as connection:
            return step(connection)
    finally:
        engine.dispose()


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageAway(f"cannot make the folder {folder}: {error.strerror}") from error


async def upgrade(url: str, revision: str = "head") -> SchemaStatus:
    """Bring the database to *revision*; the status afterwards."""

    def step(connection: Connection) -> SchemaStatus:
        migrations.upgrade(connection, revision)
        return migrations.status(connection)

    return await in_schema_transaction(url, step)


async def downgrade(url: str, revision: str) -> SchemaStatus:
    """Take the database back to *revision*; the status afterwards."""

    def step(connection: Connection) -> SchemaStatus:
        migrations.downgrade(connection, revision)
        return migrations.status(connection)

    return await in_schema_transaction(url, step)


async def status(url: str) -> SchemaStatus:
    """Where the database stands."""
    return await in_schema_transaction(url, migrations.status)
