"""Everything that follows from decisions on jobs, in one transaction: rows, audit, work, events, public views.

Commands, callbacks and healing decide one after the other and hand their decisions to a :class:`JobRecorder`, which
writes all of them at the end in sets: the number of statements does not grow with the number of jobs.
"""

from collections import Counter

from msgspec.structs import replace

from contracts import outgoing, subjects
from contracts.errors import JsonObject
from contracts.subjects import Family
from contracts.values.states import JobState
from contracts.values.times import format_micros
from domain.jobs.job import Approval, Decision, Job, JobEvent, JobEventName
from domain.work.work import WorkChange
from handlers.effects import Context, Fact, FactName
from handlers.jobs.job_views import job_view
from handlers.jobs.job_work import JobDispatch, hand_out_for_jobs
from handlers.status_updates import status_update
from handlers.work.work_writer import WorkWriter
from storage.documents.instructions import InstructionVersion, VersionKey
from storage.jobs.jobs import StoredEvent
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork


class JobRecorder:
    """Collects the decisions of one transaction."""

    def __init__(self, uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        self._context = context
        self._new: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._audit: list[StoredEvent] = []
        self._events: list[tuple[JobEvent, str]] = []
        self._dispatches: dict[str, JobDispatch] = {}
        self._work = WorkWriter(uow, context)
        self._copies: list[tuple[Job, Job]] = []
        self._transitions: Counter[JobState] = Counter()
        self._approvals = 0
        self.facts: list[Fact] = []
        self.lanes: set[str] = set()
        """Lanes that have something to do although nothing is to be published there."""

    def take(self, before: Job | None, decision: Decision, trace_id: str, *, source: Job | None = None) -> None:
        """Take a decision over. *before* is the job it was made on, None where it makes a new one; *source* the failed
        job that a new one goes on from."""
        if not decision.changed:
            return
        job = decision.job
        if before is None:
            self._new.add(job.job_id)
        self._jobs[job.job_id] = job
        self._audit += [StoredEvent(event, trace_id) for event in decision.audit]
        self._events += [(event, trace_id) for event in decision.events]
        for audited in decision.audit:
            if audited.from_state is not audited.to_state:
                self._transitions[audited.to_state] += 1
        for told in decision.events:
            self._approvals += told.approval is not None
        if source is not None:
            self._copies.append((source, job))
        self._follow_work(before, decision, trace_id)

    def _follow_work(self, before: Job | None, decision: Decision, trace_id: str) -> None:
        job = decision.job
        in_hand = None if before is None else before.work
        self._work.follow(WorkChange(in_hand, job.work, decision.dispatch, decision.withdraw, job.error))
        if decision.dispatch is not None:
            self._dispatches[decision.dispatch.work_id] = JobDispatch(job, decision.dispatch, trace_id)

    def write(self) -> list[OutboxMessage]:
        """Write what was decided; answers the messages that tell of it, in order."""
        if not self._jobs:
            return []
        self.facts += [
            Fact(FactName.JOB_TRANSITIONS, count, {"to": str(to)}) for to, count in self._transitions.items()
        ]
        if self._approvals:
            self.facts.append(Fact(FactName.JOB_APPROVALS, self._approvals))
        if self._new:
            self.facts.append(Fact(FactName.JOBS_CREATED, len(self._new)))
        self._uow.jobs.add([job for job_id, job in self._jobs.items() if job_id in self._new])
        self._uow.jobs.save([job for job_id, job in self._jobs.items() if job_id not in self._new])
        self._uow.jobs.add_events(self._audit)
        self._note_for_the_log()
        self._copy()
        self._work.write()
        self.facts += self._work.facts
        if self._work.withdraws:
            self.lanes.add(self._context.subjects.stream(Family.WORK))
        going_out = [each for work_id, each in self._dispatches.items() if self._work.goes_out(work_id)]
        messages = hand_out_for_jobs(going_out, self._uow, self._context)
        messages += [_event_message(event, trace_id, self._context) for event, trace_id in self._events]
        messages += [status_update(f"job.{job_id}", job_view(job), self._context) for job_id, job in self._jobs.items()]
        return messages

    def _note_for_the_log(self) -> None:
        for stored in self._audit:
            event = stored.event
            self._uow.note(
                "job_transition",
                job_id=event.job_id,
                trace_id=stored.trace_id,
                to=event.to_state.value,
                by=event.actor,
                what=event.what,
                **{"from": event.from_state.value},
            )
        for told, trace_id in self._events:
            if told.approval is not None:
                version = told.approval.version
                self._uow.note(
                    "job_approved", job_id=told.job_id, trace_id=trace_id, by=told.actor, instruction_version=version
                )
            elif told.name is JobEventName.CANCELLED:
                self._uow.note("job_cancelled", job_id=told.job_id, trace_id=trace_id, by=told.actor)

    def _copy(self) -> None:
        """A retried job has what the failed one had: transcript, storyboard, the newest instruction as its first."""
        if not self._copies:
            return
        self._uow.artifacts.copy([(source.job_id, job.job_id) for source, job in self._copies])
        keys = {
            job.job_id: VersionKey(source.instruction_id, source.instruction_version)
            for source, job in self._copies
            if source.instruction_id is not None and job.instruction_id is not None
        }
        versions = self._uow.instructions.versions(sorted(keys.values()))
        self._uow.instructions.add(
            [_first_version(versions[keys[job.job_id]], job) for _, job in self._copies if job.job_id in keys]
        )


def _first_version(source: InstructionVersion, job: Job) -> InstructionVersion:
    return replace(
        source,
        instruction_id=str(job.instruction_id),
        version=1,
        job_id=job.job_id,
        owner=job.owner,
        created_at=job.created_at,
    )


def _event_message(event: JobEvent, trace_id: str, context: Context) -> OutboxMessage:
    message_id = context.new_id()
    subject = subjects.event("job", event.job_id, event.name)
    body = outgoing.envelope(
        outgoing.event_kind("job", event.name),
        _event_payload(event),
        message_id=message_id,
        trace_id=trace_id,
        now=context.now,
    )
    return OutboxMessage(
        message_id=message_id,
        lane=context.subjects.stream(Family.EVENT),
        aggregate=f"job.{event.job_id}",
        subject=context.subjects.full(subject),
        body=body,
    )


def _event_payload(event: JobEvent) -> JsonObject:
    if event.approval is not None:
        return _approval_payload(event, event.approval)
    told_of: JsonObject = {
        "job_id": event.job_id,
        "version": event.version,
        "who": event.actor,
        "what": event.what,
        "when": format_micros(event.at),
        "to": event.to_state,
    }
    if event.from_state is not None:
        told_of["from"] = event.from_state
    if event.work_id is not None:
        told_of |= {"work_id": event.work_id, "attempt": event.attempt}
    return told_of


def _approval_payload(event: JobEvent, approval: Approval) -> JsonObject:
    payload: JsonObject = {
        "job_id": event.job_id,
        "version": event.version,
        "instruction_version": approval.version,
        "by": approval.by,
    }
    return payload if approval.note is None else payload | {"note": approval.note}
