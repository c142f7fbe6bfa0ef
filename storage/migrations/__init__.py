"""Schema migrations (Alembic), run under a lock: two daemons that start at once, one migrates and the other waits.

SQLite holds its write lock for the whole of it, PostgreSQL an advisory lock inside the transaction, so a migration that
fails half way leaves nothing behind on either.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

SCRIPTS: Final = Path(__file__).parent
"""Where the migrations lie."""
# Any constant will do as long as nobody else uses it in the same database: "headgate" in ASCII, as a bigint.
_ADVISORY_LOCK: Final = 0x6865616467617465


class UnknownRevision(Exception):
    """The database is at a revision that is not among the scripts. The message continues the database's name."""


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


def upgrade(connection: Connection, revision: str = "head", *, scripts: Path = SCRIPTS) -> None:
    """Bring the schema up to *revision*, inside the caller's transaction. Raises :class:`UnknownRevision`."""
    lock(connection)
    config = _config(connection, scripts)
    _require_known(connection, config)
    command.upgrade(config, revision)


def downgrade(connection: Connection, revision: str, *, scripts: Path = SCRIPTS) -> None:
    """Take the schema back to *revision* (``-1``: one step), inside the caller's transaction.

    Raises :class:`UnknownRevision`.
    """
    lock(connection)
    config = _config(connection, scripts)
    _require_known(connection, config)
    command.downgrade(config, revision)


def status(connection: Connection, *, scripts: Path = SCRIPTS) -> SchemaStatus:
    """The revision the database is at, and the one this program needs."""
    return SchemaStatus(MigrationContext.configure(connection).get_current_revision(), head(scripts))


def head(scripts: Path = SCRIPTS) -> str:
    """The newest revision that this program knows."""
    newest = ScriptDirectory(str(scripts)).get_current_head()
    if newest is None:
        raise RuntimeError(f"no migrations in {scripts}")
    return newest


def _require_known(connection: Connection, config: Config) -> None:
    current = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise UnknownRevision(
            f"is at revision {current}, which this program does not know: a newer version of headgate has migrated it"
        )
