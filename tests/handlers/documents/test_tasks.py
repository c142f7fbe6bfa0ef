"""``instruction.regenerate``, ``screenshot.extract``: asked for once, reported by workers, proven before they count."""

import hashlib
import itertools

from msgspec.structs import replace

from contracts.errors import ErrorCode
from contracts.values.states import AssetState
from domain.assets.assets import Asset, Content, Origin
from domain.assets.signed_urls import Method
from handlers.batch import decide_batch
from handlers.commands.command import Reply
from handlers.documents.tasks.extraction import end_extraction
from handlers.documents.tasks.task_healing import TaskReplays, heal_tasks
from handlers.effects import MessageOutcome
from handlers.registry import FAMILIES
from storage.engine.database import Database
from tests.contracts.samples import envelope
from tests.handlers.documents.test_instructions import drafted, put
from tests.handlers.jobs.owners import BLOCKS, House, Json, code, result

_events = itertools.count(1)
ANEW = {"block_id": "b2", "type": "step", "text": "Open the door slowly"}
HOUR = 3_600_000_000


async def regenerate(house: House, instruction_id: str, base_version: int = 1, *, blocks: Json = ("b2",)) -> Reply:
    payload = {
        "instruction_id": instruction_id,
        "base_version": base_version,
        "block_ids": [*blocks],
        "prompt": "Slowly",
    }
    return await house.give("instruction.regenerate", payload)


async def reports(house: House, task_id: str, sequence: int, status: str, **more: Json) -> MessageOutcome:
    """A worker's ``task.status``."""
    event_id = f"task-event-{next(_events)}"
    payload = {"event_id": event_id, "sequence": sequence, "status": status, **more}
    body = envelope(payload, "task.status", "1.0", message_id=event_id, producer="worker-1")
    own = replace(house.context(), older_outstanding=False)
    batch = [house.judged(f"callback.task.{task_id}", body)]
    return (await house.database.write(lambda uow: decide_batch(batch, uow, own, FAMILIES))).outcomes[0]


async def task(house: House, task_id: str) -> Json:
    return result(await house.ask("task.get", {"task_id": task_id}))


async def test_a_regeneration_writes_a_version_that_says_where_it_is_from(database: Database) -> None:
    house = House(database)
    job_id, instruction_id = await drafted(house)
    await house.give("job.approve", {"job_id": job_id})

    asked = await regenerate(house, instruction_id)
    again = await regenerate(house, instruction_id)
    task_id = result(asked)["task_id"]

    assert (asked.status, again.status, result(again)["task_id"]) == (202, 200, task_id)
    (order,) = [each["payload"] for each in await house.told("HG_WORK") if each["kind"] == "instruction.regenerate"]
    assert (order["task_id"], order["base_version"], order["block_ids"]) == (task_id, 1, ["b2"])
    assert (order["blocks"], order["prompt"], order["attempt"]) == (BLOCKS, "Slowly", 1)

    done = await reports(house, task_id, 1, "SUCCEEDED", artifacts={"instruction": {"blocks": [ANEW]}}, model="m-1")
    assert done.status == 204
    view = result(await house.ask("instruction.get", {"instruction_id": instruction_id}))
    provenance = {"task_id": task_id, "model": "m-1", "prompt_hash": hashlib.sha256(b"Slowly").hexdigest()}
    assert (view["version"], view["blocks"], view["provenance"]) == (2, [BLOCKS[0], ANEW], provenance)
    ended = await task(house, task_id)
    assert (ended["status"], ended["result"]) == ("SUCCEEDED", {"instruction_id": instruction_id, "version": 2})
    assert (await house.view(job_id))["approved"] is False
    assert (await regenerate(house, instruction_id)).status == 200


