"""Keeping the house: copies while intake runs and what is restored from them, retention, the record of operations."""

import asyncio
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.contracts.samples import envelope
from tests.daemon.operations.operating import Json, operating, right, until, wrong
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

SECRET = "a secret of thirty-two bytes or so"


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path / "home", "[backup]\nkeep = 2\n") as ready:
        yield ready


def rows(database: Path, question: str) -> list[tuple[Json, ...]]:
    with sqlite3.connect(database) as connection:
        return connection.execute(question).fetchall()


def size_and_mode(path: Path) -> tuple[int, int]:
    looks = path.stat()
    return looks.st_size, looks.st_mode & 0o777


async def test_a_copy_made_while_intake_runs_is_whole_and_can_be_restored(
    daemon: DaemonProcess, tmp_path: Path
) -> None:
    async with operating(daemon) as operator:
        stop = asyncio.Event()
        acknowledged: list[int] = []

        async def produce() -> None:
            number = 0
            while not stop.is_set():
                number += 1
                await operator.publish(right(number, session_id=f"s-{number}"))
                acknowledged.append(number)

        producing = asyncio.create_task(produce())
        await until(lambda: _more_than(daemon, 200))
        copies = [await operator.ask("backup") for _ in range(3)]
        stop.set()
        await producing
        run = await operator.ended(copies[-1]["result"]["run_id"])
        await until(lambda: _exactly(daemon, len(acknowledged)))

    results = [copy["result"] for copy in copies]
    assert [copy["status"] for copy in copies] == [202, 202, 202]
    newest = Path(results[-1]["path"])
    assert size_and_mode(newest) == (results[-1]["bytes"], 0o600)
    assert run["result"]["bytes"] == results[-1]["bytes"]
    assert sorted(newest.parent.iterdir()) == sorted(Path(result["path"]) for result in results[1:]), "two are kept"
    assert rows(newest, "PRAGMA integrity_check") == [("ok",)]

    restored = DaemonProcess(tmp_path / "restored")
    restored.state_dir.mkdir()
    shutil.copy(newest, restored.database)
    (held,) = rows(restored.database, "SELECT count(*) FROM session_usage")[0]
    # The copied lease of the other daemon would run out by itself within half a minute.
    rows(restored.database, "DELETE FROM leases")
    try:
        restored.start()
        async with operating(restored) as operator:
            for number in acknowledged:
                await operator.publish(right(number, session_id=f"s-{number}"))
            await until(lambda: _exactly(restored, len(acknowledged)))
            copied = await operator.ended(run["run_id"])
    finally:
        restored.end()
    assert 0 < held <= len(acknowledged)
    assert rows(restored.database, "SELECT count(DISTINCT message_id) FROM session_usage") == [(len(acknowledged),)]
    assert (copied["status"], copied["error"]["code"]) == ("failed", "INTERNAL_ERROR"), (
        "it was running when it was copied"
    )


async def _more_than(daemon: DaemonProcess, count: int) -> bool:
    return bool(rows(daemon.database, "SELECT count(*) FROM session_usage")[0][0] > count)


async def _exactly(daemon: DaemonProcess, count: int) -> bool:
    return bool(rows(daemon.database, "SELECT count(*) FROM session_usage")[0][0] == count)


