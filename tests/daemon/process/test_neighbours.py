"""Daemons of neighbouring versions on one database: a newer one has migrated it while this one works."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage import migrations
from storage.engine import migration
from tests.support import databases
from tests.support.command_line import headgate
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.records.usage_records import envelope, lines

pytestmark = pytest.mark.process

NEXT = f"{int(migrations.head()) + 1:04d}"
ADDING = f"""
import sqlalchemy as sa
from alembic import op

revision = "{NEXT}"
down_revision = "{migrations.head()}"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("inbox", sa.Column("newer", sa.Text(), nullable=True))
    op.create_table("newer", sa.Column("newer_id", sa.Text(), primary_key=True))


def downgrade() -> None:
    op.drop_table("newer")
    op.drop_column("inbox", "newer")
"""
TAKING_AWAY = {"inbox": "payload_hash", "session_usage": "cost_source"}


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    if request.param == "sqlite":
        yield databases.sqlite_url(tmp_path / "shared.db")
        return
    with databases.postgres_server() as server, server.empty_database() as found:
        yield found


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of the version after this one."""
    scripts = Path(shutil.copytree(migrations.SCRIPTS, tmp_path / "migrations"))
    (scripts / "versions" / f"{NEXT}_newer.py").write_text(ADDING)
    return scripts


def impatient(url: str) -> str:
    return f'[storage]\nurl = "{url}"\nbusy_timeout_ms = 500\n'


def publish(daemon: DaemonProcess, name: str) -> dict[str, object]:
    """What became of a good record and a bad one."""
    records = lines(envelope(name), envelope(f"{name}:bad", status="x"))
    done = headgate("publish", "--json", "--config", daemon.config, stdin=records)
    return {outcome: done.json[outcome] for outcome in ("accepted", "refused")}


def migrations_health(daemon: DaemonProcess) -> tuple[int, str, str]:
    """The exit code of a look at the daemon's health, and what that says of the schema."""
    health = headgate("ops", "health-check", "--json", "--config", daemon.config)
    found = health.json["dependencies"]
    assert isinstance(found, dict)
    return health.code, found["migrations"]["status"], found["migrations"]["detail"]


def changed(url: str, statement: str) -> None:
    """Change the schema behind the daemon's back."""

    async def change() -> None:
        async with databases.opened(url) as database:
            await database.write(lambda uow: uow.connection.exec_driver_sql(statement).rowcount)

    databases.run_apart(change())


def test_a_daemon_works_on_beside_a_newer_one_that_has_added_to_the_schema(
    url: str, newer: Path, tmp_path: Path
) -> None:
    with running_daemon(tmp_path / "home", f'[storage]\nurl = "{url}"\n') as daemon:
        assert publish(daemon, "a") == {"accepted": 1, "refused": 1}
        asyncio.run(migration.upgrade(url, scripts=newer))

        assert publish(daemon, "b") == {"accepted": 1, "refused": 1}
        told = f"at {NEXT}, which a newer headgate has made; this program is of {migrations.head()}"
        eventually(lambda: migrations_health(daemon) == (1, "degraded", told))
        eventually(lambda: get(f"{daemon.http_url}/readyz")[0] == 200)

        assert daemon.terminate() == 0
        daemon.start(wait=False)
        assert daemon.wait_end(60) == 1
        assert f"is at revision {NEXT}" in str(daemon.logs[-1])

        asyncio.run(migration.downgrade(url, migrations.head(), scripts=newer))
        daemon.start()
        assert publish(daemon, "c") == {"accepted": 1, "refused": 1}
        assert "Traceback" not in str(daemon.logs)


@pytest.mark.parametrize("table", TAKING_AWAY)
def test_where_the_newer_schema_has_taken_something_away_nothing_is_lost(url: str, table: str, tmp_path: Path) -> None:
    column = TAKING_AWAY[table]
    with running_daemon(tmp_path / "home", impatient(url)) as daemon:
        changed(url, f"ALTER TABLE {table} RENAME COLUMN {column} TO renamed")
        waits = headgate("publish", "--json", "--no-receipts", "--config", daemon.config, stdin=lines(envelope("a")))
        assert waits.code == 0, waits.err
        eventually(lambda: get(f"{daemon.http_url}/readyz")[0] == 503)

        changed(url, f"ALTER TABLE {table} RENAME COLUMN renamed TO {column}")
        eventually(lambda: get(f"{daemon.http_url}/readyz")[0] == 200)
        assert publish(daemon, "a") == {"accepted": 0, "refused": 1}
        letters = headgate("dead-letters", "groups", "--json", "--config", daemon.config)
        assert "INTERNAL_ERROR" not in letters.out
