"""Exports: pinned when they are asked for, worked on under a lease, and the job is done with the first."""

from functools import partial

import pytest

from contracts.errors import ErrorCode
from contracts.values.states import ExportState
from domain.documents.exports import TRANSITIONS, UNREADABLE, ExportSignal, Written
from handlers.commands.command import Reply
from handlers.documents.exports.export_work import (
    StartedExport,
    fail_export,
    interrupt_export,
    start_export,
    succeed_export,
)
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from tests.handlers.documents.test_anchors import attach, stored_asset
from tests.handlers.documents.test_instructions import put
from tests.handlers.jobs.owners import BLOCKS, House, Json, code, result

WRITTEN = Written("exports/1", 10, "b" * 64)


async def ready(house: House) -> tuple[str, str]:
    """A job that is rendered, and its instruction."""
    job_id = await house.drafted()
    await house.give("job.approve", {"job_id": job_id, "version": 1})
    await house.give("job.render", {"job_id": job_id})
    await house.report(job_id, 1, "READY", attempt=2, artifacts={"video_url": "https://videos.example/1"})
    view = await house.view(job_id)
    assert view["status"] == "READY"
    return job_id, str(view["instruction_id"])


async def create(house: House, job_id: str, export_format: str = "zip", **options: Json) -> Reply:
    return await house.give("export.create", {"job_id": job_id, "format": export_format, "options": options})


async def start(house: House, export_id: str) -> StartedExport | None:
    return await house.database.write(lambda uow: start_export(export_id, uow, house.context()))


async def started(house: House, export_id: str) -> StartedExport:
    found = await start(house, export_id)
    assert found is not None
    return found


def interrupt(house: House, work: StartedExport, uow: UnitOfWork) -> bool:
    return interrupt_export(work, uow, house.context())


def release(work: StartedExport, uow: UnitOfWork) -> None:
    uow.leases.release(work.lease)


async def view(house: House, export_id: str) -> Json:
    return result(await house.ask("export.get", {"export_id": export_id}))


async def test_only_a_finished_job_with_a_valid_instruction_is_exported(database: Database) -> None:
    house = House(database)
    drafted = await house.drafted()
    assert code(await create(house, drafted)) is ErrorCode.INVALID_STATE
    job_id, instruction_id = await ready(house)
    await put(house, instruction_id, 1, [])
    assert code(await create(house, job_id)) is ErrorCode.INVALID_STATE
    absent = await house.give("export.create", {"job_id": job_id, "format": "md"}, owner="eve")
    assert code(absent) is ErrorCode.RESOURCE_NOT_FOUND


async def test_the_same_is_one_export_and_what_changed_is_another(database: Database) -> None:
    house = House(database)
    job_id, instruction_id = await ready(house)
    first, again = await create(house, job_id), await create(house, job_id)
    assert (first.status, again.status) == (202, 200)
    assert result(first)["export_id"] == result(again)["export_id"]
    asked = {"instruction_id": instruction_id, "version": 1, "block_id": "b2"}
    anchor_id = result(await house.give("anchor.create", asked))["anchor_id"]
    await attach(house, anchor_id, await stored_asset(house, "one"))
    with_picture, other_format = await create(house, job_id), await create(house, job_id, "md")
    without = await create(house, job_id, include_assets=False)
    ids = {result(each)["export_id"] for each in (first, with_picture, other_format, without)}
    assert len(ids) == 4
    # Its bytes stay for the export, whatever becomes of the asset.
    await house.give("asset.delete", {"asset_id": "one"})
    assert await database.read(lambda uow: uow.assets.unheld(limit=10)) == []


async def test_the_first_success_ends_the_job_and_freezes_where_it_came_from(database: Database) -> None:
    house = House(database)
    job_id, _ = await ready(house)
    export_id = result(await create(house, job_id, title="A title"))["export_id"]

    work = await started(house, export_id)
    assert [block.text for block in work.blocks] == [block["text"] for block in BLOCKS]
    assert "download_url" not in await view(house, export_id)
    assert (await database.write(lambda uow: succeed_export(work, WRITTEN, uow, house.context())))[0]

    done = await view(house, export_id)
    assert (done["status"], done["sha256"], done["provenance"]["title"]) == ("SUCCEEDED", "b" * 64, "A title")
    assert done["provenance"]["approval"]["version"] == 1
    assert done["download_url"].startswith("http://127.0.0.1:1/exports/")
    assert (await house.view(job_id))["status"] == "DONE"
    told = [each["kind"] for each in await house.told("HG_EVENT") if each["kind"].startswith("export.")]
    assert told == ["export.requested", "export.running", "export.succeeded"]
    entries = [each for each in await house.told("KV_HG_STATUS") if "export_id" in each]
    assert [each["status"] for each in entries] == ["REQUESTED", "RUNNING", "SUCCEEDED"]
    assert all("download_url" not in each for each in entries)
    later = await create(house, job_id, "md")
    assert later.status == 202
    work = await started(house, result(later)["export_id"])
    assert (await database.write(lambda uow: succeed_export(work, WRITTEN, uow, house.context())))[0]


async def test_one_daemon_works_on_an_export_and_a_lost_lease_changes_nothing(database: Database) -> None:
    house = House(database)
    job_id, _ = await ready(house)
    export_id = result(await create(house, job_id))["export_id"]
    work = await started(house, export_id)

    assert await database.write(lambda uow: uow.leases.take(work.lease.name, holder="another", ttl_s=60)) is None
    await database.write(lambda uow: uow.leases.release(work.lease))
    resumed = await started(house, export_id)
    assert resumed.export.attempt == 2
    assert not (await database.write(lambda uow: succeed_export(work, WRITTEN, uow, house.context())))[0]
    assert (await database.write(lambda uow: succeed_export(resumed, WRITTEN, uow, house.context())))[0]


async def test_a_failed_export_runs_again_when_it_is_asked_for(database: Database) -> None:
    house = House(database)
    job_id, _ = await ready(house)
    export_id = result(await create(house, job_id))["export_id"]
    work = await started(house, export_id)
    await database.write(lambda uow: fail_export(work, UNREADABLE, uow, house.context()))
    failed = await view(house, export_id)
    assert (failed["status"], failed["error"]["code"]) == ("FAILED", "ASSET_UNREADABLE")
    again = await create(house, job_id)
    assert (again.status, result(again)["status"], result(again)["export_id"]) == (202, "REQUESTED", export_id)


async def test_an_outage_does_not_use_up_the_starts(database: Database) -> None:
    house = House(database)
    job_id, _ = await ready(house)
    export_id = result(await create(house, job_id))["export_id"]
    for _ in range(10):
        work = await started(house, export_id)
        assert await database.write(partial(interrupt, house, work))
    assert (await view(house, export_id))["attempt"] == 0
    for _ in range(4):  # whoever works on it dies each time
        work = await started(house, export_id)
        await database.write(partial(release, work))
    assert await start(house, export_id) is None
    assert (await view(house, export_id))["error"]["code"] == "GAVE_UP"


@pytest.mark.parametrize("state", [ExportState.SUCCEEDED])
def test_what_has_succeeded_never_changes(state: ExportState) -> None:
    assert [signal for signal in ExportSignal if (state, signal) in TRANSITIONS] == []