async def test_prune_removes_what_is_old_and_done(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        for number in range(3):
            await operator.publish(right(number))
        await operator.publish(wrong(9))
        letter = await operator.letter_of("m-9")
        await operator.publish(wrong(8))
        other = await operator.letter_of("m-8")
        await operator.result("dead-letters", action="discard", dead_letter_id=letter["dead_letter_id"])
        with sqlite3.connect(daemon.database) as connection:
            connection.execute("UPDATE inbox SET received_at = 1 WHERE message_id <> 'm-2'")
            connection.execute("UPDATE dead_letters SET updated_at = 1")
        answer = await operator.ask("prune")
        run = await operator.ended(answer["result"]["run_id"])
        letters = (await operator.result("dead-letters", action="list"))["items"]

    assert answer["status"] == 202
    assert run["status"] == "succeeded", run["error"]
    removed = run["result"]["removed"]
    assert (removed["inbox"], removed["dead_letters"]) == (2, 1)
    assert [each["dead_letter_id"] for each in letters] == [other["dead_letter_id"]]
    assert rows(daemon.database, "SELECT message_id FROM inbox") == [("m-2",)]


async def test_every_act_and_every_refusal_is_on_record(tmp_path: Path) -> None:
    jwt = pytest.importorskip("jwt")
    settings = f"[auth]\nmode = 'jwt'\njwt_secret = '{SECRET}'\n[callbacks]\nsecrets = ['whsec_{'QUFB' * 10}']\n"

    def token(scope: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {jwt.encode({'sub': 'ann', 'scope': scope, 'exp': 2**33}, SECRET, 'HS256')}"}

    with running_daemon(tmp_path, settings) as daemon:
        async with operating(daemon) as operator:
            nobody = await operator.ask("runs")
            operator.headers = token("ops:read")
            forbidden = await operator.ask("dead-letters", action="discard", dead_letter_id="x")
            invalid = await operator.ask("dead-letters", action="explode")
            reading = await operator.ask("dead-letters", action="show", dead_letter_id="x")
            broken = await operator.nc.request("hg.ops.prune", b"{", timeout=PATIENCE_S, headers=operator.headers)
            runs = (await operator.result("runs"))["items"]
            later = await operator.result("runs", limit=2)
            rest = await operator.result("runs", limit=2, cursor=later["next_cursor"], operation="dead-letters")

    assert [answer["status"] for answer in (nobody, forbidden, invalid, reading)] == [401, 403, 400, 404]
    assert orjson.loads(broken.data)["payload"]["status"] == 400
    told = [(run["operation"], run["status"], run["principal"], (run["error"] or {}).get("code")) for run in runs]
    assert told == [
        ("prune", "failed", "ann", "VALIDATION_ERROR"),
        ("dead-letters", "failed", "ann", "RESOURCE_NOT_FOUND"),
        ("dead-letters", "failed", "ann", "VALIDATION_ERROR"),
        ("dead-letters", "failed", "ann", "FORBIDDEN"),
        ("runs", "failed", "unauthenticated", "UNAUTHENTICATED"),
    ]
    assert runs[3]["parameters"] == {"action": "discard", "dead_letter_id": "x"}
    assert all(run["trace_id"] for run in runs if run["operation"] != "prune")
    assert len(later["items"]) == 2
    assert later["run_id"] is None, "a look leaves no row"
    assert {run["operation"] for run in rest["items"]} == {"dead-letters"}
    assert SECRET not in str(runs)


async def test_the_run_of_a_dead_daemon_is_ended_by_the_next(daemon: DaemonProcess) -> None:
    with sqlite3.connect(daemon.database) as connection:
        for run_id, holder in (("dead", "no-such-daemon"), ("alive", "another")):
            connection.execute(
                "INSERT INTO ops_runs (run_id, operation, parameters, principal, status, started_at, daemon)"
                " VALUES (?, 'prune', '{}', 'ann', 'running', 1, ?)",
                (run_id, holder),
            )
        connection.execute("INSERT INTO leases VALUES ('daemon.another', 'another', 1, 9000000000000000)")
    async with operating(daemon) as operator:
        ended = await operator.ended("dead")
        living = await operator.run("alive")

    assert (ended["status"], ended["error"]["code"]) == ("failed", "INTERNAL_ERROR")
    assert living["status"] == "running"


async def test_a_body_in_a_request_is_not_repeated_in_its_record(daemon: DaemonProcess) -> None:
    body = orjson.dumps(envelope({"password": "hidden"})).decode()
    async with operating(daemon) as operator:
        await operator.ask("dead-letters", action="edit", dead_letter_id="x", body=body)
        (run,) = (await operator.result("runs", operation="dead-letters"))["items"]

    assert run["parameters"]["body"].startswith("sha256:")
    assert "hidden" not in str(run)
