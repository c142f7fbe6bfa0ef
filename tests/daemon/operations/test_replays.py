"""Dead letters of a real daemon: looked at, discarded, corrected, replayed, whatever happens in between."""

import base64
from collections.abc import Iterator

import orjson
import pytest

from tests.daemon.operations.operating import Json, operating, right, until, wrong
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

SETTINGS = "[log]\nlevel = 'info'\n"


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("replays"), SETTINGS) as ready:
        yield ready


async def test_an_edit_corrects_a_message_and_keeps_what_came(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await operator.publish(wrong(1, session_id="edit"))
        (letter,) = await operator.letters(1, producers=["planner-7"])
        still_wrong = orjson.dumps(envelope_without_payload()).decode()
        mended = orjson.dumps(right(1, session_id="edit")).decode()

        first = await operator.ask(
            "dead-letters", action="edit", dead_letter_id=letter["dead_letter_id"], body=still_wrong
        )
        assert (first["status"], first["result"]["replay_number"]) == (202, 1)
        opened = await operator.state(letter["dead_letter_id"], "open")
        second = await operator.ask("dead-letters", action="edit", dead_letter_id=letter["dead_letter_id"], body=mended)
        assert (second["status"], second["result"]["replay_number"]) == (202, 2)
        resolved = await operator.state(letter["dead_letter_id"], "resolved")

        assert opened["paths"] == ["payload"]
        assert orjson.loads(resolved["body"])["payload"]["input_tokens"] == -1
        assert [(each["outcome"], each["edited"], each["principal"]) for each in resolved["replays"]] == [
            ("still_failed", True, "local"),
            ("replayed", True, "local"),
        ]
        assert resolved["replays"][1]["difference"] == [
            {"path": "payload.input_tokens", "change": "changed", "was": -1, "now": 1200}
        ]
        run = await operator.ended(second["result"]["run_id"])
        assert (run["status"], run["result"]["replayed"]) == ("succeeded", 1)
        assert mended not in str(run["parameters"])


def envelope_without_payload() -> dict[str, object]:
    body = right(1)
    del body["payload"]
    return dict(body)


async def test_what_is_replayed_unchanged_is_refused_again_in_the_same_letter(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        for number in range(20, 45):
            await operator.publish(wrong(number, session_id="again"))
        letters = await operator.letters(25, states=["open"])
        ids = [letter["dead_letter_id"] for letter in letters]

        answer = await operator.ask("replay-failed", targets=["dead_letters"], ids=ids)
        run = await operator.ended(answer["result"]["run_id"])

        assert (answer["status"], answer["result"]["requested"]) == (202, 25)
        assert run["result"] == {"requested": 25, "replayed": 0, "skipped": 0, "still_failed": 25}
        status = await operator.result("replay-status", run_id=run["run_id"], limit=10)
        assert [item["outcome"] for item in status["items"]] == ["still_failed"] * 10
        assert {item["reason"] for item in status["items"]} == {"VALIDATION_ERROR"}
        rest = await operator.result("replay-status", run_id=run["run_id"], limit=500, cursor=status["next_cursor"])
        assert (len(rest["items"]), rest["next_cursor"]) == (15, None)
        after = await operator.letters(25, states=["open"])
        assert {letter["dead_letter_id"] for letter in after} >= set(ids)
        assert {letter["replay_number"] for letter in after if letter["dead_letter_id"] in ids} == {1}


async def test_a_forged_replay_has_no_effect(daemon: DaemonProcess) -> None:
    """Neither one that names an open letter, nor one whose body is another, nor one that names nothing."""
    async with operating(daemon) as operator:
        await operator.publish(wrong(60, session_id="forged"))
        letter = await operator.letter_of("m-60")
        body = orjson.dumps(right(60, session_id="forged"))
        named = {"Headgate-Dead-Letter": letter["dead_letter_id"], "Headgate-Replay": "1"}
        js = operator.nc.jetstream(timeout=PATIENCE_S)
        for headers in ({}, named, {**named, "Headgate-Replay": "0"}):
            await js.publish("hg.replay.ingest.session.usage", body, headers=headers)
        await js.publish("hg.replay.ingest.session.usage", orjson.dumps(wrong(60)), headers=named)

        async def all_read() -> bool:
            info = await js.consumer_info("HG_REPLAY", "headgate-replay")
            return not info.num_pending and not info.num_ack_pending

        await until(all_read)
        shown = await operator.letter(letter["dead_letter_id"])
        assert (shown["state"], shown["replay_number"], shown["replays"]) == ("open", 0, [])
        assert not [line for line in daemon.logs if line.get("event") == "poison message"]


async def test_a_discarded_letter_stays_discarded(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await operator.publish(wrong(70))
        letter = await operator.letter_of("m-70")
        dead_letter_id = letter["dead_letter_id"]

        answers = [await operator.ask("dead-letters", action="discard", dead_letter_id=dead_letter_id) for _ in "ab"]
        assert [answer["status"] for answer in answers] == [200, 200]
        edited = await operator.ask("dead-letters", action="edit", dead_letter_id=dead_letter_id, body="{}")
        assert (edited["status"], edited["error"]["code"]) == (409, "INVALID_STATE")
        replayed = await operator.result("replay-failed", ids=[dead_letter_id, "no-such-letter"])
        run = await operator.ended(replayed["run_id"])
        items = (await operator.result("replay-status", run_id=run["run_id"]))["items"]

        assert run["result"] == {"requested": 2, "replayed": 0, "skipped": 2, "still_failed": 0}
        assert {item["id"]: item["reason"] for item in items} == {
            dead_letter_id: "discarded",
            "no-such-letter": "not_found",
        }
        missing = await operator.ask("dead-letters", action="show", dead_letter_id="no-such-letter")
        assert (missing["status"], missing["error"]["code"]) == (404, "RESOURCE_NOT_FOUND")


async def test_a_body_that_is_too_large_for_a_reply_comes_in_parts(daemon: DaemonProcess) -> None:
    body = bytes(range(256)) * 4_096 * 5
    async with operating(daemon) as operator:
        await operator.publish(body, kind="session.usage", headers={"Nats-Msg-Id": "large"})

        async def refused() -> Json:
            found = await operator.result("dead-letters", action="list", codes=["PAYLOAD_TOO_LARGE"])
            return found["items"]

        (letter,) = await until(refused)
        parts: list[bytes] = []
        cursor: dict[str, str] = {}
        while True:
            part = await operator.result(
                "dead-letters", action="show", dead_letter_id=letter["dead_letter_id"], **cursor
            )
            parts.append(base64.b64decode(part["body"]))
            if part["next_cursor"] is None:
                break
            cursor = {"cursor": part["next_cursor"]}

    assert (letter["bytes"], len(parts)) == (len(body), 3)
    assert b"".join(parts) == body
