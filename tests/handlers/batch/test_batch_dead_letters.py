"""Refusals: the row first, its message second, once for each stored message."""

import base64
from collections.abc import Sequence

import orjson
import pytest

from contracts.gate.delivery import Accepted
from handlers.batch import INTERNAL, dead_letter_alone, decide_batch
from handlers.effects import Context, Effects, Verdict
from handlers.ledger.sessions import take_sessions
from handlers.registry import FAMILIES
from storage.engine.database import Database
from storage.engine.failures import DataRefused
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import TRACE, envelope, usage
from tests.handlers.deciding import Stream, context, keys, letters, outcomes, settled, waiting


async def test_a_refusal_is_a_row_and_a_message_that_tells_of_it(database: Database) -> None:
    stream = Stream()
    body = orjson.dumps(envelope(usage(input_tokens="a secret"), message_id="m1"))
    judged = stream.deliver(
        body, headers={"Nats-Msg-Id": "m1", "Authorization": "Bearer x", "webhook-signature": "v1,y"}
    )

    answer = await settled(database, [judged])

    [outcome] = answer.outcomes
    assert outcome.error is not None
    assert (outcome.verdict, outcome.status, outcome.error["code"]) == (Verdict.REFUSED, 400, "VALIDATION_ERROR")
    assert answer.lanes == {"HG_DEAD"}
    [row] = await letters(database)
    assert (row["state"], row["kind"], row["message_id"], row["producer"]) == (
        "open",
        "session.usage",
        "m1",
        "planner-7",
    )
    assert (row["stream"], row["sequence"], row["stored_at"]) == ("HG_INGEST", 1, judged.delivery.stored_at)
    assert bytes(row["body"]) == body
    assert orjson.loads(row["headers"]) == {"Nats-Msg-Id": "m1", "webhook-signature": "v1,y"}
    [message] = await waiting(database)
    assert message.subject == "hg.dead.ingest.session.usage"
    told = orjson.loads(message.body)
    assert (told["kind"], told["message_id"], told["trace_id"]) == ("dead_letter", message.message_id, TRACE)
    payload = told["payload"]
    assert payload["dead_letter_id"] == row["dead_letter_id"]
    assert payload["error"] == outcome.error == orjson.loads(row["problem"])
    assert payload["origin"]["headers"] == {
        "Nats-Msg-Id": "m1",
        "Authorization": "redacted",
        "webhook-signature": "redacted",
    }
    assert (payload["body"], payload["body_encoding"]) == (body.decode(), "utf-8")
    assert "a secret" not in str(payload["error"])


async def test_bytes_that_are_no_text_are_kept_and_told_byte_for_byte(database: Database) -> None:
    body = bytes(range(256))

    await settled(database, [Stream().deliver(body)])

    [row], [message] = await letters(database), await waiting(database)
    payload = orjson.loads(message.body)["payload"]
    assert bytes(row["body"]) == body
    assert payload["body_encoding"] == "base64"
    assert base64.b64decode(payload["body"]) == body


async def test_a_body_too_large_for_the_server_stays_in_its_row(database: Database) -> None:
    body = b"x" * 300_000

    await database.write(
        lambda uow: decide_batch([Stream().deliver(body)], uow, context(max_message_bytes=200_000), FAMILIES)
    )

    [row], [message] = await letters(database), await waiting(database)
    payload = orjson.loads(message.body)["payload"]
    assert (row["code"], bytes(row["body"])) == ("PAYLOAD_TOO_LARGE", body)
    assert (payload["body"], payload["body_encoding"]) == (None, "stored")


@pytest.mark.parametrize("kind", ["a\0b", "\N{REPLACEMENT CHARACTER}", "no such kind", "é" * 2_000])
async def test_whatever_the_subject_the_refusal_is_kept_and_can_be_told(database: Database, kind: str) -> None:
    [outcome] = await outcomes(database, [Stream().deliver(envelope(usage()), kind)])

    assert outcome.error is not None
    assert outcome.error["code"] == "VALIDATION_ERROR"
    assert len(await letters(database)) == 1
    [message] = await waiting(database)
    assert message.subject.startswith("hg.dead.ingest.")


async def test_a_redelivery_finds_its_row_and_repeats_the_recorded_answer(database: Database) -> None:
    stream = Stream()
    first = stream.deliver(envelope(usage(status="neither")))
    conflict = [stream.deliver(envelope(usage())), stream.deliver(envelope(usage(input_tokens=9)))]
    before = await outcomes(database, [first, *conflict])

    after = await outcomes(database, [stream.again(first), stream.again(conflict[1])])

    assert after == [before[0], before[2]]
    assert len(await letters(database)) == len(await waiting(database)) == 2


async def test_two_deliveries_of_one_message_in_one_batch_make_one_row_and_one_message(database: Database) -> None:
    stream = Stream()
    first = stream.deliver(b"{")
    second = stream.again(first)

    new = await outcomes(database, [first, second])
    known = await outcomes(database, [stream.again(second), stream.again(second)])

    assert len({str(outcome.error) for outcome in (*new, *known)}) == 1
    assert all(outcome.verdict is Verdict.REFUSED for outcome in (*new, *known))
    assert len(await letters(database)) == len(await waiting(database)) == 1


async def test_the_same_bad_body_ten_times_is_ten_rows_with_the_same_answer(database: Database) -> None:
    stream = Stream()
    body = envelope(usage(input_tokens=-1, output_tokens="x", surplus=1), created_at="yesterday")

    got = await outcomes(database, [stream.deliver(body) for _ in range(10)])

    assert len({orjson.dumps(outcome.error) for outcome in got}) == 1
    rows = await letters(database)
    assert len(rows) == 10
    assert {row["paths"] for row in rows} == {"created_at,payload.input_tokens,payload.output_tokens,payload.surplus"}


async def test_what_a_handler_raises_leaves_nothing_of_its_batch_behind(database: Database) -> None:
    stream = Stream()

    def fails(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
        take_sessions(group, uow, context)
        raise DataRefused("a constraint")

    with pytest.raises(DataRefused):
        await settled(database, [stream.deliver(b"{"), stream.deliver(envelope(usage()))], {"session.usage": fails})

    assert await keys(database) == set()
    assert not await letters(database)
    assert not await waiting(database)


async def test_a_poison_message_is_buried_without_its_key(database: Database) -> None:
    stream = Stream()
    poison = stream.deliver(envelope(usage(), message_id="m1"), headers={"Headgate-Receipt": "_INBOX.a"})

    first = await database.write(lambda uow: dead_letter_alone(poison, INTERNAL, uow, context()))
    again = await database.write(lambda uow: dead_letter_alone(stream.again(poison), INTERNAL, uow, context()))

    [outcome] = first.outcomes
    assert outcome.error is not None
    assert (outcome.status, outcome.error["code"], outcome.error["details"]) == (500, "INTERNAL_ERROR", [])
    assert again.outcomes == first.outcomes
    assert await keys(database) == set()
    [row] = await letters(database)
    assert (row["code"], row["message_id"], row["trace_id"]) == ("INTERNAL_ERROR", "m1", TRACE)
    assert len(await waiting(database)) == 1
