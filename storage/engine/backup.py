"""Consistent copies of the database while it is in use."""

import asyncio
import os
import re
import shutil
import sqlite3
import time
from asyncio.subprocess import DEVNULL, PIPE
from contextlib import suppress
from pathlib import Path
from typing import Final

from storage.engine.failures import StorageAway, StorageUnusable
from storage.engine.postgres.url import read_postgres_url
from storage.engine.sqlite.connection import ThreadedConnection
from storage.engine.sqlite.url import sqlite_file

PG_DUMP: Final = "pg_dump"
_PREFIX: Final = "headgate-"
_NAME: Final = re.compile(r"headgate-[0-9]{8}T[0-9]{6}Z-[0-9a-f-]{8,36}\.(?:db|dump)")
_PART: Final = ".part"
_OWNER_ONLY: Final = 0o600
_MOST_SAID: Final = 300
_HALF_MADE_S: Final = 86_400
_PAGES_AT_ONCE: Final = 1_000
"""Between two looks whether the copy is still wanted."""


def backup_name(stamp: str, run_id: str, dialect: str) -> str:
    """What a copy is called: its moment (``20261120T101530Z``), its run, and what it is."""
    return f"{_PREFIX}{stamp}-{run_id}.{'db' if dialect == 'sqlite' else 'dump'}"


async def copy_database(url: str, target: Path) -> int:
    """Copy the database at *url* to *target*; its size in bytes. Cancelling ends it soon.

    The copy appears under its name once it is whole and on disk. Raises :class:`StorageUnusable` where there is no way
    to make one, :class:`StorageAway` where it fails on the way; then nothing is left behind.
    """
    part = target.with_name(target.name + _PART)
    try:
        target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        part.touch(mode=_OWNER_ONLY)
        if (source := sqlite_file(url)) is not None:
            await _copy_sqlite(source, part)
        else:
            await _dump_postgres(url, part)
        return await asyncio.to_thread(_put_in_place, part, target)
    except OSError as error:
        raise StorageAway(f"the copy could not be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


async def _copy_sqlite(source: Path, target: Path) -> None:
    """All pages as one read transaction sees them: writers go on beside it and never make it begin anew."""
    stopped = False

    def go_on(_status: int, _remaining: int, _total: int) -> None:
        if stopped:
            raise InterruptedError

    try:
        async with _opened(source) as original, _opened(target) as copy:
            try:
                await original.execute("PRAGMA query_only=on")
                await original.execute("BEGIN")
                await original.execute_fetchall("SELECT count(*) FROM sqlite_master")
                await original.backup(copy, pages=_PAGES_AT_ONCE, progress=go_on)
                # A file of its own: without the log beside it that a database in use has.
                await copy.execute("PRAGMA journal_mode=delete")
                ((verdict,),) = await copy.execute_fetchall("PRAGMA quick_check(1)")
            except asyncio.CancelledError:
                stopped = True
                await copy.interrupt()
                raise
    except sqlite3.Error as error:
        raise StorageAway(f"{type(error).__name__}: {error}") from error
    if verdict != "ok":
        raise StorageAway(f"the copy is damaged: {verdict}")


def _opened(path: Path) -> ThreadedConnection:
    return ThreadedConnection(lambda: sqlite3.connect(path, isolation_level=None))


async def _dump_postgres(url: str, target: Path) -> None:
    """By ``pg_dump``, from one snapshot, in its custom format."""
    program = shutil.which(PG_DUMP)
    if program is None:
        raise StorageUnusable(f"{PG_DUMP} is not installed: a copy of PostgreSQL is made by it")
    read = read_postgres_url(url)
    environment = dict(os.environ)
    if read.password is not None:
        environment["PGPASSWORD"] = read.password
    command = [program, "--format=custom", "--no-password", "--file", str(target), "--dbname", read.dump]
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE
    )
    try:
        _, said = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode != 0:
        raise StorageAway(" ".join(f"{PG_DUMP}: {said.decode(errors='replace')}".split())[:_MOST_SAID])


def _put_in_place(part: Path, target: Path) -> int:
    _to_disk(part)
    part.replace(target)
    _to_disk(target.parent)
    return target.stat().st_size


def _to_disk(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def keep_newest(folder: Path, count: int, *, made: Path) -> list[Path]:
    """Remove all copies in *folder* but *made*, which is the newest, and the *count* less one that were written last;
    and what was left half made a day ago. What went.

    Only what has a name that :func:`backup_name` makes is touched. The stamp in it does not decide: a clock may have
    been wrong, or the copies of another machine lie there. Raises ``OSError``.
    """
    others = [path for path in folder.iterdir() if _NAME.fullmatch(path.name) and path != made]
    whole = [*sorted(others, key=lambda path: (path.stat().st_mtime_ns, path.name)), made]
    parts = [path for path in folder.glob(f"*{_PART}") if _NAME.fullmatch(path.name.removesuffix(_PART))]
    abandoned = [path for path in parts if path.stat().st_mtime < time.time() - _HALF_MADE_S]
    gone = [*whole[: max(0, len(whole) - count)], *abandoned]
    for path in gone:
        path.unlink(missing_ok=True)
    return gone
