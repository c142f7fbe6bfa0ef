"""All that is stored of jobs, laid beside what the model says should be."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import orjson
from sqlalchemy import select

from handlers.commands.command import Reply
from storage.tables.alerts import signal_counts
from storage.tables.jobs import (
    instruction_versions,
    instructions,
    job_events,
    jobs,
    storyboard_scenes,
    transcript_segments,
)
from storage.tables.journal import command_log, dead_letters, inbox, outbox
from storage.tables.work import callback_events, work, work_removals
from storage.unit_of_work import UnitOfWork
from tests.handlers.jobs.callback_model import Desk
from tests.handlers.jobs.command_model import Given
from tests.handlers.jobs.job_model import Json, ModelJob, fit

_TABLES: Final = {
    table.name: select(table).order_by(*table.primary_key.columns)
    for table in (
        jobs, job_events, transcript_segments, storyboard_scenes, instructions, instruction_versions, work,
        work_removals, callback_events, outbox, inbox, dead_letters, command_log,
        signal_counts,
    )
}  # fmt: skip
_OF_A_JOB: Final = ("jobs", "job_events", "transcript_segments", "storyboard_scenes", "instructions")


class Evidence:
    """The rows of all tables that jobs have to do with, as one snapshot saw them."""

    def __init__(self, tables: Mapping[str, Sequence[Json]]) -> None:
        self._tables = tables
        self._told: defaultdict[str, list[Json]] = defaultdict(list)
        for row in tables["outbox"]:
            self._told[row["lane"]].append({**row, "body": orjson.loads(row["body"])})
        self._jobs = {row["job_id"]: row for row in tables["jobs"]}
        self._work = {row["work_id"]: row for row in tables["work"]}

    def of(self, job_id: str) -> list[Json]:
        """Every row of one job, to the last column."""
        rows = [row for name in _OF_A_JOB for row in self._tables[name] if row["job_id"] == job_id]
        rows += [row for row in self._tables["work"] if row["subject_id"] == job_id]
        return rows + [
            row
            for row in self._tables["instruction_versions"]
            if row["instruction_id"] == self._jobs[job_id]["instruction_id"]
        ]

    # -- jobs and what was made of them

    def agrees_on_jobs(self, expected: Mapping[str, ModelJob]) -> None:
        assert {job_id: _seen(row) for job_id, row in self._jobs.items()} == {
            job_id: _row(job) for job_id, job in expected.items()
        }
        segments, scenes, versions = (
            self._by_job("transcript_segments"),
            self._by_job("storyboard_scenes"),
            self._versions(),
        )
        for job_id, job in expected.items():
            assert [_only(row, job.transcript) for row in segments[job_id]] == job.transcript
            assert [_scene(row) for row in scenes[job_id]] == [job.scenes[scene] for scene in sorted(job.scenes)]
            assert versions[job_id] == [(at, blocks, fit(blocks)) for at, blocks in enumerate(job.versions, 1)], (
                "instructions"
            )
        assert segments.keys() | scenes.keys() | versions.keys() <= expected.keys()

    def _versions(self) -> defaultdict[str, list[Json]]:
        heads = {row["instruction_id"]: row for row in self._tables["instructions"]}
        found: defaultdict[str, list[Json]] = defaultdict(list)
        for row in self._tables["instruction_versions"]:
            valid = row["validation_status"] != "INVALID"
            head = heads[row["instruction_id"]]
            assert self._jobs[head["job_id"]]["instruction_id"] == row["instruction_id"]
            found[head["job_id"]].append((row["version"], orjson.loads(row["blocks"]), valid))
        for head in heads.values():
            assert head["latest_version"] == len(found[head["job_id"]])
        return found

    # -- what was written and told of their changes

    def agrees_on_history(self, expected: Mapping[str, ModelJob]) -> None:
        """Each transition is audited once and told once, both under the version that the job had after it."""
        audited = defaultdict(list)
        for row in self._tables["job_events"]:
            audited[row["job_id"]].append((row["version"], row["actor"], row["from_state"], row["to_state"]))
        assert audited == {job_id: job.audit for job_id, job in expected.items() if job.audit}
        told = defaultdict(list)
        for row in self._told["HG_EVENT"]:
            kind, payload = row["body"]["kind"], row["body"]["payload"]
            if kind.startswith("job."):
                name = kind.removeprefix("job.")
                # An approval names no states: it is told where the job stands, with the version that was read.
                states = ("AWAITING_APPROVAL",) * 2 if name == "approved" else (payload.get("from"), payload["to"])
                event = (name, payload["version"], *states)
                assert row["subject"] == f"hg.event.job.{payload['job_id']}.{event[0]}"
                told[payload["job_id"]].append(event)
        assert told == {job_id: job.events for job_id, job in expected.items()}

    def agrees_on_views(self, expected: Mapping[str, ModelJob]) -> None:
        """Each transaction that changed a job tells its view once, and the last one is how it stands."""
        told = defaultdict(list)
        for lane, rows in self._told.items():
            if lane not in {"HG_EVENT", "HG_WORK", "HG_DEAD"}:
                for row in rows:
                    told[row["body"]["job_id"]].append(row["body"])
        assert {job_id: [view["version"] for view in views] for job_id, views in told.items()} == {
            job_id: job.views for job_id, job in expected.items()
        }
        for job_id, job in expected.items():
            assert_view(told[job_id][-1], job.view())

    def agrees_on_counts(self, desk: Desk, *, commands: int, alerts: int) -> None:
        """What is remembered of messages is what took effect; what was refused lies among the dead letters, once."""
        assert {row["event_id"] for row in self._tables["callback_events"]} == desk.events.keys()
        assert {row["message_id"] for row in self._tables["inbox"]} == desk.messages.keys()
        assert {row["sequence"]: row["code"] for row in self._tables["dead_letters"]} == desk.refused
        assert len(self._told["HG_DEAD"]) == len(self._tables["dead_letters"])
        assert len(self._tables["command_log"]) == commands
        counted = [row["occurrences"] for row in self._tables["signal_counts"] if row["signal"] == "gave_up"]
        assert sum(counted) == alerts

    # -- work

    def agrees_on_work(self, expected: Mapping[str, ModelJob]) -> None:
        """At most one piece of work is open for a job, and it is the one that the model knows."""
        opened = [row for row in self._tables["work"] if row["state"] == "dispatched"]
        assert sorted(map(_open_work, opened), key=str) == sorted(
            (
                (job_id, work.type, job.attempt, work.redispatches, work.deadline, work.counted_from, work.stored)
                for job_id, job in expected.items()
                if (work := job.work) is not None
            ),
            key=str,
        )
        assert {row["work_id"] for row in opened} == {row["work_id"] for row in self._jobs.values()} - {None}

    def agrees_on_messages(self, expected: Mapping[str, ModelJob], queue: Mapping[str, Json]) -> None:
        """One message is on its way for each piece of open work, none for what was cancelled or given up."""
        leaving = {row["message_id"] for row in self._tables["work_removals"]}
        waiting = {row["message_id"]: row["body"]["payload"] for row in self._told["HG_WORK"]}
        live = self.assert_alone(payload for at, payload in {**queue, **waiting}.items() if at not in leaving)
        for job_id, job in expected.items():
            if job.work is not None:
                payload = live[self._jobs[job_id]["work_id"]]
                assert (payload["job_id"], payload["attempt"]) == (job_id, job.attempt)
                assert payload | job.work.needs == payload
                assert (payload.keys() - job.work.needs) == _ALWAYS_TOLD

    def assert_alone(self, messages: Iterable[Json]) -> Mapping[str, Json]:
        """No two of *messages* are of one work, none of work that nobody is to do; by the id of their work."""
        found: dict[str, Json] = {}
        for payload in messages:
            assert payload["work_id"] not in found, "two messages of one work"
            found[payload["work_id"]] = payload
            row = self._work[payload["work_id"]]
            assert row["state"] != "cancelled", "cancelled work is still on its way"
            assert row["failure"] is None or "DEADLINE_EXCEEDED" not in row["failure"]
        return found

    def _by_job(self, table: str) -> defaultdict[str, list[Json]]:
        found: defaultdict[str, list[Json]] = defaultdict(list)
        for row in self._tables[table]:
            found[row["job_id"]].append(row)
        return found


def gather(uow: UnitOfWork) -> Evidence:
    return Evidence(
        {
            name: [dict(row) for row in uow.connection.execute(statement).mappings()]
            for name, statement in _TABLES.items()
        }
    )


def assert_view(told: Json, expected: Json) -> None:
    """What its owner is shown of a job says what the model says."""
    error = told["error"] and told["error"]["code"]
    assert {name: told[name] for name in expected} | {"error": error} == expected
    assert (told["approved_at"] is None) == (not expected["approved"])


def assert_answered(one: Given, reply: Reply) -> None:
    """The reply is the one that is to be given; a job that is new gets its id by it."""
    if isinstance(one.answer, str):
        assert reply.problem is not None
        assert reply.problem.code == one.answer
        return
    assert (reply.problem, reply.status, reply.replayed) == (None, one.answer, one.first is not None)
    one.result = reply.result
    if one.first is not None:
        assert reply.result == one.first.result
        return
    assert one.job is not None
    told: Json = reply.result
    one.job.job_id = one.job.job_id or told["job_id"]
    assert told["job_id"] == one.job.job_id
    assert told["retry_of"] == (one.job.retry_of and one.job.retry_of.job_id)
    assert_view(told, one.view)


_ALWAYS_TOLD: Final = {"work_id", "attempt", "deadline", "callback_subject", "job_id"}
_SAME_NAME: Final = (
    "owner", "prompt", "status", "version", "updated_at", "video_uri", "video_url", "progress",
)  # fmt: skip


def _row(job: ModelJob) -> Json:
    """The row of ``jobs`` as it should be."""
    by, at, version = job.approval or (None, None, None)
    return {name: getattr(job, name) for name in _SAME_NAME} | {
        "retry_of": None if job.retry_of is None else job.retry_of.job_id,
        "attempt": job.chain,
        "checkpoint": job.checkpoint,
        "actual_cost_usd_micros": job.cost,
        "error": job.error,
        "instruction_version": len(job.versions),
        "has_instruction": bool(job.versions),
        "approved_by": by,
        "approved_at": at,
        "approved_version": version,
        "dispatch_attempt": job.attempt,
        "last_sequence": job.sequence,
        "at_work": job.work is not None,
    }


def _seen(row: Json) -> Json:
    """A row of ``jobs`` in the same terms."""
    same = (
        "retry_of", "attempt", "actual_cost_usd_micros", "instruction_version", "approved_by", "approved_at",
        "approved_version", "dispatch_attempt", "last_sequence",
    )  # fmt: skip
    return {name: row[name] for name in _SAME_NAME + same} | {
        "checkpoint": row["checkpoint"] and orjson.loads(row["checkpoint"]),
        "error": row["error"] and orjson.loads(row["error"])["code"],
        "has_instruction": row["instruction_id"] is not None,
        "at_work": row["work_id"] is not None,
    }


def _open_work(row: Json) -> tuple[Json, ...]:
    names = ("subject_id", "type", "attempt", "redispatches", "deadline_at", "counted_from")
    return (*(row[name] for name in names), row["stream_sequence"] is not None)


def _only(row: Json, like: Sequence[Json]) -> Json:
    return {name: row[name] for name in (like[0] if like else row)}


def _scene(row: Json) -> Json:
    scene = {name: row[name] for name in ("scene", "text", "duration_s")}
    return scene if row["image_url"] is None else {**scene, "image_url": row["image_url"]}
