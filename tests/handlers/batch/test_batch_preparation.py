"""A batch that was prepared before its transaction is stored as one that was not."""

from collections.abc import Sequence

import pytest
from sqlalchemy import RowMapping, Table, select

from contracts.gate.delivery import Judged
from handlers.batch import decide_batch
from handlers.batch_preparation import prepare_batch
from handlers.effects import BatchOutcome, Verdict
from handlers.registry import FAMILIES
from storage.engine.database import Database
from storage.tables.journal import inbox
from storage.tables.sessions import session_events, session_ledger
from storage.tables.usage import daily_usage_agg, hourly_usage_agg, model_perf_agg, session_usage
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope, event, event_envelope, idea, usage
from tests.handlers.deciding import Stream, context

TABLES: Sequence[Table] = (
    inbox, session_usage, session_events, session_ledger, hourly_usage_agg, daily_usage_agg, model_perf_agg,
)  # fmt: skip


class Undo(Exception):
    """Ends a transaction without a trace."""


def bodies(count: int) -> list[tuple[Json, str]]:
    made: list[tuple[Json, str]] = []
    for number in range(count):
        if number % 7 == 3:
            made.append((event_envelope(event(text=f"said {number}"), message_id=f"e{number}"), "session.event"))
        else:
            changes = {"session_id": f"s{number % 5}", "runtime_ms": number * 37, "input_tokens": number}
            made.append((envelope(usage(**changes), message_id=f"m{number}"), "session.usage"))
    return made


def delivered(count: int) -> list[Judged]:
    stream = Stream()
    return [stream.deliver(body, kind) for body, kind in bodies(count)]


async def stored(
    database: Database, batch: Sequence[Judged], *, prepares: bool
) -> tuple[BatchOutcome, list[RowMapping]]:
    """What the batch came to, and every row that it left; undone."""
    kept: list[tuple[BatchOutcome, list[RowMapping]]] = []

    def work(uow: UnitOfWork) -> None:
        now = context()
        prepared = prepare_batch(batch, now, FAMILIES) if prepares else None
        assert (prepared is not None) is prepares
        outcome = decide_batch(batch, uow, now, FAMILIES, prepared)
        found = [
            row
            for table in TABLES
            for row in uow.connection.execute(
                select(*(column for column in table.c if column.name not in {"usage_id", "event_id"})).order_by(
                    *(table.c[name] for name in ("kind", "message_id") if name in table.c),
                    *table.primary_key.columns,
                )
            ).mappings()
        ]
        kept.append((outcome, found))
        raise Undo

    with pytest.raises(Undo):
        await database.write(work)
    return kept[0]


@pytest.mark.parametrize("count", [1, 40, 1_300])
async def test_it_stores_the_same_rows_and_tells_the_same_facts(database: Database, count: int) -> None:
    batch = delivered(count)
    plain, plain_rows = await stored(database, batch, prepares=False)
    prepared, prepared_rows = await stored(database, batch, prepares=True)

    assert [outcome.verdict for outcome in prepared.outcomes] == [Verdict.ACCEPTED] * count
    assert list(map(dict, prepared_rows)) == list(map(dict, plain_rows))
    assert prepared == plain


async def test_a_prepared_batch_with_a_known_message_is_decided_as_it_stands(database: Database) -> None:
    stream = Stream()
    first = stream.deliver(envelope(usage(), message_id="m3"))
    await database.write(lambda uow: decide_batch([first], uow, context(), FAMILIES))

    batch = [stream.deliver(envelope(usage(), message_id=f"m{number}")) for number in range(6)]
    prepared = prepare_batch(batch, context(), FAMILIES)
    assert prepared is not None
    outcome = await database.write(lambda uow: decide_batch(batch, uow, context(), FAMILIES, prepared))

    expected = [Verdict.ACCEPTED] * 6
    expected[3] = Verdict.DUPLICATE
    assert [each.verdict for each in outcome.outcomes] == expected


def test_what_may_be_known_refused_or_of_another_family_is_not_prepared() -> None:
    stream = Stream()
    plain = stream.deliver(envelope(usage(), message_id="a"))
    twice = stream.deliver(envelope(usage(), message_id="a"))
    refused = stream.deliver(b"{")
    other = stream.deliver(envelope(idea(), kind="content.idea", message_id="i"), "content.idea")
    for batch in ([plain, twice], [plain, refused], [plain, other], [stream.again(plain)]):
        assert prepare_batch(batch, context(), FAMILIES) is None
