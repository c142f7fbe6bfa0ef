"""Migrations: what they make is what the tables say, they take it back, and they happen whole, once, or not at all."""

import logging
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TypeVar

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from storage import migrations
from storage.engine import migration
from storage.engine.failures import StorageUnusable
from storage.migrations import SchemaStatus
from storage.tables import metadata
from tests.support import databases

T = TypeVar("T")

HEAD = migrations.head()
REPOSITORY = Path(__file__).parents[2]

# Alembic does not know what only one of the databases has: the full text search.
_SEARCH = "session_events_search"

_COLUMNS = """
SELECT table_name, column_name, data_type, is_nullable, column_default, collation_name, ordinal_position
FROM information_schema.columns WHERE table_schema = 'public' ORDER BY 1, 7
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY 1"


def schema(connection: Connection) -> list[tuple[object, ...]]:
    """Everything that makes up the schema, but the revision."""
    if connection.dialect.name == "sqlite":
        rows = connection.execute(text("SELECT name, sql FROM sqlite_master ORDER BY name"))
        ours = [(row.name, " ".join((row.sql or "").split())) for row in rows]
    else:
        ours = [tuple(row) for query in (_COLUMNS, _INDEXES) for row in connection.execute(text(query))]
    return [row for row in ours if "alembic" not in str(row[0])]


def differences(connection: Connection) -> list[object]:
    """What alembic would change to make the database what the tables say."""

    def ours(_object: object, name: str | None, _kind: str, _reflected: bool, _other: object) -> bool:
        return name is not None and not name.startswith(_SEARCH) and name != "ix_session_events_text"

    context = MigrationContext.configure(
        connection, opts={"compare_type": True, "compare_server_default": True, "include_object": ours}
    )
    return list(compare_metadata(context, metadata))


async def ask(url: str, question: Callable[[Connection], T]) -> T:
    """Ask the database by a connection that knows nothing of headgate."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(parsed)
        try:
            with engine.begin() as connection:
                return question(connection)
        finally:
            engine.dispose()
    asynchronous = create_async_engine(parsed.set(drivername="postgresql+asyncpg"))
    try:
        async with asynchronous.begin() as connected:
            return await connected.run_sync(question)
    finally:
        await asynchronous.dispose()


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())


