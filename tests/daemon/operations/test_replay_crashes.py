"""Replays whose daemon dies in the middle, meets another invocation, or is told to stop: counts always add up."""

import asyncio
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from tests.daemon.operations.operating import Json, Operator, operating, until, wrong
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.kills]

COMPAT = "[contracts]\nmode = 'compat'\n"
"""Bare payloads are refused under strict rules and taken under these: a restart mends what was refused."""


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path) as ready:
        yield ready


async def refused(operator: Operator, count: int) -> None:
    """*count* open dead letters, each of another message."""
    js = operator.nc.jetstream(timeout=PATIENCE_S)
    for start in range(0, count, 200):
        numbers = range(start, min(count, start + 200))
        bodies = [orjson.dumps(bare(number)) for number in numbers]
        await asyncio.gather(*(js.publish("hg.ingest.session.usage", body) for body in bodies))

    async def buried() -> bool:
        groups = (await operator.result("dead-letters", action="groups"))["items"]
        return bool(sum(group["count"] for group in groups) == count)

    await until(buried, within_s=120)


def bare(number: int) -> Json:
    """A payload without its envelope."""
    payload = wrong(number)["payload"]
    return payload | {"session_id": f"s-{number}", "input_tokens": number}


def stored(daemon: DaemonProcess) -> int:
    with sqlite3.connect(daemon.database) as connection:
        return int(connection.execute("SELECT count(*) FROM session_usage").fetchone()[0])


def adds_up(result: Json) -> bool:
    return bool(result["requested"] == result["replayed"] + result["skipped"] + result["still_failed"])


def switch_to_compat(daemon: DaemonProcess) -> None:
    daemon.config.write_text(COMPAT, encoding="utf-8")


async def test_a_replay_goes_on_after_its_daemon_was_killed(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await refused(operator, 1_500)
    assert daemon.terminate() == 0
    switch_to_compat(daemon)
    daemon.start()
    async with operating(daemon) as operator:
        answer = await operator.result("replay-failed", all=True, rate_per_second=400)

        async def half_way() -> bool:
            status = await operator.result("replay-status", run_id=answer["run_id"], limit=1)
            return bool(status["replayed"] > 100)

        await until(half_way)
    daemon.kill9()
    daemon.start()

    async with operating(daemon) as operator:
        run = await operator.ended(answer["run_id"], within_s=120)
        groups = await operator.result("dead-letters", action="groups")

    assert answer["requested"] == 1_500
    assert (run["status"], run["result"]) == (
        "succeeded",
        {"requested": 1_500, "replayed": 1_500, "skipped": 0, "still_failed": 0},
    )
    assert groups["items"] == []
    assert stored(daemon) == 1_500
    assert daemon.events("run_taken_over")


async def test_invocations_at_the_same_time_replay_each_letter_once(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await refused(operator, 300)
    daemon.terminate()
    switch_to_compat(daemon)
    daemon.start()
    async with operating(daemon) as operator:
        answers = await asyncio.gather(*(operator.result("replay-failed", all=True) for _ in range(4)))
        runs = [await operator.ended(answer["run_id"]) for answer in answers]
        letters = (await operator.result("dead-letters", action="list", limit=500))["items"]
        again = await operator.result("replay-failed", ids=[letter["dead_letter_id"] for letter in letters])
        last = await operator.ended(again["run_id"])
        items = (await operator.result("replay-status", run_id=again["run_id"], limit=500))["items"]

    assert all(adds_up(run["result"]) for run in runs)
    assert sum(run["result"]["replayed"] for run in runs) == 300
    assert {letter["replay_number"] for letter in letters} == {1}
    assert {letter["state"] for letter in letters} == {"resolved"}
    assert last["result"] == {"requested": 300, "replayed": 0, "skipped": 300, "still_failed": 0}
    assert {item["reason"] for item in items} == {"already_replayed"}
    assert stored(daemon) == 300


async def test_a_request_that_comes_twice_is_one_replay(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await refused(operator, 3)
        answers = [await operator.ask("replay-failed", all=True, message_id="once") for _ in range(2)]
        other = await operator.ask("replay-failed", all=True, limit=1, message_id="once")

    assert [answer["status"] for answer in answers] == [202, 200]
    assert answers[1]["replayed"] is True
    assert answers[0]["result"] == answers[1]["result"]
    assert (other["status"], other["error"]["code"]) == (409, "IDEMPOTENCY_CONFLICT")


async def test_a_replay_that_is_aborted_skips_the_rest(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await refused(operator, 200)
        answer = await operator.result("replay-failed", all=True, rate_per_second=1)
        run_id = answer["run_id"]
        aborted = await operator.result("replay-abort", run_id=run_id)
        run = await operator.ended(run_id)
        items = (await operator.result("replay-status", run_id=run_id, limit=500))["items"]
        again = await operator.ask("replay-abort", run_id=run_id)
        unknown = await operator.ask("replay-abort", run_id="no-such-run")

    assert aborted["run_id"] == run_id
    assert (run["status"], run["result"]["stopped"]) == ("aborted", "aborted")
    assert adds_up(run["result"])
    assert run["result"]["skipped"] > 0
    assert {item["reason"] for item in items if item["outcome"] == "skipped"} == {"aborted"}
    assert (again["status"], again["result"]["status"]) == (200, "aborted")
    assert unknown["status"] == 404


async def test_a_replay_stops_where_too_much_fails_again(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await refused(operator, 300)
        answer = await operator.result("replay-failed", kinds=["session.usage"], stop_on_failure_ratio=0.5)
        run = await operator.ended(answer["run_id"])

    assert run["status"] == "aborted"
    assert run["result"] == {
        "requested": 300,
        "replayed": 0,
        "skipped": 289,
        "still_failed": 11,
        "stopped": "failure_ratio",
    }


async def test_a_dry_run_changes_nothing_and_an_empty_selection_is_refused(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await refused(operator, 12)
        dry = await operator.ask("replay-failed", producers=["unknown"], dry_run=True)
        every = await operator.ask("replay-failed", all=True, dry_run=True, limit=5)
        empty = await operator.ask("replay-failed", targets=["dead_letters"])
        letters = (await operator.result("dead-letters", action="list"))["items"]
        runs = (await operator.result("runs", operation="replay-failed"))["items"]

    assert (dry["status"], dry["result"]["requested"]) == (200, 0)
    assert (every["status"], every["result"]["requested"], len(every["result"]["items"])) == (200, 5, 5)
    assert {(item["outcome"], item["reason"]) for item in every["result"]["items"]} == {("skipped", "dry_run")}
    assert {letter["state"] for letter in letters} == {"open"}
    assert (empty["status"], [detail["path"] for detail in empty["error"]["details"]]) == (400, ["payload.all"])
    assert [run["status"] for run in runs] == ["failed", "succeeded", "succeeded"]
    assert runs[0]["error"]["code"] == "VALIDATION_ERROR"
    assert runs[0]["parameters"] == {"targets": ["dead_letters"]}
