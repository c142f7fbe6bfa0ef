"""Replays pass the gate like any message of their subject, and what comes of it lands at their one dead letter."""

from collections.abc import Callable, Sequence

import orjson
import pytest

from contracts.errors import ErrorCode, problem
from contracts.gate.delivery import Delivery
from handlers.batch import INTERNAL, dead_letter_alone
from handlers.effects import Effects, Verdict
from handlers.replays.replays import (
    LETTER_HEADER,
    NUMBER_HEADER,
    STUCK,
    as_first_arrived,
    claimed_by,
    message_of,
    open_stuck,
)
from storage.engine.database import Database
from storage.journal.replays import Begun
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import GATE, envelope, usage
from tests.handlers.deciding import NOW, Stream, context, keys, letters, outcomes, settled, waiting

GOOD = orjson.dumps(envelope(usage(), message_id="m1"))
BAD = orjson.dumps(envelope(usage(input_tokens=-1), message_id="m1"))


async def buried(database: Database, body: bytes = BAD, headers: dict[str, str] | None = None) -> str:
    """A dead letter; its id."""
    await settled(database, [Stream().deliver(body, headers=headers)])
    [row] = await letters(database)
    return str(row["dead_letter_id"])


async def begin(database: Database, letter: str, edited: bytes | None = None) -> Begun:
    def begins(uow: UnitOfWork) -> Begun:
        (begun,) = uow.replays.begin([letter], run_id="run-1", principal="ann", now=NOW)
        if edited is not None:
            uow.replays.edit((letter, begun.replay_number), edited, reason=None)
        return begun

    return await database.write(begins)


def on_the_wire(begun: Begun, body: bytes, **headers: str) -> Delivery:
    """The replay's message as the stream gives it."""
    message = message_of(begun, body, "run-1", context())
    return Delivery(
        message.subject.removeprefix("hg."), body, {**message.headers, **headers}, "HG_REPLAY", 9, 1, NOW, "$JS.ACK.9"
    )


async def arrived(database: Database, delivery: Delivery) -> Delivery | None:
    key = claimed_by(delivery)
    found = await database.read(lambda uow: uow.replays.originals([] if key is None else [key]))
    return as_first_arrived(delivery, None if key is None else found.get(key))


async def replayed(database: Database, deliveries: Sequence[Delivery | None]) -> list[Verdict]:
    batch = [GATE.judge(delivery) for delivery in deliveries if delivery is not None]
    return [outcome.verdict for outcome in await outcomes(database, batch)]


async def state_of(database: Database) -> tuple[str, str, int]:
    [row] = await letters(database)
    return (row["state"], row["code"], row["replay_number"])


async def test_a_taken_replay_resolves_its_letter(database: Database) -> None:
    letter = await buried(database)
    begun = await begin(database, letter, edited=GOOD)

    delivery = await arrived(database, on_the_wire(begun, GOOD))

    assert await replayed(database, [delivery]) == [Verdict.ACCEPTED]
    assert (await state_of(database))[::2] == ("resolved", 1)
    assert await keys(database) == {("session.usage", "m1")}
    assert len(await waiting(database)) == 1, "the letter was told of once, when it was buried"


async def test_a_refused_replay_opens_the_same_letter_and_tells_nobody_again(database: Database) -> None:
    letter = await buried(database)
    still_wrong = orjson.dumps(envelope(usage(), schema_version="9.9", message_id="m1"))
    begun = await begin(database, letter, edited=still_wrong)

    delivery = await arrived(database, on_the_wire(begun, still_wrong))

    assert await replayed(database, [delivery]) == [Verdict.REFUSED]
    assert await state_of(database) == ("open", "UNSUPPORTED_CONTRACT_VERSION", 1)
    [row] = await letters(database)
    assert bytes(row["body"]) == BAD
    assert len(await waiting(database)) == 1


async def test_a_replay_of_what_is_known_resolves_its_letter(database: Database) -> None:
    await settled(database, [Stream(name="ELSEWHERE").deliver(GOOD)])
    letter = await buried(database)
    begun = await begin(database, letter, edited=GOOD)

    assert await replayed(database, [await arrived(database, on_the_wire(begun, GOOD))]) == [Verdict.DUPLICATE]
    assert (await state_of(database))[0] == "resolved"


async def test_a_replay_is_the_message_as_it_first_arrived(database: Database) -> None:
    """Nothing of it is read from the wire: neither headers nor time, nor where to send a receipt."""
    letter = await buried(database, headers={"webhook-id": "e", "Headgate-Receipt": "_INBOX.gone", "Nats-Msg-Id": "m1"})
    begun = await begin(database, letter)

    delivery = await arrived(
        database, on_the_wire(begun, BAD, **{"webhook-id": "forged", "Headgate-Receipt": "_INBOX.x"})
    )

    assert delivery is not None
    [row] = await letters(database)
    assert (delivery.subject, delivery.stream, delivery.sequence, delivery.stored_at) == (
        "ingest.session.usage",
        "HG_INGEST",
        1,
        row["stored_at"],
    )
    assert delivery.headers == {"webhook-id": "e", "Nats-Msg-Id": "m1"}
    assert delivery.lineage == (letter, 1, "run-1", False)
    assert delivery.ack_to == "$JS.ACK.9"


