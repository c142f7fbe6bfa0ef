"""Idempotency: (kind, message_id) is taken once, however its messages are grouped and however often they come."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from contracts.gate.delivery import Judged
from handlers.effects import MessageOutcome, Verdict
from storage.engine.database import Database
from storage.tables.journal import dead_letters, inbox
from storage.tables.sessions import session_events
from storage.tables.usage import session_usage
from tests.contracts.samples import Json, envelope, event, event_envelope, usage
from tests.handlers.deciding import Stream, count_outbox, keys, letters, outcomes, rows, settled

ACCEPTED, DUPLICATE, REFUSED = Verdict.ACCEPTED, Verdict.DUPLICATE, Verdict.REFUSED


def usage_body(message_id: str, tokens: int = 1) -> Json:
    return envelope(usage(input_tokens=tokens), message_id=message_id)


def short(outcome: MessageOutcome) -> tuple[Verdict, int, str | None]:
    return (outcome.verdict, outcome.status, None if outcome.error is None else str(outcome.error["code"]))


NEW = (ACCEPTED, 201, None)
KNOWN = (DUPLICATE, 200, None)
CONFLICT = (REFUSED, 409, "IDEMPOTENCY_CONFLICT")
INVALID = (REFUSED, 400, "VALIDATION_ERROR")


async def test_new_duplicate_and_conflict_are_told_apart_against_what_is_stored(database: Database) -> None:
    stream = Stream()
    await settled(database, [stream.deliver(usage_body("a")), stream.deliver(usage_body("b"))])

    got = await outcomes(
        database,
        [
            stream.deliver(usage_body("a")),
            stream.deliver(usage_body("b", tokens=2)),
            stream.deliver(usage_body("c")),
        ],
    )

    assert [short(outcome) for outcome in got] == [KNOWN, CONFLICT, NEW]


async def test_new_duplicate_and_conflict_are_told_apart_within_one_batch(database: Database) -> None:
    stream = Stream()

    got = await outcomes(
        database,
        [
            stream.deliver(usage_body("a")),
            stream.deliver(usage_body("a", tokens=2)),
            stream.deliver(usage_body("a")),
            stream.deliver(event_envelope(event(), message_id="a"), "session.event"),
            stream.deliver(usage_body("a", tokens=2)),
        ],
    )

    assert [short(outcome) for outcome in got] == [NEW, CONFLICT, KNOWN, NEW, CONFLICT]
    assert await keys(database) == {("session.usage", "a"), ("session.event", "a")}
    assert len(await letters(database)) == 2


async def test_a_conflict_tells_nothing_of_the_first_message(database: Database) -> None:
    stream = Stream()
    await settled(database, [stream.deliver(envelope(usage(session_id="secret-session"), message_id="a"))])

    [conflict] = await outcomes(database, [stream.deliver(usage_body("a"))])

    assert conflict.error is not None
    assert "secret-session" not in str(conflict.error)
    assert conflict.error["details"] == []


async def test_the_canonical_payload_decides_not_its_spelling(database: Database) -> None:
    stream = Stream()
    payload = usage()
    mixed = dict(reversed(list(payload.items())))
    await settled(database, [stream.deliver(envelope(payload))])

    [again] = await outcomes(
        database, [stream.deliver(envelope(mixed, created_at="2027-01-01T00:00:00Z", producer="another"))]
    )

    assert short(again) == KNOWN


async def test_a_refused_message_does_not_use_up_its_key(database: Database) -> None:
    stream = Stream()

    got = await outcomes(
        database, [stream.deliver(usage_body("a", tokens=-1)), stream.deliver(usage_body("a", tokens=1))]
    )

    assert [short(outcome) for outcome in got] == [INVALID, NEW]


@dataclass(frozen=True)
class Sent:
    """One message of a story; variant 3 is invalid."""

    kind: str
    name: str
    variant: int

    def body(self, run: str) -> Json:
        figure = -1 if self.variant == 3 else self.variant
        scope = {"session_id": f"{run}:s{self.variant}", "agent": run}
        if self.kind == "session.usage":
            return envelope(usage(input_tokens=figure, **scope), message_id=f"{run}:{self.name}")
        payload = event(data={"figure": figure}, type="message" if figure >= 0 else "nothing", **scope)
        return event_envelope(payload, message_id=f"{run}:{self.name}")


@st.composite
def stories(draw: st.DrawFn) -> list[list[Sent]]:
    """Any messages under few keys, in any partition into batches."""
    sent = st.builds(
        Sent, st.sampled_from(["session.usage", "session.event"]), st.sampled_from("abc"), st.sampled_from([0, 1, 2, 3])
    )
    return draw(st.lists(st.lists(sent, min_size=1, max_size=6), min_size=1, max_size=5))


def model(story: Sequence[Sent]) -> list[tuple[Verdict, int, str | None]]:
    """What one message after the other comes to, by a plain dictionary."""
    known: dict[tuple[str, str], int] = {}
    answers: list[tuple[Verdict, int, str | None]] = []
    for sent in story:
        key = (sent.kind, sent.name)
        if sent.variant == 3:
            answers.append(INVALID)
        elif key not in known:
            known[key] = sent.variant
            answers.append(NEW)
        else:
            answers.append(KNOWN if known[key] == sent.variant else CONFLICT)
    return answers


runs = itertools.count(1)


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(story=stories(), redelivered=st.sets(st.integers(0, 4)))
async def test_any_partition_into_batches_comes_to_what_one_by_one_comes_to(
    database: Database, story: list[list[Sent]], redelivered: set[int]
) -> None:
    run = f"run{next(runs)}"
    stream = Stream(name=f"STREAM_{run}")
    expected = iter(model([sent for batch in story for sent in batch]))
    before = await count_outbox(database)

    for number, batch in enumerate(story):
        judged = [stream.deliver(sent.body(run), sent.kind) for sent in batch]
        answers = [short(outcome) for outcome in await outcomes(database, judged)]
        assert answers == [next(expected) for _ in batch]
        if number in redelivered:
            await expect_no_second_effect(database, stream, judged, answers)

    answers = model([sent for batch in story for sent in batch])
    pairs = list(zip([sent for batch in story for sent in batch], answers, strict=True))
    taken = {(sent.kind, sent.name): sent.variant for sent, answer in pairs if answer == NEW}
    assert await stored_keys(database, run) == set(taken)
    assert await stored_effects(database, run) == taken
    refused = sum(answer[0] is REFUSED for answer in answers)
    assert await count_letters(database, stream.name) == refused
    assert await count_outbox(database) - before == refused


async def expect_no_second_effect(
    database: Database, stream: Stream, judged: Sequence[Judged], answers: Sequence[tuple[Verdict, int, str | None]]
) -> None:
    """A crash between commit and acknowledgement: all of it comes again."""
    again = await outcomes(database, [stream.again(each) for each in judged])
    assert [short(outcome) for outcome in again] == [
        KNOWN if verdict is not REFUSED else (verdict, status, code) for verdict, status, code in answers
    ]


async def stored_keys(database: Database, run: str) -> set[tuple[str, str]]:
    found = await rows(database, select(inbox.c.kind, inbox.c.message_id).where(inbox.c.message_id.like(f"{run}:%")))
    return {(row["kind"], row["message_id"].partition(":")[2]) for row in found}


async def stored_effects(database: Database, run: str) -> dict[tuple[str, str], int]:
    """(kind, name) -> variant of every row that was written; a second row for one key fails."""
    effects: dict[tuple[str, str], int] = {}
    for kind, table in (("session.usage", session_usage), ("session.event", session_events)):
        found = await rows(database, select(table.c.message_id, table.c.session_id).where(table.c.agent == run))
        for row in found:
            key = (kind, row["message_id"].partition(":")[2])
            assert key not in effects
            effects[key] = int(row["session_id"].rpartition("s")[2])
    return effects


async def count_letters(database: Database, stream: str) -> int:
    [row] = await rows(database, select(func.count().label("n")).where(dead_letters.c.stream == stream))
    return int(row["n"])
