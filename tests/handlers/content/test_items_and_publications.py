"""Items and publications: asked for, called off, and told of by events that are their views."""

from collections.abc import Callable
from itertools import combinations

import pytest
import pytest_asyncio
from msgspec.structs import replace

from contracts.payloads.sent.content_events import ItemView, PublicationView
from handlers.content.items import ItemRecorder
from handlers.content.publications import PublicationRecorder, send_due
from handlers.effects import Verdict
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope
from tests.handlers.deciding import NOW, Stream, context, outcomes, waiting
from tests.handlers.jobs.owners import House, code, result
from tests.support import statements

SECOND = 1_000_000
WHY = {"code": "QUOTA", "message": "no more today", "retryable": False}


def minute(number: int) -> str:
    return f"2026-11-20T10:{number:02d}:00.000000Z"


def item(number: int = 1, **more: Json) -> Json:
    return {
        "item_id": f"item-{number:02d}",
        "source": "news",
        "title": "A title",
        "url": "https://example.org/1",
        "published_at": minute(number // 2),
        **more,
    }


def schedule(number: int = 1, **more: Json) -> Json:
    return {
        "post_id": f"post-{number:02d}",
        "platform": "site",
        "publish_at": minute(number // 2),
        "caption": "Look",
        "hashtags": ["a", "b"],
        **more,
    }


class Feed:
    """Publishes items and schedules, and reports on the work for them."""

    def __init__(self, database: Database) -> None:
        self.house = House(database)
        self._database = database
        self._stream = Stream()
        self._count = 0

    async def send(self, *payloads: Json) -> None:
        batch = []
        for payload in payloads:
            self._count += 1
            kind = "feed.item" if "item_id" in payload else "content.schedule"
            body = envelope(payload, kind, "1.0", message_id=f"f:{self._count}", created_at=minute(self._count % 60))
            batch.append(self._stream.deliver(body, kind))
        assert {outcome.verdict for outcome in await outcomes(self._database, batch)} == {Verdict.ACCEPTED}

    async def report(self, subject: str, kind: str, payload: Json) -> int:
        self._count += 1
        payload = {"event_id": f"event-{self._count}", **payload}
        body = envelope(payload, kind, "1.0", message_id=payload["event_id"], producer="worker-1")
        [outcome] = await self.house.decide_batch([self.house.judged(f"callback.{subject}", body)])
        return outcome.status

    async def analyse(self, item_id: str = "item-01") -> int:
        sentiment = {"label": "positive", "score": 0.75}
        return await self.report(f"item.{item_id}", "item.result", {"sentiment": sentiment})

    async def events(self) -> list[Json]:
        """(subject, payload) of what listeners are told, in order."""
        told = await waiting(self._database, "HG_EVENT")
        bodies = await self.house.told("HG_EVENT")
        return [(message.subject, body["payload"]) for message, body in zip(told, bodies, strict=True)]


@pytest_asyncio.fixture
async def feed(database: Database) -> Feed:
    return Feed(database)


async def asked(feed: Feed, name: str, payload: Json) -> Json:
    return result(await feed.house.ask(name, payload))


async def test_an_analysed_item_is_told_once_by_the_view_that_can_be_asked_for(feed: Feed) -> None:
    await feed.send(item(text="All of it"))
    before = await asked(feed, "item.get", {"item_id": "item-01"})

    assert (await feed.analyse(), await feed.analyse()) == (204, 409)

    view = await asked(feed, "item.get", {"item_id": "item-01"})
    assert await feed.events() == [("hg.event.item.item-01.analysed", view)]
    ItemView.model_validate(view)
    assert (before["status"], before["attempts"], before["version"], "sentiment" in before) == ("pending", 1, 1, False)
    assert (view["status"], view["version"]) == ("analysed", 2)
    assert view["sentiment"] == {"label": "positive", "score": 0.75}
    assert view["text"] == "All of it"


async def test_an_item_given_up_is_told_as_failed(feed: Feed, database: Database) -> None:
    await feed.send(item())

    def heal(uow: UnitOfWork) -> None:
        later = context(now=NOW + 4_000 * SECOND)
        recorder = ItemRecorder(["item-01"], uow, replace(later, work=replace(later.work, max_attempts=0)))
        recorder.heal("item-01", threshold_s=3_600)
        uow.outbox.add(recorder.write(), owner=later.daemon_id, now=later.now)

    await database.write(heal)

    [(subject, view)] = await feed.events()
    assert (subject, view["status"]) == ("hg.event.item.item-01.failed", "failed")


async def test_a_publication_is_told_at_every_step_and_failures_only_at_the_last(
    feed: Feed, database: Database
) -> None:
    await feed.send(schedule(1, topic="harbours", objective="reach"), schedule(2))
    sent = await database.write(lambda uow: send_due(uow, context(now=NOW), limit=10))
    await feed.report("publish.post-01", "publish.result", {"outcome": "published", "external_id": "x-1"})
    again = {"outcome": "failed", "failure": WHY | {"retryable": True}}
    await feed.report("publish.post-02", "publish.result", again)
    await database.write(lambda uow: send_due(uow, context(now=NOW + 3_600 * SECOND), limit=10))
    await feed.report("publish.post-02", "publish.result", {"outcome": "failed", "failure": WHY})

    told = await feed.events()

    assert sent.posts == 2
    assert [subject for subject, _ in told] == [
        "hg.event.publication.post-01.dispatched",
        "hg.event.publication.post-02.dispatched",
        "hg.event.publication.post-01.published",
        "hg.event.publication.post-02.dispatched",
        "hg.event.publication.post-02.failed",
    ]
    for _, view in told:
        PublicationView.model_validate(view)
    published, failed = told[2][1], told[-1][1]
    assert (published["external_id"], published["topic"], published["objective"]) == ("x-1", "harbours", "reach")
    assert (failed["status"], failed["failure"], failed["attempts"], failed["version"]) == ("failed", WHY, 2, 5)
    assert await asked(feed, "publication.get", {"post_id": "post-02"}) == failed


async def test_a_publication_is_called_off_once_and_says_by_whom_and_why(feed: Feed, database: Database) -> None:
    await feed.send(schedule())

    first = await feed.house.give("publication.cancel", {"post_id": "post-01", "reason": "wrong day"})
    again = await feed.house.give("publication.cancel", {"post_id": "post-01", "reason": "other"}, owner="bob")

    view = result(first)
    assert (first.status, view["status"], view["version"]) == (200, "cancelled", 2)
    assert view["cancelled"]["by"] == "ada"
    assert view["cancelled"]["reason"] == "wrong day"
    assert (again.status, result(again)) == (200, view)
    assert await feed.events() == [("hg.event.publication.post-01.cancelled", view)]
    assert (await database.write(lambda uow: send_due(uow, context(now=NOW), limit=10))).posts == 0


async def test_what_went_out_or_is_absent_cannot_be_called_off(feed: Feed, database: Database) -> None:
    await feed.send(schedule())
    await database.write(lambda uow: send_due(uow, context(now=NOW), limit=10))

    assert code(await feed.house.give("publication.cancel", {"post_id": "post-01"})) == "INVALID_STATE"
    assert code(await feed.house.give("publication.cancel", {"post_id": "nowhere"})) == "RESOURCE_NOT_FOUND"
    assert code(await feed.house.ask("publication.get", {"post_id": "nowhere"})) == "RESOURCE_NOT_FOUND"
    assert code(await feed.house.ask("item.get", {"item_id": "nowhere"})) == "RESOURCE_NOT_FOUND"


@pytest.mark.parametrize("name", ["item", "publication"])
async def test_lists_go_by_every_filter_and_page_by_page(feed: Feed, database: Database, name: str) -> None:
    key, when = ("item_id", "published_at") if name == "item" else ("post_id", "publish_at")
    make = item if name == "item" else schedule
    await feed.send(*(make(number) for number in range(12)))
    changed = [make(number)[key] for number in (2, 3, 7)]
    for thing in changed:
        if name == "item":
            await feed.analyse(thing)
        else:
            await feed.house.give("publication.cancel", {"post_id": thing})
    status = "analysed" if name == "item" else "cancelled"
    filters = {"status": status, "from": minute(1), "to": minute(4)}

    for size in range(len(filters) + 1):
        for names in combinations(filters, size):
            wanted = {each: filters[each] for each in names}
            expected = [
                make(number)[key]
                for number in reversed(range(12))
                if ("status" not in wanted or make(number)[key] in changed)
                and wanted.get("from", "") <= make(number)[when] < wanted.get("to", "9")
            ]
            assert await walk(feed, f"{name}.list", wanted, key) == expected, wanted


async def walk(feed: Feed, name: str, wanted: Json, key: str) -> list[str]:
    found: list[str] = []
    following: Json = {}
    while following is not None:
        answered = await asked(feed, name, {**wanted, "limit": 3, **following})
        found += [each[key] for each in answered["items"]]
        following = None if answered["next_cursor"] is None else {"cursor": answered["next_cursor"]}
    return found


async def test_statements_do_not_grow_with_what_is_decided(feed: Feed, database: Database) -> None:
    await feed.send(*(schedule(number) for number in range(21)))

    def count(limit: int) -> Callable[[UnitOfWork], int]:
        def work(uow: UnitOfWork) -> int:
            with statements.recorded(uow) as seen:
                send_due(uow, context(now=NOW), limit=limit)
            return len(seen)

        return work

    assert await database.write(count(1)) == await database.write(count(20))


async def test_a_newer_schedule_raises_the_version_and_keeps_the_first_arrival(feed: Feed) -> None:
    await feed.send(schedule(caption="first"))
    await feed.send(schedule(caption="second"))

    view = await asked(feed, "publication.get", {"post_id": "post-01"})

    assert (view["caption"], view["version"], view["attempts"]) == ("second", 2, 0)


async def test_recorders_see_what_the_last_decision_left(feed: Feed, database: Database) -> None:
    await feed.send(schedule())

    def decide(uow: UnitOfWork) -> list[bool]:
        recorder = PublicationRecorder.locked(["post-01"], uow, context(now=NOW))
        return [recorder.dispatch("post-01"), recorder.dispatch("post-01")]

    assert await database.write(decide) == [True, False]
