"""Items and publications: the newest message counts, due is due for one daemon only, events are known once."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import insert

from contracts.values.states import ItemState, PublicationState
from contracts.values.work import WorkType
from domain.content.items import Item
from domain.content.publications import Cancellation, Publication
from domain.work.work import Failure, WorkInHand
from storage.content.items import ItemSentiment, StoredItem
from storage.content.pages import Period
from storage.content.publications import StoredPublication
from storage.engine.database import Database
from storage.journal.callback_events import CallbackEvent
from storage.tables.jobs import jobs
from storage.unit_of_work import UnitOfWork
from tests.support import statements
from tests.support.databases import opened
from tests.support.records.work_records import NOW, dispatched

WHY = Failure("c", "m", retryable=True)


def item(item_id: str = "i", *, item: Item | None = None, **changed: Any) -> StoredItem:
    values = StoredItem(item or Item(item_id, attempt=1), "s", "t", "u", 1, None, "m", "t", "p", 10, 11, 12)
    return replace(values, **changed)


def publication(post_id: str = "p", **changed: Any) -> StoredPublication:
    """*changed* are fields of the standing, or of what is said beside it."""
    standing = Publication(post_id, publish_at=5, due_at=5)
    known = {name: value for name, value in changed.items() if name in Publication.__struct_fields__}
    others = {name: value for name, value in changed.items() if name not in known}
    values = StoredPublication(
        replace(standing, **known), None, None, "site", "c", ("#a", "b"), None, None, "m", "t", "p", 10, 11, 12
    )
    return replace(values, **others)


async def test_a_new_item_is_added_once(database: Database) -> None:
    assert await database.write(lambda uow: uow.items.add([item("a"), item("b")])) == {"a", "b"}
    assert await database.write(lambda uow: uow.items.add([item("b", title="other"), item("c")])) == {"c"}

    found = await database.write(lambda uow: uow.items.lock(["b", "nowhere"]))

    assert found == {"b": item("b")}


async def test_only_a_newer_message_renews_an_item_and_it_changes_nothing_but_what_it_says(database: Database) -> None:
    await database.write(lambda uow: uow.items.add([item("a"), item("b")]))
    newer = item("a", item=Item("a", ItemState.FAILED, attempt=9), title="newer", text="more", created_at=20)

    await database.write(lambda uow: uow.items.renew([newer, item("b", title="as new", created_at=10)]))

    found = await database.write(lambda uow: uow.items.lock(["a", "b"]))
    assert found == {"a": item("a", title="newer", text="more", created_at=20, version=2), "b": item("b")}


async def test_standings_are_stored_in_sets(database: Database) -> None:
    await database.write(lambda uow: uow.items.add([item("a"), item("b"), item("c")]))
    analysed = item(
        "b", item=Item("b", ItemState.ANALYSED, 1), sentiment=ItemSentiment("positive", 0.25), updated_at=30, version=2
    )
    failed = item("a", item=Item("a", ItemState.FAILED, 3), failure=WHY, updated_at=31, version=2)

    await database.write(lambda uow: uow.items.store([analysed, failed]))

    found = await database.write(lambda uow: uow.items.lock(["a", "b", "c"]))
    assert found == {"a": failed, "b": analysed, "c": item("c")}


async def test_what_is_in_hand_of_an_item_is_known_with_it(database: Database) -> None:
    work = WorkInHand("w", WorkType.ITEM_ANALYSE, NOW + 60, 0)
    with_work = item("a", item=Item("a", attempt=1, work=work))

    def write(uow: UnitOfWork) -> None:
        uow.items.add([with_work])
        uow.work.record_dispatched([dispatched("w", deadline_at=NOW + 60)])

    await database.write(write)

    assert await database.read(lambda uow: uow.items.get("a")) == with_work


async def test_publications_are_due_in_their_order_and_only_while_scheduled(database: Database) -> None:
    rows = [
        publication("late", due_at=3),
        publication("later", due_at=2),
        publication("not yet", due_at=9),
        publication("gone", due_at=1, status=PublicationState.DISPATCHED),
    ]
    assert await database.write(lambda uow: uow.publications.add(rows)) == {row.post_id for row in rows}

    assert await database.read(lambda uow: uow.publications.next_due_at()) == 2
    assert await database.read(lambda uow: uow.publications.due_since(3, limit=5)) == ["later", "late"]
    due = await database.write(lambda uow: uow.publications.lock_due(now=5, limit=5))
    assert [row.post_id for row in due] == ["later", "late"]
    without = await database.write(lambda uow: uow.publications.lock_due(now=5, limit=5, without=["later"]))
    assert [row.post_id for row in without] == ["late"]


async def test_a_publication_is_stored_whole(database: Database) -> None:
    await database.write(lambda uow: uow.publications.add([publication()]))
    changed = publication(
        caption="new", status=PublicationState.CANCELLED, external_id="x", failures=2, error=WHY, topic="t",
        cancellation=Cancellation("me", 7, "why not"),
    )  # fmt: skip

    await database.write(lambda uow: uow.publications.store([changed]))

    assert await database.write(lambda uow: uow.publications.lock(["p"])) == {"p": changed}


async def test_two_daemons_hand_out_each_publication_once(database: Database, database_url: str) -> None:
    await database.write(lambda uow: uow.publications.add([publication(f"p{n}") for n in range(20)]))

    def hand_out(uow: UnitOfWork) -> list[str]:
        due = uow.publications.lock_due(now=5, limit=3)
        gone = PublicationState.DISPATCHED
        uow.publications.store([replace(row, publication=replace(row.publication, status=gone)) for row in due])
        return [row.post_id for row in due]

    async with opened(database_url) as other:
        rounds = await asyncio.gather(*(each.write(hand_out) for each in (database, other) * 10))

    handed = [post_id for ids in rounds for post_id in ids]
    assert sorted(handed) == sorted(f"p{n}" for n in range(20))


async def test_the_video_of_a_job_is_told_where_there_is_one(database: Database) -> None:
    def write(uow: UnitOfWork) -> None:
        needed = {
            "project_id": "p", "owner": "o", "status": "READY", "version": 1, "title": "t", "progress": 0.0,
            "actual_cost_usd_micros": 0, "attempt": 1, "instruction_version": 0, "dispatch_attempt": 0,
            "last_sequence": 0, "created_at": 1, "updated_at": 1,
        }  # fmt: skip
        uow.connection.execute(insert(jobs), [{"job_id": "a", "video_url": "v", **needed}])
        uow.connection.execute(insert(jobs), [{"job_id": "b", "video_url": None, **needed}])

    await database.write(write)

    assert await database.read(lambda uow: uow.publications.video_urls(["a", "b", "c"])) == {"a": "v"}


async def test_accepted_events_are_known_within_their_family(database: Database) -> None:
    event = CallbackEvent("item", "e", "hash", "i", None, None, "t", 1)
    await database.write(lambda uow: uow.callback_events.add([event, event._replace(event_id="f", sequence=3)]))

    assert await database.read(lambda uow: uow.callback_events.known("item", ["e", "g"])) == {"e": "hash"}
    assert await database.read(lambda uow: uow.callback_events.known("job", ["e"])) == {}


LISTS: dict[str, tuple[Callable[[UnitOfWork], object], str]] = {
    "items": (lambda uow: uow.items.page(Period(), status=None, before=(5, "i"), limit=9), "published_at"),
    "items in a window": (lambda uow: uow.items.page(Period(1, 9), status=None, before=None, limit=9), "published_at"),
    "items of a status": (lambda uow: uow.items.page(Period(), status="failed", before=(5, "i"), limit=9), "status"),
    "posts": (lambda uow: uow.publications.page(Period(), status=None, before=(5, "p"), limit=9), "publish_at"),
    "posts of a status": (
        lambda uow: uow.publications.page(Period(1, 9), status="scheduled", before=None, limit=9),
        "status",
    ),
}


@pytest.mark.parametrize(("ask", "index"), LISTS.values(), ids=LISTS.keys())
async def test_a_page_is_read_in_the_order_of_an_index(
    database: Database, ask: Callable[[UnitOfWork], object], index: str
) -> None:
    def fill(uow: UnitOfWork) -> None:
        uow.items.add([item(f"i{n}", published_at=n) for n in range(2_000)])
        uow.publications.add([publication(f"p{n}", publish_at=n) for n in range(2_000)])

    def plan(uow: UnitOfWork) -> str:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # read whole only what has no index
        return "\n".join(statements.plans(uow, ask))

    await database.write(fill)
    text = await database.write(plan)

    assert "Seq Scan" not in text, text
    assert "ix_feed_items_" in text or "ix_publications_" in text
    if database.dialect == "sqlite":
        assert f"_{index}" in text
        assert "TEMP B-TREE" not in text, text
