"""What operators do with many dead letters: tell them apart, check, correct, discard; asked of a real daemon."""

import sqlite3
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import orjson
import pytest

from tests.contracts.samples import envelope, usage
from tests.daemon.operations.operating import Json, Operator, operating, right, until, wrong
from tests.support.daemons import DaemonProcess, running_daemon

pytestmark = pytest.mark.process


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("letters")) as ready:
        yield ready


def refused(producer: str, **changes: Json) -> Json:
    return envelope(usage(**{"input_tokens": -1, **changes}), message_id=str(uuid.uuid4()), producer=producer)


async def letters_of(operator: Operator, producer: str, count: int, **changes: Json) -> list[Json]:
    for _ in range(count):
        await operator.publish(refused(producer, **changes))
    return await operator.letters(count, producers=[producer])


async def test_looks_leave_no_row(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        (letter,) = await letters_of(operator, "looks", 1)
        before = rows(daemon)
        for action in ("list", "groups", "histogram"):
            assert (await operator.result("dead-letters", action=action))["run_id"] is None
        for command in ("health-check", "runs"):
            assert (await operator.result(command))["run_id"] is None
        check = await operator.result(
            "dead-letters", action="check", dead_letter_id=letter["dead_letter_id"], body="{}"
        )
        assert check["run_id"] is None
        assert rows(daemon) == before

        shown = await operator.letter(letter["dead_letter_id"])
        assert rows(daemon) == before + 1
        assert shown["run_id"] is not None, "a body was handed out"


def rows(daemon: DaemonProcess) -> int:
    with sqlite3.connect(daemon.database) as connection:
        return int(connection.execute("SELECT count(*) FROM ops_runs").fetchone()[0])


async def test_check_tells_the_verdict_of_gate_and_key_and_changes_nothing(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await operator.publish(wrong(70, session_id="check"))
        letter = await operator.letter_of("m-70")
        await operator.publish(right(71, session_id="check"))

        async def check(body: Json) -> Json:
            text = body if isinstance(body, str) else orjson.dumps(body).decode()
            return await operator.result(
                "dead-letters", action="check", dead_letter_id=letter["dead_letter_id"], body=text
            )

        assert (await check(right(70, session_id="check")))["outcome"] == "accepted"

        async def known() -> bool:
            return bool((await check(right(71, session_id="check")))["outcome"] == "duplicate")

        await until(known)
        conflict = await check(right(71, session_id="check", input_tokens=77))
        assert (conflict["outcome"], conflict["error"]["code"]) == ("refused", "IDEMPOTENCY_CONFLICT")
        nonsense = await check("[" * 300)
        assert (nonsense["outcome"], nonsense["error"]["code"]) == ("refused", "VALIDATION_ERROR")
        assert (await check(right(70, session_id="check")))["outcome"] == "accepted", "no key was used up"


async def test_an_edit_may_be_as_large_as_a_message_and_names_what_it_is_based_on(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await operator.publish(wrong(80, session_id="edit"))
        letter = await operator.letter_of("m-80")
        # Every quote of the body is two bytes of the request: it is twice as large as a message may be.
        body = '"' * 260_000
        edit = {"action": "edit", "dead_letter_id": letter["dead_letter_id"]}

        first = await operator.ask("dead-letters", edit, body=body, base_replay_number=0, reason="a typo")
        assert first["status"] == 202
        opened = await operator.state(letter["dead_letter_id"], "open")
        stale = await operator.ask("dead-letters", edit, body="{}", base_replay_number=0)
        too_large = await operator.ask("dead-letters", edit, body=" " * 262_145)
        mended = orjson.dumps(right(80, session_id="edit")).decode()
        last = await operator.ask("dead-letters", edit, body=mended, base_replay_number=1)
        await operator.state(letter["dead_letter_id"], "resolved")

    assert [(replay["reason"], replay["edited"]) for replay in opened["replays"]] == [("a typo", True)]
    assert (stale["status"], stale["error"]["code"]) == (409, "VERSION_CONFLICT")
    assert stale["error"]["details"][0]["current_replay_number"] == 1
    assert (too_large["status"], too_large["error"]["code"]) == (413, "PAYLOAD_TOO_LARGE")
    assert last["status"] == 202


async def test_a_corrected_body_however_deep_is_shown(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await operator.publish(wrong(85))
        letter = await operator.letter_of("m-85")
        deep = '{"payload":' + "[" * 250 + "]" * 250 + "}"
        await operator.ask("dead-letters", action="edit", dead_letter_id=letter["dead_letter_id"], body=deep)
        shown = await operator.state(letter["dead_letter_id"], "open")

    (replay,) = shown["replays"]
    assert replay["body"] == deep
    assert replay["difference"]


async def test_a_discard_by_filter_is_a_run_over_a_frozen_selection(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await letters_of(operator, "many", 5)
        discard = {"action": "discard", "producers": ["many"]}
        dry = await operator.result("dead-letters", discard, reason="a broken release", dry_run=True)
        kept = (await letters_of(operator, "many", 6))[0]
        answer = await operator.ask("dead-letters", discard, reason="a broken release", until=dry["frozen_at"])
        run = await operator.ended(answer["result"]["run_id"])
        status = await operator.result("replay-status", run_id=answer["result"]["run_id"])
        left = await operator.result("dead-letters", action="list", producers=["many"], states=["open"])
        (gone, *_) = (await operator.result("dead-letters", action="list", producers=["many"], states=["discarded"]))[
            "items"
        ]
        shown = await operator.letter(gone["dead_letter_id"])

    assert (dry["requested"], answer["status"], answer["result"]["requested"]) == (5, 202, 5)
    assert (run["operation"], run["status"]) == ("dead-letters", "succeeded")
    assert run["result"] == {"requested": 5, "discarded": 5, "skipped": 0}
    assert (status["requested"], status["discarded"], status["skipped"]) == (5, 5, 0)
    assert {item["outcome"] for item in status["items"]} == {"discarded"}
    assert kept["dead_letter_id"] in {each["dead_letter_id"] for each in left["items"]}
    assert len(left["items"]) == 6
    assert (shown["discarded"]["reason"], shown["discarded"]["principal"]) == ("a broken release", "local")


@pytest.mark.parametrize(
    "request_",
    [
        {"reason": "x"},
        {"states": ["open"], "reason": "x"},
        {"except_ids": ["a"], "reason": "x"},
        {"all": True},
        {"dead_letter_id": "a", "kinds": ["x"], "reason": "x"},
        {"kinds": ["x"], "reason": "x", "dry_run": "yes"},
        {"kinds": ["x"], "reason": "x", "dry_run": 1},
    ],
)
async def test_a_discard_that_names_nothing_or_gives_no_reason_is_refused(
    daemon: DaemonProcess, request_: Json
) -> None:
    async with operating(daemon) as operator:
        answer = await operator.ask("dead-letters", request_, action="discard")

    assert (answer["status"], answer["error"]["code"]) == (400, "VALIDATION_ERROR")


async def test_a_histogram_has_equal_parts_empty_ones_included(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await letters_of(operator, "histogram", 3)
        now = datetime.now(UTC)
        items = (
            await operator.result(
                "dead-letters",
                action="histogram",
                producers=["histogram"],
                buckets=4,
                since=(now - timedelta(minutes=3)).isoformat(),
                until=(now + timedelta(minutes=1)).isoformat(),
            )
        )["items"]

    assert [item["count"] for item in items] == [0, 0, items[2]["count"], 3 - items[2]["count"]]
    assert len({item["start"] for item in items}) == 4


async def test_an_abort_is_heard_while_a_slow_replay_waits(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await letters_of(operator, "slow", 3)
        answer = await operator.result("replay-failed", producers=["slow"], rate_per_second=0.001)
        await until(lambda: one_sent(operator, answer["run_id"]))
        await operator.result("replay-abort", run_id=answer["run_id"])
        run = await operator.ended(answer["run_id"])

    assert run["status"] == "aborted", "long before the 1,000 s of the rate"
    assert (run["result"]["still_failed"], run["result"]["skipped"]) == (1, 2)


async def one_sent(operator: Operator, run_id: str) -> bool:
    return bool((await operator.result("replay-status", run_id=run_id))["still_failed"])