@pytest.mark.parametrize(
    "forge",
    [
        lambda real: real._replace(body=GOOD),
        lambda real: real._replace(subject="replay.ingest.session.event"),
        lambda real: real._replace(headers={}),
        lambda real: real._replace(headers={**real.headers, NUMBER_HEADER: "2"}),
        lambda real: real._replace(headers={**real.headers, NUMBER_HEADER: "0"}),
        lambda real: real._replace(headers={**real.headers, NUMBER_HEADER: "one"}),
        lambda real: real._replace(headers={**real.headers, NUMBER_HEADER: "1" * 40}),
        lambda real: real._replace(headers={**real.headers, LETTER_HEADER: "another"}),
    ],
)
async def test_a_forged_replay_is_none(database: Database, forge: Callable[[Delivery], Delivery]) -> None:
    begun = await begin(database, await buried(database))
    real = on_the_wire(begun, BAD)

    assert await arrived(database, real) is not None
    assert await arrived(database, forge(real)) is None


async def test_a_letter_that_is_not_being_replayed_takes_no_replay(database: Database) -> None:
    letter = await buried(database)
    never_begun = Begun(letter, 0, "ingest.session.usage", BAD)

    assert await arrived(database, on_the_wire(never_begun, BAD)) is None
    assert claimed_by(on_the_wire(never_begun, BAD)._replace(headers={})) is None


async def test_a_replay_delivered_again_is_decided_once(database: Database) -> None:
    """Two daemons may have read the row before either decided."""
    begun = await begin(database, await buried(database), edited=GOOD)
    delivery = await arrived(database, on_the_wire(begun, GOOD))

    assert await replayed(database, [delivery, delivery]) == [Verdict.ACCEPTED, Verdict.IGNORED]
    assert await replayed(database, [delivery]) == [Verdict.IGNORED]
    assert (await state_of(database))[0] == "resolved"


async def test_a_replay_that_is_poison_opens_its_letter(database: Database) -> None:
    begun = await begin(database, await buried(database), edited=GOOD)
    delivery = await arrived(database, on_the_wire(begun, GOOD))
    assert delivery is not None

    await database.write(lambda uow: dead_letter_alone(GATE.judge(delivery), INTERNAL, uow, context()))

    assert await state_of(database) == ("open", "INTERNAL_ERROR", 1)


async def test_a_replay_that_has_to_wait_stays_one(database: Database) -> None:
    begun = await begin(database, await buried(database), edited=GOOD)
    delivery = await arrived(database, on_the_wire(begun, GOOD))
    assert delivery is not None

    answer = await settled(database, [GATE.judge(delivery)], {"session.usage": lambda *_: Effects(held={0: 2.0})})

    assert [outcome.verdict for outcome in answer.outcomes] == [Verdict.HELD]
    assert (await state_of(database))[0] == "replaying"


async def test_what_a_handler_refuses_opens_the_letter(database: Database) -> None:
    begun = await begin(database, await buried(database), edited=GOOD)
    delivery = await arrived(database, on_the_wire(begun, GOOD))
    assert delivery is not None
    why = problem(ErrorCode.INVALID_STATE, "not now")

    await settled(database, [GATE.judge(delivery)], {"session.usage": lambda *_: Effects(refused={0: why})})

    assert await state_of(database) == ("open", "INVALID_STATE", 1)
    assert await keys(database) == set()


async def test_a_replay_never_heard_of_again_opens_its_letter(database: Database) -> None:
    await begin(database, await buried(database))

    def heal(uow: UnitOfWork) -> list[int]:
        return [open_stuck(uow, context(), since=since, limit=9) for since in (NOW - 1, NOW, NOW)]

    assert await database.write(heal) == [0, 1, 0]
    [row] = await letters(database)
    assert (row["state"], orjson.loads(row["problem"])["message"]) == ("open", STUCK.message)


async def test_one_letter_of_two_is_late(database: Database) -> None:
    """Both letters of a batch stand for themselves."""
    stream = Stream()
    other = orjson.dumps(envelope(usage(input_tokens=-1), message_id="m2"))
    await settled(database, [stream.deliver(BAD), stream.deliver(other)])
    first, second = [str(row["dead_letter_id"]) for row in await letters(database)]
    begun = [await begin(database, first), await begin(database, second)]
    deliveries = [
        await arrived(database, on_the_wire(each, body)) for each, body in zip(begun, (BAD, other), strict=True)
    ]
    await replayed(database, deliveries[:1])

    assert await replayed(database, deliveries) == [Verdict.IGNORED, Verdict.REFUSED]
    assert {row["state"] for row in await letters(database)} == {"open"}
