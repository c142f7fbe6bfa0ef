"""PostgreSQL's URL in libpq's words, for the daemon, for ``migrate`` and for copies alike."""

import os
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from storage.engine import migration
from storage.engine.backup import copy_database
from storage.engine.postgres.url import UrlFault, read_postgres_url
from storage.unit_of_work import UnitOfWork
from tests.support import databases
from tests.support.databases import PostgresServer

WORDS = (
    "sslmode=prefer&application_name=the%20gate&connect_timeout=7&channel_binding=prefer&gssencmode=disable"
    "&options=-c%20geqo%3Doff&target_session_attrs=any&client_encoding=UTF8"
)


def with_words(url: str) -> str:
    return f"{url}{'&' if '?' in url else '?'}{WORDS}"


def setting(name: str, uow: UnitOfWork) -> str:
    return str(uow.connection.exec_driver_sql(f"SHOW {name}").scalar_one())


@pytest.mark.postgres
async def test_daemon_migration_and_copy_take_the_same_words(
    postgres: PostgresServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{postgres.programs}:{os.environ['PATH']}")
    with postgres.empty_database() as bare:
        url = with_words(bare)

        assert (await migration.upgrade(url)).up_to_date
        async with databases.opened(url) as database:
            assert await database.read(lambda uow: setting("application_name", uow)) == "the gate"
            assert await database.read(lambda uow: setting("geqo", uow)) == "off"
        assert await copy_database(url, tmp_path / "copy.dump") > 0


@pytest.mark.postgres
async def test_a_server_without_tls_is_not_spoken_to_where_tls_is_asked_for(postgres: PostgresServer) -> None:
    url = make_url(postgres.url()).set(host="127.0.0.1").update_query_dict({"sslmode": "verify-full"})

    with pytest.raises(Exception, match=r"SSL|ssl|certificate|Connect call failed"):
        await migration.status(url.render_as_string(hide_password=False))


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("said", "kept"),
    [("off", "on"), ("local", "on"), ("remote_write", "on"), ("on", "on"), ("remote_apply", "remote_apply")],
)
async def test_commits_wait_for_the_disk_whatever_the_database_says(
    postgres: PostgresServer, said: str, kept: str
) -> None:
    with postgres.migrated_database() as url:
        name = make_url(url).database
        postgres.execute(f"ALTER DATABASE {name} SET synchronous_commit = '{said}'")

        async with databases.opened(url) as database:
            assert await database.write(lambda uow: setting("synchronous_commit", uow)) == kept
            assert await database.read(lambda uow: setting("synchronous_commit", uow)) == kept


@pytest.mark.postgres
async def test_a_server_without_fsync_is_known(postgres: PostgresServer) -> None:
    with postgres.migrated_database() as url:
        async with databases.opened(url) as database:
            assert await database.read(lambda uow: uow.lost_with_the_machine()) is not None

            postgres.execute("ALTER SYSTEM SET fsync = on")
            postgres.execute("SELECT pg_reload_conf()")
            try:
                await databases.until(database, lambda uow: setting("fsync", uow) == "on")
                assert await database.read(lambda uow: uow.lost_with_the_machine()) is None
            finally:
                postgres.execute("ALTER SYSTEM SET fsync = off")
                postgres.execute("SELECT pg_reload_conf()")


@pytest.mark.parametrize(
    ("query", "fault"),
    [
        ("ssl=true", "has ssl (sslmode is meant)"),
        ("sslmod=require", "has sslmod, which is not among"),
        ("sslmode=on", "has sslmode, which must be one of disable"),
        ("connect_timeout=soon", "has connect_timeout, which must be a whole number"),
        ("channel_binding=require", "has channel_binding, which must be one of disable, prefer"),
        ("client_encoding=LATIN1", "has client_encoding"),
        ("keepalives=1", "has keepalives, which is not among"),
        ("%00%0a=1", "has a word after ?"),
        ("nothing", "must have word=value"),
    ],
)
def test_a_word_that_cannot_be_honoured_is_refused_in_one_line(query: str, fault: str) -> None:
    with pytest.raises(UrlFault) as caught:
        read_postgres_url(f"postgresql://me:hunter2@host/db?{query}")

    assert str(caught.value).startswith(fault)
    assert "\n" not in str(caught.value)
    assert "hunter2" not in str(caught.value)


def test_no_password_is_an_argument_of_a_program() -> None:
    for url in (
        "postgresql://a%40b:hunter%2F2@host:5433/db?sslmode=require",
        "postgresql://a%40b@host:5433/db?password=hunter%2F2&sslmode=require",
    ):
        read = read_postgres_url(url)

        assert read.password == "hunter/2"
        assert "hunter" not in read.dump
        assert read.dump == "postgresql://a%40b@host:5433/db?fallback_application_name=headgate&sslmode=require"
        assert read.dsn == "postgresql://a%40b:hunter%2F2@host:5433/db?sslmode=require"