async def test_a_regeneration_never_overwrites_what_somebody_wrote_meanwhile(database: Database) -> None:
    house = House(database)
    _, instruction_id = await drafted(house)
    task_id = result(await regenerate(house, instruction_id))["task_id"]
    await put(house, instruction_id, 1)

    await reports(house, task_id, 1, "SUCCEEDED", artifacts={"instruction": {"blocks": [ANEW]}})

    ended = await task(house, task_id)
    assert (ended["status"], ended["error"]["code"]) == ("FAILED", "VERSION_CONFLICT")
    view = result(await house.ask("instruction.get", {"instruction_id": instruction_id}))
    assert (view["version"], view["blocks"][1]["text"]) == (2, "Close the door")


async def test_blocks_that_are_not_there_and_stale_bases_are_refused(database: Database) -> None:
    house = House(database)
    _, instruction_id = await drafted(house)

    refused = await regenerate(house, instruction_id, blocks=("b2", "b2", "nowhere"))
    assert refused.problem is not None
    assert [(detail.path, detail.code) for detail in refused.problem.details] == [
        ("payload.block_ids.1", "repeated"),
        ("payload.block_ids.2", "unknown_block"),
    ]
    assert code(await regenerate(house, instruction_id, 7)) is ErrorCode.VERSION_CONFLICT


async def with_video(house: House) -> str:
    project = await house.project()
    made = await house.give("job.create", {"project_id": project, "title": "A job"})
    job_id = str(result(made)["job_id"])
    await house.give("job.confirm-upload", {"job_id": job_id, "video_uri": "https://videos.example/1.mp4"})
    return job_id


async def extract(house: House, job_id: str, *timestamps_ms: int) -> Reply:
    return await house.give("screenshot.extract", {"job_id": job_id, "timestamps_ms": [*timestamps_ms]})


def picture(order: Json, timestamp_ms: int, sha256: str = "a" * 64) -> Json:
    return {
        "object": f"{order['object_prefix']}{timestamp_ms}.png", "media_type": "image/png", "width": 640, "height": 360,
        "timestamp_ms": timestamp_ms, "sha256": sha256,
    }  # fmt: skip


async def extracting(house: House) -> tuple[str, Json]:
    """A task, and what its worker was given."""
    job_id = await with_video(house)
    task_id = str(result(await extract(house, job_id, 900, 100, 900))["task_id"])
    (order,) = [each["payload"] for each in await house.told("HG_WORK") if each["kind"] == "screenshot.extract"]
    return task_id, order


async def test_the_same_moments_are_one_extraction(database: Database) -> None:
    house = House(database)
    job_id = await with_video(house)

    first, again, other = (
        await extract(house, job_id, 9, 1),
        await extract(house, job_id, 1, 9, 9),
        await extract(house, job_id, 1),
    )

    assert (first.status, again.status, other.status) == (202, 200, 202)
    assert result(first)["task_id"] == result(again)["task_id"] != result(other)["task_id"]
    without = await house.job()
    assert code(await extract(house, without, 1)) is ErrorCode.INVALID_STATE


async def test_pictures_count_once_their_bytes_are_proven(database: Database) -> None:
    house = House(database)
    task_id, order = await extracting(house)
    assert (order["timestamps_ms"], order["format"]) == ([100, 900], "png")
    pictures = [picture(order, 100), picture(order, 900)]

    await reports(house, task_id, 1, "SUCCEEDED", artifacts={"assets": pictures}, model="ffmpeg")
    assert (await task(house, task_id))["status"] == "RUNNING"

    (waiting,) = await database.read(lambda uow: uow.tasks.unproven(limit=10))
    found: dict[str, Content | None] = {
        each["object"]: Content(10, "a" * 64, "image/png", 640, 360) for each in pictures
    }
    assert await database.write(lambda uow: end_extraction(waiting, found, uow, house.context()))
    assert not await database.write(lambda uow: end_extraction(waiting, found, uow, house.context()))

    ended = await task(house, task_id)
    assert (ended["status"], ended["provenance"]) == ("SUCCEEDED", {"task_id": task_id, "model": "ffmpeg"})
    assert [each["timestamp_ms"] for each in ended["result"]["assets"]] == [100, 900]
    ids = [each["asset_id"] for each in ended["result"]["assets"]]
    assets = await database.read(lambda uow: uow.assets.by_ids(ids))
    assert {asset.object for asset in assets.values()} == {each["object"] for each in pictures}


