"""Copies: whole, private, and never half made under their name."""

import asyncio
import os
import sqlite3
import subprocess
import time
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from storage.engine.backup import PG_DUMP, backup_name, copy_database, keep_newest
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageUnusable
from storage.journal.inbox import InboxKey
from tests.support.databases import PostgresServer, sqlite_url

RUN = "01a1fd0b-2bde-75aa-a1b3-6a5456f62c53"


async def test_a_copy_has_what_was_committed_and_no_log_beside_it(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    if database.dialect != "sqlite":
        pytest.skip("the other way of copying has tests of its own")
    await database.write(lambda uow: uow.inbox.claim([InboxKey("k", "m", "h")], now=1))
    target = tmp_path / "copies" / backup_name("20261120T101530Z", RUN, "sqlite")

    size = await copy_database(database_url, target)

    assert (target.stat().st_size, target.stat().st_mode & 0o777) == (size, 0o600)
    assert [path.name for path in target.parent.iterdir()] == [target.name]
    with sqlite3.connect(target) as copy:
        assert copy.execute("SELECT message_id FROM inbox").fetchall() == [("m",)]
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


async def test_a_copy_that_fails_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "not.db").write_bytes(b"this is no database, however long it may be" * 100)
    target = tmp_path / "copies" / "headgate.db"

    with pytest.raises(StorageAway):
        await copy_database(sqlite_url(tmp_path / "not.db"), target)

    assert list(target.parent.iterdir()) == []


async def test_postgres_is_copied_by_its_own_program_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(StorageUnusable, match=PG_DUMP):
        await copy_database("postgresql://somewhere/headgate", tmp_path / "copy.dump")


@pytest.mark.postgres
async def test_a_dump_restores_what_was_committed(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tools = postgres.programs
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with postgres.migrated_database() as url, postgres.empty_database() as other:
        name = make_url(url).database or ""
        postgres.execute("INSERT INTO inbox VALUES ('k', 'm', 'h', 1)", name)
        target = tmp_path / "copy.dump"

        assert await copy_database(url, target) > 0
        restore = [str(tools / "pg_restore"), "--no-owner", "--exit-on-error", "--dbname", other, str(target)]
        ran = await asyncio.to_thread(subprocess.run, restore, capture_output=True, text=True, check=False)

        assert ran.returncode == 0, ran.stderr

        assert postgres.execute("SELECT message_id FROM inbox", make_url(other).database or "") == "m"


async def test_a_dump_that_fails_says_why_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / PG_DUMP
    program.write_text('#!/bin/sh\necho "$@" | grep -q hunter2 && echo leaked >&2\necho no such server >&2\nexit 1\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    with pytest.raises(StorageAway, match="no such server") as failure:
        await copy_database("postgresql://me:hunter2@nowhere/headgate", tmp_path / "copies" / "copy.dump")

    assert "leaked" not in str(failure.value)
    assert list((tmp_path / "copies").iterdir()) == []


def test_only_our_own_old_copies_go(tmp_path: Path) -> None:
    copies = [tmp_path / backup_name(f"2026112{day}T101530Z", RUN, "sqlite") for day in range(5)]
    others = [tmp_path / name for name in ("headgate.db", "notes.txt", "headgate-mine.db")]
    abandoned, fresh = (tmp_path / f"{copies[number].name}.part" for number in (0, 1))
    for age, path in enumerate((*others, abandoned, fresh, *copies)):
        path.touch()
        os.utime(path, (age, age))
    fresh.touch()
    os.utime(abandoned, (time.time() - 90_000,) * 2)

    gone = keep_newest(tmp_path, 2, made=copies[4])

    assert sorted(gone) == sorted([*copies[:3], abandoned])
    assert sorted(tmp_path.iterdir()) == sorted([*copies[3:], *others, fresh])


def test_what_was_just_made_stays_whatever_the_stamps_of_others_say(tmp_path: Path) -> None:
    later = [tmp_path / backup_name(f"2099112{day}T101530Z", RUN, "sqlite") for day in range(3)]
    made = tmp_path / backup_name("20261120T101530Z", RUN, "sqlite")
    for path in (made, *later):
        path.touch()

    assert made not in keep_newest(tmp_path, 1, made=made)
    assert list(tmp_path.iterdir()) == [made]
