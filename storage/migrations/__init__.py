"""Schema migrations (Alembic), run under a lock: two daemons that start at once, one migrates and the other waits.

SQLite holds ``BEGIN EXCLUSIVE`` for the whole of it, PostgreSQL an advisory lock inside the transaction, so a migration
that fails half way leaves nothing behind on either.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

_HERE: Final = Path(__file__).parent
# Any constant will do as long as nobody else uses it in the same database: "headgate" in ASCII, as a bigint.
_ADVISORY_LOCK: Final = 0x6865616467617465


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands: ``current`` is ``None`` before the first migration."""

    current: str | None
    head: str

    @property
    def up_to_date(self) -> bool:
        return self.current == self.head


def _config(connection: Connection, scripts: Path) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


def lock(connection: Connection) -> None:
    """Wait for any other migration and keep others out until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def upgrade(connection: Connection, revision: str = "head", *, scripts: Path = _HERE) -> None:
    """Bring the schema up to *revision*, inside the caller's transaction."""
    lock(connection)
    command.upgrade(_config(connection, scripts), revision)


def downgrade(connection: Connection, revision: str, *, scripts: Path = _HERE) -> None:
    """Take the schema back to *revision* (``-1``: one step), inside the caller's transaction."""
    lock(connection)
    command.downgrade(_config(connection, scripts), revision)


def status(connection: Connection, *, scripts: Path = _HERE) -> SchemaStatus:
    """The revision the database is at, and the one this program needs."""
    head = ScriptDirectory.from_config(_config(connection, scripts)).get_current_head()
    if head is None:
        raise RuntimeError(f"no migrations in {scripts}")
    return SchemaStatus(MigrationContext.configure(connection).get_current_revision(), head)