async def test_a_picture_with_another_digest_fails_the_task(database: Database) -> None:
    house = House(database)
    task_id, order = await extracting(house)
    pictures = [picture(order, 100), picture(order, 900)]
    await reports(house, task_id, 1, "SUCCEEDED", artifacts={"assets": pictures})
    (waiting,) = await database.read(lambda uow: uow.tasks.unproven(limit=10))

    found: dict[str, Content | None] = {each["object"]: Content(10, "b" * 64, "image/png") for each in pictures}
    await database.write(lambda uow: end_extraction(waiting, found, uow, house.context()))

    assert (await task(house, task_id))["error"]["code"] == "WRONG_DIGEST"


async def test_pictures_outside_the_prefix_of_the_attempt_are_refused(database: Database) -> None:
    house = House(database)
    task_id, order = await extracting(house)
    elsewhere = [picture({**order, "object_prefix": "other/"}, moment) for moment in (100, 900)]

    await reports(house, task_id, 1, "SUCCEEDED", artifacts={"assets": elsewhere})

    assert (await task(house, task_id))["error"]["code"] == "WRONG_OBJECT"


async def test_a_silent_worker_loses_its_task_and_a_given_up_one_can_be_replayed(database: Database) -> None:
    house = House(database)
    task_id, order = await extracting(house)

    house.now += 2 * HOUR
    for attempt in (2, 3, 4):
        healed, messages = await database.write(lambda uow: heal_tasks([task_id], uow, house.context()))
        assert ([each.task_id for each in healed], len(messages)) == ([task_id], 2)
        assert (await task(house, task_id))["attempt"] == attempt
        house.now += 2 * HOUR
    late = await reports(house, task_id, 1, "SUCCEEDED", attempt=order["attempt"])
    assert late.error is not None
    assert late.error["code"] == "STALE_ATTEMPT"

    await database.write(lambda uow: heal_tasks([task_id], uow, house.context()))
    given_up = await task(house, task_id)
    assert (given_up["status"], given_up["error"]["code"]) == ("FAILED", "DEADLINE_EXCEEDED")

    replays = await database.write(lambda uow: _replayed(TaskReplays([task_id], uow, house.context()), task_id))
    assert replays == (True, False)
    again = await task(house, task_id)
    assert (again["status"], again["attempt"]) == ("REQUESTED", 5)


def _replayed(replays: TaskReplays, task_id: str) -> tuple[bool, bool]:
    done = (replays.replay(task_id), replays.replay(task_id))
    replays.write()
    return done


FILM = Asset("film", "ada", None, AssetState.READY, Origin.UPLOAD, "a.mov", "video/quicktime", 3, "0", "o", 1, 1)


async def test_a_film_of_ours_is_handed_out_under_a_url_that_has_not_ended(database: Database) -> None:
    house = House(database)
    project = await house.project()
    job_id = str(result(await house.give("job.create", {"project_id": project, "title": "A job"}))["job_id"])
    await database.write(lambda uow: uow.assets.upsert([FILM]))
    given = house.context().links.download("/assets/film", house.now).url
    await house.give("job.confirm-upload", {"job_id": job_id, "video_uri": given})

    house.now += 24 * HOUR
    await house.give("job.run", {"job_id": job_id})
    await extract(house, job_id, 1)

    orders = [each["payload"]["video_uri"] for each in await house.told("HG_WORK")]
    assert len(orders) == 2
    for url in orders:
        path, _, query = url.removeprefix("http://127.0.0.1:1").partition("?")
        assert house.context().links.allows(Method.GET, path, query, house.now)
    assert (await house.view(job_id))["video_uri"] == given
