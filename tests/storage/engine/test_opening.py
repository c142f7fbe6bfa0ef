"""A database that headgate cannot start on is told in one line that says what is wrong and where."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from storage import migrations
from storage.engine import migration
from storage.engine.backup import copy_database
from storage.engine.failures import StorageAway, StorageUnusable
from tests.support import databases
from tests.support.databases import sqlite_url

REPOSITORY = Path(__file__).parents[3]


async def refusal(url: str) -> str:
    """What the start says to a database, judged to be one line."""
    with pytest.raises(StorageUnusable) as caught:
        await migration.upgrade(url)
    line = str(caught.value)
    assert line == " ".join(line.split())
    return line


async def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    path = tmp_path / "var" / "lib" / "headgate.db"

    assert (await migration.upgrade(sqlite_url(path))).up_to_date
    assert path.is_file()


async def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    assert await refusal(sqlite_url(tmp_path)) == f"{tmp_path} is a folder, not a database file"


async def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")

    assert "is a file, not a folder" in await refusal(sqlite_url(tmp_path / "file" / "headgate.db"))
    assert "is a file, not a folder" in await refusal(sqlite_url(tmp_path / "file" / "deeper" / "headgate.db"))


@pytest.mark.parametrize("content", [b"x", b"this is a text of some length\n" * 200, os.urandom(8192)])
async def test_a_file_that_is_not_sqlite_is_refused_and_left_alone(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "headgate.db"
    path.write_bytes(content)

    assert await refusal(sqlite_url(path)) == f"{path} is not an SQLite database"
    assert path.read_bytes() == content


@pytest.fixture
def damaged(tmp_path: Path, sqlite_template: Path) -> Path:
    """A database whose first page has its header and nothing else."""
    path = tmp_path / "headgate.db"
    content = bytearray(sqlite_template.read_bytes())
    content[100:4096] = bytes(3996)
    path.write_bytes(content)
    return path


async def test_a_damaged_database_is_refused(damaged: Path) -> None:
    assert str(damaged) in await refusal(sqlite_url(damaged))


AS_NOBODY = """
import asyncio, os, sys
from storage.engine import migration
from storage.engine.failures import StorageUnusable
warm, url = sys.argv[1:]
asyncio.run(migration.upgrade(warm))  # all that is imported late is imported now, while this may read the interpreter
if os.geteuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
try:
    asyncio.run(migration.upgrade(url))
except StorageUnusable as unusable:
    print(unusable)
"""


def as_nobody(url: str, folder: Path) -> str:
    """What the start says to a user without any rights: the one who runs the tests may be root, whom nothing stops."""
    arguments = [sys.executable, "-c", AS_NOBODY, sqlite_url(folder / "warm.db"), url]
    ran = subprocess.run(arguments, capture_output=True, text=True, cwd=REPOSITORY, check=False, timeout=180)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip()


@pytest.fixture
def open_folder(tmp_path: Path) -> Path:
    """A folder that everybody can look into, as far up as the temporary files go."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid != os.geteuid() or folder == Path("/"):
            break
        folder.chmod(folder.stat().st_mode | 0o055)
    return tmp_path


def test_an_unwritable_folder_is_refused(open_folder: Path) -> None:
    folder = open_folder / "locked"
    folder.mkdir(mode=0o555)

    assert as_nobody(sqlite_url(folder / "headgate.db"), open_folder) == f"the folder {folder} cannot be written"
    assert "cannot be made" in as_nobody(sqlite_url(folder / "deeper" / "headgate.db"), open_folder)


def test_an_unwritable_file_is_refused(open_folder: Path, sqlite_template: Path) -> None:
    folder = open_folder / "open"
    folder.mkdir()
    folder.chmod(0o777)
    path = folder / "headgate.db"
    path.write_bytes(sqlite_template.read_bytes())
    path.chmod(0o444)

    assert as_nobody(sqlite_url(path), open_folder) == f"{path} cannot be written"


async def test_a_newer_revision_is_refused_and_kept(
    database_url: str, dialect: str, request: pytest.FixtureRequest
) -> None:
    statement = "UPDATE alembic_version SET version_num = '9999'"
    if dialect == "sqlite":
        with closing(sqlite3.connect(str(make_url(database_url).database))) as connection, connection:
            connection.execute(statement)
    else:
        request.getfixturevalue("postgres").execute(statement, str(make_url(database_url).database))

    line = await refusal(database_url)

    assert "is at revision 9999, which this program does not know" in line
    with pytest.raises(StorageUnusable, match="9999"):
        await migration.downgrade(database_url, "base")
    assert await migration.status(database_url) == migrations.SchemaStatus("9999", migrations.head())


async def test_going_down_to_a_revision_that_is_none_is_refused(database_url: str) -> None:
    with pytest.raises(StorageUnusable, match="nonsense"):
        await migration.downgrade(database_url, "nonsense")


async def test_a_database_with_tables_of_another_program_is_refused(
    empty_url: str, dialect: str, request: pytest.FixtureRequest
) -> None:
    statement = "CREATE TABLE outbox (theirs INTEGER)"
    if dialect == "sqlite":
        with closing(sqlite3.connect(str(make_url(empty_url).database))) as connection:
            connection.execute(statement)
    else:
        request.getfixturevalue("postgres").execute(statement, str(make_url(empty_url).database))

    assert "outbox" in await refusal(empty_url)


async def test_a_database_that_does_not_exist_on_the_server_is_refused(postgres: databases.PostgresServer) -> None:
    assert 'database "nowhere" does not exist' in await refusal(postgres.url("nowhere"))


async def test_a_database_that_cannot_hold_every_character_is_refused(postgres: databases.PostgresServer) -> None:
    postgres.execute("CREATE DATABASE narrow TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'")

    assert "its encoding is LATIN1" in await refusal(postgres.url("narrow"))

    postgres.execute("DROP DATABASE narrow")


async def test_a_user_that_the_server_does_not_know_is_refused_without_the_password(
    postgres: databases.PostgresServer,
) -> None:
    url = make_url(postgres.url()).set(username="nobody", password="hush-hush")

    line = await refusal(url.render_as_string(hide_password=False))

    assert 'role "nobody" does not exist' in line
    assert "hush" not in line


@pytest.mark.parametrize("place", ["127.0.0.1:1", "no-such-host.invalid:5432"])
async def test_a_server_that_does_not_answer_is_away(place: str) -> None:
    with pytest.raises(StorageAway) as caught:
        await migration.upgrade(f"postgresql://me:hush-hush@{place}/headgate")

    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["a b.db", "%41.db", "what?.db", "#1.db", "jürgen 日本.db", "back\\slash'\".db", "a&b=c.db"]
)
async def test_a_path_may_hold_any_character(tmp_path: Path, name: str) -> None:
    url = sqlite_url(tmp_path / name)

    await migration.upgrade(url)
    async with databases.opened(url) as database:
        assert await database.read(lambda uow: uow.schema_revision()) == migrations.head()
    assert await copy_database(url, tmp_path / "copies" / "copy.db") > 0

    assert {path.name for path in files_in(tmp_path)} == {name, "copies"}


def files_in(folder: Path) -> list[Path]:
    return list(folder.iterdir())
