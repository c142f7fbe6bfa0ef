"""What happened is found in the log by a job id or a trace id alone, and a flood of refusals does not fill it."""

import asyncio
from pathlib import Path

import orjson
import pytest

from tests.daemon.operations.operating import operating, wrong
from tests.end_to_end.conftest import SETTINGS, Json, Pipeline, until
from tests.end_to_end.test_jobs_end_to_end import ask, new_job
from tests.support.daemons import DaemonProcess, running_daemon

pytestmark = pytest.mark.process


async def lines(daemon: DaemonProcess, event: str, least: int, **facts: str) -> list[Json]:
    """The lines of an event with these facts, once there are so many."""

    async def enough() -> list[Json]:
        said = await asyncio.to_thread(daemon.events, event)
        found = [line for line in said if all(line.get(name) == value for name, value in facts.items())]
        return found if len(found) >= least else []

    return await until(enough)


async def test_a_jobs_life_is_told_line_by_line(tmp_path: Path) -> None:
    with running_daemon(tmp_path, SETTINGS) as daemon:
        async with operating(daemon) as operator:
            pipeline = Pipeline(daemon, operator.nc)
            job_id = await new_job(pipeline)
            trace_id = "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11"
            await ask(pipeline, "job.run", {"job_id": job_id}, trace_id=trace_id)
            await pipeline.report("job", job_id, "job.status", {"event_id": "e-1", "sequence": 1, "status": "DONE"})
            await ask(pipeline, "job.cancel", {"job_id": job_id})
            await ask(pipeline, "job.render", {"job_id": job_id}, trace_id=trace_id)
            moved = await lines(daemon, "job_transition", 3, job_id=job_id)
            (dispatched,) = await lines(daemon, "work_dispatched", 1, job_id=job_id)
            (cancelled,) = await lines(daemon, "job_cancelled", 1, job_id=job_id)
            (refused,) = await lines(daemon, "message_refused", 1, job_id=job_id)
            (command,) = await lines(daemon, "command_refused", 1, trace_id=trace_id)

    assert [(line["from"], line["to"]) for line in moved][-2:] == [("UPLOADED", "QUEUED"), ("QUEUED", "CANCELLED")]
    assert (dispatched["kind"], dispatched["trace_id"]) == ("job.process", trace_id)
    assert cancelled["by"] == "local"
    assert (refused["kind"], refused["code"]) == ("job.status", "INVALID_TRANSITION")
    assert command["command"] == "job.render"


async def all_told(daemon: DaemonProcess, refusals: int) -> tuple[list[Json], int]:
    """The lines of refusals, and how many more are told as a count: one count for each second in which they came."""

    async def enough() -> tuple[list[Json], int] | None:
        told = await asyncio.to_thread(daemon.events, "message_refused")
        counts = await asyncio.to_thread(daemon.events, "refusals_not_told")
        counted = sum(int(str(line["count"])) for line in counts)
        return (told, counted) if len(told) + counted >= refusals else None

    return await until(enough)


async def test_many_refusals_are_told_as_a_few_lines_and_a_count(tmp_path: Path) -> None:
    with running_daemon(tmp_path, SETTINGS) as daemon:
        async with operating(daemon) as operator:
            for number in range(300):
                await operator.nc.publish("hg.ingest.session.usage", orjson.dumps(wrong(number)))
            await operator.letters(300)
            told, counted = await all_told(daemon, 300)
            await operator.result("dead-letters", action="discard", producers=["planner-7"], reason="a test")
            (act,) = await lines(daemon, "operation", 1, operation="dead-letters")

    assert len(told) + counted == 300
    assert len(told) <= 100
    assert {line["producer"] for line in told} == {"planner-7"}
    assert (act["action"], act["principal"]) == ("discard", "local")
