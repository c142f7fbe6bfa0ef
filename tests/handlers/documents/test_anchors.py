"""Anchors: made in a version, found again in later ones, with the pictures that belong there."""

from contracts.errors import ErrorCode
from contracts.values.states import AssetState
from domain.assets.assets import Asset, Content, Origin
from handlers.assets.asset_commands import confirming
from handlers.commands.command import Reply
from handlers.documents.tasks.extraction import end_extraction, reported_pictures
from handlers.registry import CHANGES
from storage.engine.database import Database
from tests.handlers.deciding import NOW
from tests.handlers.documents.test_instructions import drafted, put
from tests.handlers.documents.test_tasks import picture, reports
from tests.handlers.jobs.owners import BLOCKS, House, Json, code, result

SHA = "a" * 64


async def stored_asset(house: House, asset_id: str, owner: str = "ada") -> str:
    place = f"uploads/{asset_id}"
    asset = Asset(asset_id, owner, None, AssetState.READY, Origin.UPLOAD, "a.png", "image/png", 3, SHA, place, NOW, NOW)
    await house.database.write(lambda uow: uow.assets.upsert([asset]))
    return asset_id


async def anchored(house: House, **address: Json) -> tuple[str, str]:
    _, instruction_id = await drafted(house)
    made = await house.give(
        "anchor.create", {"instruction_id": instruction_id, "version": 1, **(address or {"block_id": "b2"})}
    )
    assert made.status == 201
    return instruction_id, str(result(made)["anchor_id"])


async def attach(house: House, anchor_id: str, asset_id: str) -> Reply:
    return await house.give("anchor.attach", {"anchor_id": anchor_id, "asset_id": asset_id})


async def test_an_anchor_is_found_again_in_every_version(database: Database) -> None:
    house = House(database)
    instruction_id, anchor_id = await anchored(house, char_range={"block_id": "b2", "start": 9, "end": 13})
    await put(house, instruction_id, 1, [{**BLOCKS[1], "text": "Do open the door"}, BLOCKS[0]])

    newest = result(await house.ask("anchor.get", {"anchor_id": anchor_id}))
    assert (newest["created_version"], newest["resolved_version"], newest["resolution"]) == (1, 2, "MOVED")
    assert newest["char_range"] == {"block_id": "b2", "start": 12, "end": 16}
    first = result(await house.ask("anchor.get", {"anchor_id": anchor_id, "version": 1}))
    assert first["resolution"] == "RESOLVED"

    await put(house, instruction_id, 2, [BLOCKS[0]])
    lost = await house.ask("anchor.list", {"instruction_id": instruction_id, "resolution": "LOST"})
    assert [each["anchor_id"] for each in result(lost)["items"]] == [anchor_id]
    found = await house.ask("anchor.list", {"instruction_id": instruction_id, "resolution": "RESOLVED"})
    assert result(found)["items"] == []


async def test_addresses_outside_the_version_are_refused(database: Database) -> None:
    house = House(database)
    _, instruction_id = await drafted(house)

    async def create(**address: Json) -> Reply:
        return await house.give("anchor.create", {"instruction_id": instruction_id, "version": 1, **address})

    for address in ({"block_id": "nowhere"}, {"char_range": {"start": 0, "end": 999}}):
        assert code(await create(**address)) is ErrorCode.VALIDATION_ERROR
    absent = await house.give("anchor.create", {"instruction_id": instruction_id, "version": 9, "block_id": "b1"})
    assert code(absent) is ErrorCode.RESOURCE_NOT_FOUND


async def test_pictures_come_and_go_and_stay_as_history(database: Database) -> None:
    house = House(database)
    instruction_id, anchor_id = await anchored(house)
    one, two = await stored_asset(house, "one"), await stored_asset(house, "two")
    await attach(house, anchor_id, one)
    await put(house, instruction_id, 1)
    view = result(await attach(house, anchor_id, two))
    assert (view["active_asset_id"], [each["linked_version"] for each in view["assets"]]) == ("two", [1, 2])

    detached = result(await house.give("anchor.detach", {"anchor_id": anchor_id, "asset_id": two}))
    assert (detached["active_asset_id"], [each["asset_id"] for each in detached["assets"]]) == ("one", ["one"])
    with_history = result(await house.ask("anchor.get", {"anchor_id": anchor_id, "include_deleted_assets": True}))
    assert ["deleted_at" in each for each in with_history["assets"]] == [False, True]

    deleted = result(await house.give("asset.delete", {"asset_id": one}))
    assert (deleted["state"], "url" in deleted) == ("DELETED", False)
    assert result(await house.ask("anchor.get", {"anchor_id": anchor_id}))["active_asset_id"] is None
    assert code(await attach(house, anchor_id, one)) is ErrorCode.INVALID_STATE


