"""What can be replayed: dead letters by the gate, items, publications and jobs at once; each while it has failed."""

from collections.abc import Sequence

import orjson
import pytest
from msgspec.structs import replace
from sqlalchemy import select, update

from contracts.payloads.operations.failures import ReplayFailed, Target
from contracts.values.states import ItemState, JobState, PublicationState
from domain.dead_letters.dead_letters import Skipped
from domain.work.work import Failure
from handlers.replays.replay_targets import TARGETS, Holder, ReplayBatch, ReplayTarget
from storage.engine.database import Database
from storage.engine.failure_text import failure_text
from storage.journal.replay_runs import ReplayItem
from storage.tables.content import feed_items, publications
from storage.tables.jobs import jobs
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope, usage
from tests.handlers.deciding import NOW, Stream, context, letters, settled, waiting
from tests.handlers.jobs.owners import House

HOLDER = Holder("run-1", "ann")
LATER = replace(context(), now=NOW + 5)


async def selected(database: Database, target: ReplayTarget, **wanted: Json) -> Sequence[str]:
    asked = ReplayFailed.model_validate({"all": True, **wanted})
    found = await database.read(lambda uow: target.select(asked, uow, until=NOW + 10, after=None, limit=100))
    return found.ids


async def replay(database: Database, target: ReplayTarget, *ids: str) -> ReplayBatch:
    def write(uow: UnitOfWork) -> ReplayBatch:
        sent = target.replay(ids, HOLDER, uow, LATER)
        uow.outbox.add(sent.messages, owner="daemon-1", now=NOW)
        return sent

    return await database.write(write)


async def preview(database: Database, target: ReplayTarget, *ids: str) -> list[ReplayItem]:
    return await database.read(lambda uow: target.preview(ids, uow))


def told(items: Sequence[ReplayItem]) -> dict[str, tuple[str | None, str | None]]:
    return {item.item_id: (item.outcome, item.reason) for item in items}


def item(number: int) -> Json:
    return {
        "item_id": f"item-{number}",
        "source": "feed",
        "title": "a title",
        "url": "https://example.org/1",
        "published_at": "2026-11-20T10:00:00Z",
    }


def post(number: int) -> Json:
    return {
        "post_id": f"post-{number}",
        "platform": "video",
        "publish_at": "2026-11-20T10:00:00Z",
        "caption": "a caption",
        "hashtags": [],
    }


WHY = failure_text(Failure("TIMED_OUT", "too late", retryable=True))


async def failed_items(database: Database, count: int) -> None:
    stream = Stream()
    sent = [envelope(item(number), "feed.item", "1.0", message_id=f"i{number}") for number in range(count)]
    await settled(database, [stream.deliver(each, "feed.item") for each in sent])
    fail = update(feed_items).values(status=ItemState.FAILED, failure=WHY, work_id=None, updated_at=NOW)
    await database.write(lambda uow: uow.connection.execute(fail).rowcount)


async def failed_posts(database: Database, count: int) -> None:
    stream = Stream()
    sent = [envelope(post(number), "content.schedule", "1.0", message_id=f"p{number}") for number in range(count)]
    await settled(database, [stream.deliver(each, "content.schedule") for each in sent])
    fail = update(publications).values(status=PublicationState.FAILED, failure=WHY, updated_at=NOW)
    await database.write(lambda uow: uow.connection.execute(fail).rowcount)


async def test_items_that_failed_go_out_again_once(database: Database) -> None:
    items = TARGETS[Target.WORK][0]
    await failed_items(database, 3)
    await database.write(
        lambda uow: (
            uow.connection.execute(
                update(feed_items).where(feed_items.c.item_id == "item-2").values(status=ItemState.ANALYSED)
            ).rowcount
        )
    )

    assert await selected(database, items) == ["item-0", "item-1"]
    assert told(await preview(database, items, "item-0", "item-2")) == {
        "item-0": ("skipped", "dry_run"),
        "item-2": ("skipped", "already_replayed"),
    }
    first = await replay(database, items, "item-0", "item-1", "item-2", "item-9")
    again = await replay(database, items, "item-0")

    assert told(first.items) == {
        "item-0": ("replayed", None),
        "item-1": ("replayed", None),
        "item-2": ("skipped", Skipped.ALREADY_REPLAYED),
        "item-9": ("skipped", Skipped.NOT_FOUND),
    }
    assert told(again.items) == {"item-0": ("skipped", Skipped.ALREADY_REPLAYED)}
    assert [message.subject for message in first.messages] == ["hg.work.item.analyse"] * 2
    assert await selected(database, items) == []