def table_names(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def migrate_step_by_step(url: str) -> None:
    """As a database that was made by the first program became what it is; a fresh one is made in one step."""
    await migration.upgrade(url, "0001")
    await migration.upgrade(url)


def test_the_newest_revision_is_the_one_that_a_fresh_database_is_made_at() -> None:
    assert ScriptDirectory(str(migrations.SCRIPTS)).get_current_head() == migrations.HEAD


async def test_the_migrated_schema_is_what_the_tables_say(empty_url: str) -> None:
    await migrate_step_by_step(empty_url)

    assert await ask(empty_url, differences) == []


async def test_migrations_make_to_the_letter_what_a_fresh_database_is_made_with(
    dialect: str, request: pytest.FixtureRequest, empty_url: str, tmp_path: Path
) -> None:
    """STRICT and WITHOUT ROWID, collations, partial indexes, the search: what alembic does not compare; and its own
    table."""

    def whole(connection: Connection) -> tuple[object, ...]:
        revisions = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
        columns = inspect(connection).get_columns("alembic_version")
        key = inspect(connection).get_pk_constraint("alembic_version")
        return schema(connection), revisions, [(each["name"], str(each["type"])) for each in columns], key

    await migrate_step_by_step(empty_url)
    migrated = await ask(empty_url, whole)

    with ExitStack() as stack:
        if dialect == "sqlite":
            other = databases.sqlite_url(tmp_path / "other.db")
        else:
            other = stack.enter_context(request.getfixturevalue("postgres").empty_database())
        await migration.upgrade(other)
        assert migrated == await ask(other, whole)


def test_a_start_with_nothing_to_migrate_does_without_alembic(empty_url: str) -> None:
    code = f"""
import asyncio, sys
from storage.engine import migration
made = asyncio.run(migration.upgrade({empty_url!r}))
again = asyncio.run(migration.upgrade({empty_url!r}))
print(made == again, [name for name in sys.modules if name.startswith("alembic")])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY, check=True)

    assert ran.stdout == "True []\n"


async def test_text_is_compared_by_code_point_on_postgresql(postgres: databases.PostgresServer) -> None:
    with postgres.migrated_database() as url:
        collations = await ask(
            url,
            lambda connection: set(
                connection.execute(
                    text(
                        "SELECT collation_name FROM information_schema.columns"
                        " WHERE data_type = 'text' AND table_schema = 'public' AND table_name <> 'alembic_version'"
                    )
                ).scalars()
            ),
        )

    assert collations == {"C"}


async def test_up_down_and_up_again_end_where_they_began(empty_url: str) -> None:
    await migration.upgrade(empty_url)
    first = await ask(empty_url, schema)

    assert await migration.downgrade(empty_url, "base") == SchemaStatus(None, HEAD)
    assert await ask(empty_url, table_names) == {"alembic_version"}
    assert await migration.upgrade(empty_url) == SchemaStatus(HEAD, HEAD)

    assert await ask(empty_url, schema) == first


async def test_one_step_down_is_minus_one(database_url: str) -> None:
    assert (await migration.downgrade(database_url, "-1")).current != HEAD


async def test_the_status_tells_where_the_database_stands_and_changes_nothing(empty_url: str, tmp_path: Path) -> None:
    if empty_url.startswith("sqlite"):
        with pytest.raises(StorageUnusable, match="there is no database"):
            await migration.status(empty_url)
    else:
        before = await migration.status(empty_url)
        assert (before, before.up_to_date) == (SchemaStatus(None, HEAD), False)
    assert files_in(tmp_path) == []

    await migration.upgrade(empty_url)

    after = await migration.status(empty_url)
    assert (after, after.up_to_date) == (SchemaStatus(HEAD, HEAD), True)


def scripts_with(folder: Path, upgrade: str) -> Path:
    """The real migrations and one more, in a folder of their own."""
    scripts = folder / "scripts"
    shutil.copytree(migrations.SCRIPTS, scripts, ignore=shutil.ignore_patterns("__pycache__"))
    (scripts / "versions" / "next.py").write_text(
        f"""
import sqlalchemy as sa
from alembic import op
revision, down_revision, branch_labels, depends_on = "next", {HEAD!r}, None, None

def upgrade():
{textwrap.indent(upgrade, "    ")}

def downgrade():
    op.drop_table("more")
"""
    )
    return scripts


FAILING = """
op.create_table("more", sa.Column("a", sa.Integer()))
op.execute("INSERT INTO more VALUES (1)")
op.add_column("inbox", sa.Column("more", sa.Text()))
op.execute("INSERT INTO nowhere VALUES (1)")
"""


async def test_a_migration_that_fails_half_way_leaves_nothing(database_url: str, tmp_path: Path) -> None:
    before = await ask(database_url, schema)

    with pytest.raises(StorageUnusable, match="nowhere"):
        await migration.upgrade(database_url, scripts=scripts_with(tmp_path, FAILING))

    assert await ask(database_url, schema) == before
    assert await migration.status(database_url) == SchemaStatus(HEAD, HEAD)


async def test_the_first_migration_is_undone_too_when_a_later_one_fails(empty_url: str, tmp_path: Path) -> None:
    with pytest.raises(StorageUnusable, match="nowhere"):
        await migration.upgrade(empty_url, scripts=scripts_with(tmp_path, FAILING))

    assert await ask(empty_url, table_names) == set()


SLOW = """
import os, pathlib, time
with pathlib.Path({ran!r}).open("a") as file:
    file.write(f"{{os.getpid()}}\\n")
op.create_table("more", sa.Column("a", sa.Integer()))
time.sleep(0.5)  # the others arrive meanwhile
"""

AT_ONCE = """
import asyncio, os, pathlib, sys
import aiosqlite, alembic.command, asyncpg, sqlalchemy.dialects.postgresql.asyncpg  # once for the three
from storage.engine import migration
url, scripts = sys.argv[1:]
begin, end = os.pipe()
processes = [child := os.fork()]
while child and len(processes) < 3:
    processes.append(child := os.fork())
os.close(end)  # what three processes read from ends once all of them are there
if child:
    sys.exit(any([os.waitpid(process, 0)[1] for process in processes]))
os.read(begin, 1)
print(asyncio.run(migration.upgrade(url, scripts=pathlib.Path(scripts))).current)
"""


def at_once(url: str, scripts: Path) -> list[str]:
    """What three processes say that migrate one database at the same time."""
    arguments = [sys.executable, "-c", AT_ONCE, url, str(scripts)]
    ran = subprocess.run(arguments, stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, check=True, timeout=180)
    return ran.stdout.splitlines()


def test_of_three_processes_one_migrates_and_the_others_wait(empty_url: str, tmp_path: Path) -> None:
    ran = tmp_path / "ran"

    assert at_once(empty_url, scripts_with(tmp_path, SLOW.format(ran=str(ran)))) == ["next"] * 3
    assert len(ran.read_text().splitlines()) == 1


def test_of_three_processes_one_makes_a_fresh_database_and_the_others_find_it(empty_url: str) -> None:
    assert at_once(empty_url, migrations.SCRIPTS) == [HEAD] * 3


async def test_migrating_says_nothing_and_leaves_logging_alone(
    empty_url: str, capfd: pytest.CaptureFixture[str]
) -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers), logging.root.manager.disable)

    await migration.upgrade(empty_url)
    await migration.downgrade(empty_url, "base")

    assert (root.level, list(root.handlers), logging.root.manager.disable) == before
    assert not logging.getLogger("alembic").disabled
    assert capfd.readouterr() == ("", "")
