"""Schema migrations (Alembic), run under a lock: two daemons that start at once, one migrates and the other waits.

SQLite holds its write lock for the whole of it, PostgreSQL an advisory lock inside the transaction, so a migration that
fails half way leaves nothing behind on either.

Most starts have nothing to migrate: the database is at the newest revision, or there is none yet, and then the tables
are made as they are today instead of as they became (that both make the same is tested). Alembic is loaded where it has
something to do.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sqlalchemy import Column, Connection, MetaData, PrimaryKeyConstraint, String, Table, inspect, select, text

from storage.tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

SCRIPTS: Final = Path(__file__).parent
"""Where the migrations lie."""
HEAD: Final = "0013"
"""The newest of them."""
# Alembic's own table, in its own words.
_VERSION: Final = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
# Any constant will do as long as nobody else uses it in the same database: "headgate" in ASCII, as a bigint.
_ADVISORY_LOCK: Final = 0x6865616467617465


class UnknownRevision(Exception):
    """The database is at a revision that is not among the scripts. The message continues the database's name."""


class MigrationError(Exception):
    """Alembic cannot do what is asked of it. The message says what, in its words."""


@dataclass(frozen=True, slots=True)
class SchemaStatus:
    """Where a database stands: ``current`` is ``None`` before the first migration."""

    current: str | None
    head: str

    @property
    def up_to_date(self) -> bool:
        return self.current == self.head


def lock(connection: Connection) -> None:
    """Wait for any other migration and keep others out until the transaction ends."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})


def upgrade(connection: Connection, revision: str = "head", *, scripts: Path = SCRIPTS) -> None:
    """Bring the schema up to *revision*, inside the caller's transaction.

    Raises :class:`UnknownRevision`, :class:`MigrationError`.
    """
    lock(connection)
    if scripts == SCRIPTS and revision in {"head", HEAD}:
        current = _current(connection)
        if current == HEAD:
            return
        if current is None:
            _create(connection)
            return
    from alembic import command

    with _alembic(connection, scripts) as config:
        command.upgrade(config, revision)


def downgrade(connection: Connection, revision: str, *, scripts: Path = SCRIPTS) -> None:
    """Take the schema back to *revision* (``-1``: one step), inside the caller's transaction.

    Raises :class:`UnknownRevision`, :class:`MigrationError`.
    """
    lock(connection)
    from alembic import command

    with _alembic(connection, scripts) as config:
        command.downgrade(config, revision)


def status(connection: Connection, *, scripts: Path = SCRIPTS) -> SchemaStatus:
    """The revision the database is at, and the one this program needs."""
    return SchemaStatus(_current(connection), head(scripts))


def head(scripts: Path = SCRIPTS) -> str:
    """The newest revision that this program knows."""
    if scripts == SCRIPTS:
        return HEAD
    from alembic.script import ScriptDirectory

    newest = ScriptDirectory(str(scripts)).get_current_head()
    if newest is None:
        raise RuntimeError(f"no migrations in {scripts}")
    return newest


def _current(connection: Connection) -> str | None:
    """The revision the database is at; ``None`` before the first migration. Raises :class:`MigrationError`."""
    if not inspect(connection).has_table(_VERSION.name):
        return None
    revisions = connection.execute(select(_VERSION.c.version_num)).scalars().all()
    if len(revisions) > 1:
        raise MigrationError(f"it is at several revisions at once: {', '.join(sorted(revisions))}")
    return revisions[0] if revisions else None


def _create(connection: Connection) -> None:
    """Make all tables as they are at the newest revision. Fails where one is there already."""
    metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=True)
    connection.execute(_VERSION.insert(), {"version_num": HEAD})


@contextmanager
def _alembic(connection: Connection, scripts: Path) -> Iterator["Config"]:
    """Alembic's configuration for the connection, on a database whose revision it knows."""
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(scripts).replace("%", "%%"))
    config.attributes["connection"] = connection
    try:
        _require_known(connection, config)
        yield config
    except CommandError as error:
        raise MigrationError(str(error)) from error


def _require_known(connection: Connection, config: "Config") -> None:
    from alembic.script import ScriptDirectory

    current = _current(connection)
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if current is not None and current not in known:
        raise UnknownRevision(
            f"is at revision {current}, which this program does not know: a newer version of headgate has migrated it"
        )