async def test_publications_that_failed_are_scheduled_again(database: Database) -> None:
    (posts,) = TARGETS[Target.PUBLICATIONS]
    await failed_posts(database, 2)

    assert await selected(database, posts) == ["post-0", "post-1"]
    sent = await replay(database, posts, "post-1")

    assert told(sent.items) == {"post-1": ("replayed", None)}
    asked = select(publications.c.post_id, publications.c.status, publications.c.due_at)
    found = await database.read(lambda uow: sorted(map(tuple, uow.connection.execute(asked).all())))
    assert [(post_id, status) for post_id, status, _ in found] == [("post-0", "failed"), ("post-1", "scheduled")]
    assert found[1][2] == LATER.now
    assert await selected(database, posts) == ["post-0"]


async def test_a_failed_job_gets_what_a_retry_gives_it(database: Database) -> None:
    job_target = TARGETS[Target.WORK][1]
    job = await House(database).job()
    fail = update(jobs).values(status=JobState.FAILED, error=WHY, updated_at=NOW)
    await database.write(lambda uow: uow.connection.execute(fail).rowcount)

    assert await selected(database, job_target) == [job]
    first, again = await replay(database, job_target, job), await replay(database, job_target, job)

    assert told(first.items) == {job: ("replayed", None)}
    assert told(again.items) == {job: ("skipped", Skipped.ALREADY_REPLAYED)}
    asked = select(jobs.c.retry_of, jobs.c.status, jobs.c.owner, jobs.c.attempt).where(jobs.c.job_id != job)
    assert await database.read(lambda uow: [tuple(row) for row in uow.connection.execute(asked)]) == [
        (job, "QUEUED", "ada", 2)
    ]
    assert "hg.work.job.process" in [message.subject for message in first.messages]
    assert await selected(database, job_target) == []


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({"codes": ["TIMED_OUT"]}, ["item-0"]),
        ({"codes": ["OTHER"]}, []),
        ({"kinds": ["item.analyse"]}, ["item-0"]),
        ({"kinds": ["publish"]}, []),
        ({"producers": ["planner-7"]}, ["item-0"]),
        ({"producers": ["another"]}, []),
        ({"ids": ["item-0", "item-1"]}, ["item-0"]),
        ({"until": "2020-01-01T00:00:00Z"}, []),
        ({"since": "2020-01-01T00:00:00Z"}, ["item-0"]),
    ],
)
async def test_what_failed_is_filtered(database: Database, wanted: Json, expected: list[str]) -> None:
    await failed_items(database, 1)

    assert await selected(database, TARGETS[Target.WORK][0], **wanted) == expected


async def test_dead_letters_go_out_in_their_order_with_their_lineage(database: Database) -> None:
    (target,) = TARGETS[Target.DEAD_LETTERS]
    stream = Stream()
    bodies = [orjson.dumps(envelope(usage(input_tokens=-1), message_id=f"m{number}")) for number in range(3)]
    await settled(database, [stream.deliver(body) for body in bodies])
    ids = [str(row["dead_letter_id"]) for row in await letters(database)]

    assert sorted(await selected(database, target)) == sorted(ids)
    sent = await replay(database, target, *ids, "absent")
    again = await replay(database, target, *ids)

    assert told(sent.items) == dict.fromkeys(ids, (None, None)) | {"absent": ("skipped", "not_found")}
    assert told(again.items) == dict.fromkeys(ids, ("skipped", "in_flight"))
    messages = await waiting(database, "HG_REPLAY")
    assert sorted(message.body for message in messages) == sorted(bodies)
    assert {message.subject for message in messages} == {"hg.replay.ingest.session.usage"}
    assert {message.headers["Headgate-Dead-Letter"] for message in messages} == set(ids)
    assert {message.headers["Headgate-Replay"] for message in messages} == {"1"}
    assert not any(name.startswith("Nats-") for message in messages for name in message.headers)


async def test_bodies_of_one_transaction_are_bounded_and_too_large_ones_stay(database: Database) -> None:
    (target,) = TARGETS[Target.DEAD_LETTERS]
    stream, megabyte = Stream(), 2**20
    await settled(database, [stream.deliver(bytes([65 + n]) * 3 * megabyte) for n in range(4)])
    ids = [str(row["dead_letter_id"]) for row in await letters(database)]

    first = await replay(database, target, *ids)
    assert [item.item_id for item in first.items] == ids[:2], "8 MiB at once"

    small = replace(LATER, max_message_bytes=megabyte)
    sent = await database.write(lambda uow: target.replay(ids[2:], HOLDER, uow, small))
    assert told(sent.items) == dict.fromkeys(ids[2:], ("still_failed", "PAYLOAD_TOO_LARGE"))
    assert [row["state"] for row in await letters(database)] == ["replaying", "replaying", "open", "open"]
