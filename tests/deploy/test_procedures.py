"""The procedures of the runbook, by the very commands that stand there, and what is there afterwards."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from adapters.nats.server.embedded_server import EmbeddedServer
from storage import migrations
from tests.deploy.procedures import BAD, RECORDS, Machine, expect_all, leave, publish
from tests.support import databases
from tests.support.command_line import headgate
from tests.support.commands import Json
from tests.support.records.usage_records import many

pytestmark = [pytest.mark.process, pytest.mark.slow]


@contextmanager
def started(folder: Path, more: str = "") -> Iterator[Machine]:
    with stopped(folder, more) as machine:
        machine.start()
        yield machine


@contextmanager
def stopped(folder: Path, more: str = "") -> Iterator[Machine]:
    machine = Machine(folder, more)
    try:
        yield machine
    finally:
        machine.end()


def external(nats_url: str, storage_url: str) -> str:
    return f'[nats]\nmode = "external"\nurl = "{nats_url}"\n[storage]\nurl = "{storage_url}"\n'


def newest_copy(machine: Machine) -> Path:
    return max((machine.state_dir / "backups").glob("headgate-*"))


async def test_everything_moves_to_another_machine_with_its_folder(tmp_path: Path) -> None:
    with started(tmp_path / "old machine") as old, stopped(tmp_path / "another" / "path") as new:
        left = await leave(old)
        old.run("operations.md", "pack", tmp_path)
        said = new.run("operations.md", "unpack", tmp_path)
        assert "degraded" not in said[-1]
        await expect_all(new, left)


@pytest.mark.postgres
async def test_servers_move_to_other_machines_with_what_they_hold(tmp_path: Path) -> None:
    with (
        databases.postgres_server() as postgres,
        postgres.empty_database() as before,
        postgres.empty_database() as after,
    ):
        variables: dict[str, str | Path] = {
            "OLD_POSTGRES": before,
            "NEW_POSTGRES": after,
            "OLD_NATS_STORE": tmp_path / "old-store",
            "NEW_NATS_STORE": tmp_path / "new-store",
            "PROGRAMS": postgres.programs,
        }
        server = EmbeddedServer(tmp_path / "old-store", tmp_path / "old-state", sync="always")
        await server.start()
        with started(tmp_path / "old", external(server.url, before)) as daemon:
            left = await leave(daemon)
            assert daemon.terminate() == 0
            await server.stop()
            daemon.run("operations.md", "pack-servers", tmp_path, **variables)
            daemon.run("operations.md", "unpack-servers", tmp_path, **variables)
            server = EmbeddedServer(tmp_path / "new-store", tmp_path / "new-state", sync="always")
            await server.start()
            try:
                daemon.config.write_text(daemon.config.read_text().partition("[nats]")[0] + external(server.url, after))
                daemon.start()
                await expect_all(daemon, left)
                assert daemon.terminate() == 0
            finally:
                await server.stop()


def test_a_copy_is_restored_on_sqlite(tmp_path: Path) -> None:
    with started(tmp_path / "home") as machine:
        publish(machine, *RECORDS[:10], BAD)
        headgate("ops", "backup", "--config", machine.config)
        publish(machine, *RECORDS[10:])
        machine.run("backup.md", "restore-sqlite", tmp_path, COPY=newest_copy(machine))
        assert min(path.name for path in (tmp_path / "aside").iterdir()) == "headgate.db"
        assert headgate("migrate", "status", "--config", machine.config).code == 0
        machine.start()
        assert publish(machine, *RECORDS) == {"accepted": 10, "duplicate": 10, "refused": 0}
        assert headgate("ops", "health-check", "--config", machine.config).code == 0


@pytest.mark.postgres
async def test_a_copy_is_restored_on_postgres(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = EmbeddedServer(tmp_path / "store", tmp_path / "state", sync="interval")
    await server.start()
    try:
        with databases.postgres_server() as postgres, postgres.empty_database() as url:
            monkeypatch.setenv("PATH", str(postgres.programs), prepend=":")
            with started(tmp_path / "home", external(server.url, url)) as machine:
                publish(machine, *RECORDS[:10])
                headgate("ops", "backup", "--config", machine.config)
                publish(machine, *RECORDS[10:])
                variables = {"POSTGRES": postgres.url(), "RESTORED": postgres.url("headgate_restored")}
                copy = newest_copy(machine)
                machine.run(
                    "backup.md", "restore-postgres", tmp_path, **variables, COPY=copy, PROGRAMS=postgres.programs
                )
                machine.config.write_text(machine.config.read_text().replace(url, variables["RESTORED"]))
                machine.start()
                assert publish(machine, *RECORDS) == {"accepted": 10, "duplicate": 10, "refused": 0}
    finally:
        await server.stop()


def test_a_step_down_is_taken_and_the_next_start_goes_up_again(tmp_path: Path) -> None:
    with started(tmp_path / "home") as machine:
        publish(machine, *RECORDS, BAD)
        said = machine.run("operations.md", "roll-back", tmp_path)
        assert "revision 0011" in said[-1]
        assert f"{migrations.head()}" in said[-1]
        machine.start()
        assert publish(machine, *RECORDS) == {"accepted": 0, "duplicate": 20, "refused": 0}
        with closing(sqlite3.connect(newest_copy(machine))) as copy:
            assert copy.execute("SELECT count(*) FROM session_usage").fetchone() == (20,)


def test_an_import_is_reported(tmp_path: Path) -> None:
    many(tmp_path / "old.jsonl", 30, "imported")
    with (tmp_path / "old.jsonl").open("a") as file:
        file.write(json.dumps(BAD) + "\n")
    with started(tmp_path / "home") as machine:
        (said,) = machine.run("operations.md", "import", tmp_path)
        assert "VALIDATION_ERROR" in said
        run = headgate("ops", "runs", "--param", "operation=import-legacy", "--json", "--config", machine.config)
        result: Json = run.json["items"][0]["result"]  # type: ignore[index]  # JSON
        assert (result["read"], result["written"], [each["line"] for each in result["errors"]]) == (31, 30, [31])


async def test_where_nats_and_its_files_are_lost_the_database_is_enough_to_go_on(tmp_path: Path) -> None:
    with started(tmp_path / "home") as machine:
        left = await leave(machine)
        machine.run("operations.md", "nats-lost", tmp_path)
        assert publish(machine, *RECORDS) == {"accepted": 0, "duplicate": 20, "refused": 0}
        job = headgate(
            "ask", "hg.cmd.job.get", json.dumps({"job_id": left.job_id}), "--json", "--config", machine.config
        )
        assert job.json["status"] == "QUEUED" or job.code == 0, job.out