async def test_only_ones_own_anchors_and_assets_are_there(database: Database) -> None:
    house = House(database)
    _, anchor_id = await anchored(house)
    await stored_asset(house, "eves", owner="eve")

    assert code(await attach(house, anchor_id, "eves")) is ErrorCode.RESOURCE_NOT_FOUND
    asked = await house.ask("anchor.get", {"anchor_id": anchor_id}, owner="eve")
    assert code(asked) is ErrorCode.RESOURCE_NOT_FOUND


async def test_a_picture_can_be_replaced_by_one_cut_out_of_the_video(database: Database) -> None:
    house = House(database)
    project = await house.project()
    made = await house.give("job.create", {"project_id": project, "title": "A job"})
    job_id = str(result(made)["job_id"])
    await house.give("job.confirm-upload", {"job_id": job_id, "video_uri": "https://videos.example/1.mp4"})
    await house.give("job.run", {"job_id": job_id})
    await house.report(job_id, 1, "TRANSCRIBING")
    await house.report(job_id, 2, "DRAFTING", artifacts={"instruction": {"blocks": BLOCKS}})
    instruction_id = (await house.view(job_id))["instruction_id"]
    asked = {"instruction_id": instruction_id, "version": 1, "block_id": "b2"}
    anchor_id = result(await house.give("anchor.create", asked))["anchor_id"]

    replaced = await house.give("anchor.replace", {"anchor_id": anchor_id, "timestamp_ms": 500})
    task_id = result(replaced)["task_id"]
    assert replaced.status == 202
    (order,) = [each["payload"] for each in await house.told("HG_WORK") if each["kind"] == "screenshot.extract"]
    await reports(house, task_id, 1, "SUCCEEDED", artifacts={"assets": [picture(order, 500)]})
    (waiting,) = await database.read(lambda uow: uow.tasks.unproven(limit=10))
    found: dict[str, Content | None] = {
        each.object: Content(10, SHA, "image/png", 640, 360) for each in reported_pictures(waiting)
    }
    await database.write(lambda uow: end_extraction(waiting, found, uow, house.context()))

    view = result(await house.ask("anchor.get", {"anchor_id": anchor_id}))
    assert view["active_asset_id"] == view["assets"][0]["asset_id"]
    again = await house.give("anchor.replace", {"anchor_id": anchor_id, "timestamp_ms": 500})
    assert (again.status, result(again)["status"]) == (200, "SUCCEEDED")


UPLOAD = {"filename": "../../etc/pass\u202ewd.png", "media_type": "image/png", "size": 3, "sha256": SHA}


async def test_an_upload_is_confirmed_by_what_was_found(database: Database) -> None:
    house = House(database)
    begun = await house.give("asset.begin-upload", UPLOAD)
    upload = result(begun)
    assert (begun.status, upload["bucket"], upload["object"]) == (201, "HG_ASSETS", f"uploads/{upload['upload_id']}")

    async def confirm(found: Content | None) -> Reply:
        finding = House(database, changes={**CHANGES, "asset.confirm-upload": confirming(found)})
        return await finding.give("asset.confirm-upload", {"upload_id": upload["upload_id"]})

    assert code(await confirm(None)) is ErrorCode.INVALID_STATE
    assert code(await confirm(Content(4, SHA, "image/png"))) is ErrorCode.UPLOAD_CONFLICT
    assert code(await confirm(Content(3, SHA, "application/x-executable"))) is ErrorCode.UNSUPPORTED_MEDIA_TYPE
    confirmed = result(await confirm(Content(3, SHA, "image/jpeg", 1, 1)))
    assert (confirmed["state"], confirmed["media_type"], confirmed["filename"]) == (
        "READY",
        "image/jpeg",
        "pass_wd.png",
    )
    assert (await confirm(Content(3, SHA, "image/jpeg", 1, 1))).status == 200
    assert result(await house.ask("asset.get", {"asset_id": upload["asset_id"]}))["url"].startswith("http://")


async def test_what_is_too_large_or_of_another_type_is_refused_before_it_is_sent(database: Database) -> None:
    house = House(database)
    large = await house.give("asset.begin-upload", {**UPLOAD, "size": 50 * 2**20 + 1})
    assert code(large) is ErrorCode.PAYLOAD_TOO_LARGE
    other = await house.give("asset.begin-upload", {**UPLOAD, "media_type": "image/svg+xml"})
    assert code(other) is ErrorCode.UNSUPPORTED_MEDIA_TYPE
