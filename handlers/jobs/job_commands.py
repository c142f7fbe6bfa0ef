"""Commands on jobs: found among the caller's own, decided in the domain, answered with the view as it then is."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from contracts.errors import Problem, Refusal
from contracts.payloads.commands import jobs as asked
from contracts.values.work import WorkType
from domain.documents.instructions import ValidationStatus
from domain.jobs import job_commands
from domain.jobs.job import Decision, Job
from domain.jobs.job_commands import NewJob, RetryIds, Ruling
from domain.work.work import By
from handlers.commands.command import NOT_FOUND, Command, Reply, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.jobs.job_recorder import JobRecorder
from handlers.jobs.job_views import job_view
from handlers.jobs.project_commands import ProjectAggregates
from handlers.work import dispatch as work
from storage.documents.instructions import VersionKey
from storage.jobs.projects import Owned


class JobAggregates:
    """The jobs of one transaction, each as the last decision left it."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._writer = JobRecorder(batch.uow, batch.context)
        self._wanted: set[Owned] = set()
        self._wanted_retries: set[str] = set()
        self._wanted_validity: set[str] = set()
        self._jobs: dict[str, Job] = {}
        self._retries: dict[str, Job] = {}
        self._validity: dict[VersionKey, str] = {}

    def want(self, job_id: str, owner: str, *, retry: bool = False, validity: bool = False) -> None:
        """Have the job there, with the job that retried it, or with how its newest instruction was judged."""
        self._wanted.add((job_id, owner))
        if retry:
            self._wanted_retries.add(job_id)
        if validity:
            self._wanted_validity.add(job_id)

    def load(self) -> None:
        uow = self._batch.uow
        self._jobs.update(uow.jobs.owned(sorted(self._wanted)))
        self._retries.update(uow.jobs.retries_of(sorted(self._wanted_retries & self._jobs.keys())))
        newest = [_newest(self._jobs[job_id]) for job_id in sorted(self._wanted_validity & self._jobs.keys())]
        versions = uow.instructions.versions([key for key in newest if key is not None])
        self._validity.update({key: version.validation_status for key, version in versions.items()})

    def find(self, job_id: str, owner: str) -> Job | None:
        """The job, if it is the owner's."""
        job = self._jobs.get(job_id)
        return job if job is not None and job.owner == owner else None

    def retry_of(self, job: Job) -> Job | None:
        """The job that was made by retrying this one, as the last decision left it."""
        retried = self._retries.get(job.job_id)
        return None if retried is None else self._jobs.get(retried.job_id, retried)

    def instruction_is_valid(self, job: Job) -> bool:
        key = _newest(job)
        return key is not None and self._validity.get(key, ValidationStatus.INVALID) != ValidationStatus.INVALID

    def job(self, job_id: str) -> Job:
        """A job that was wanted and found, of any owner."""
        return self._jobs[job_id]

    def instruction_changed(self, key: VersionKey, validation_status: str) -> None:
        """A version that this transaction writes: an approval after it is of that one."""
        self._validity[key] = validation_status

    def take(self, before: Job | None, decision: Decision, trace_id: str, *, source: Job | None = None) -> None:
        """Keep a decision for the end of the transaction; those after it see what it left."""
        if decision.changed:
            self._jobs[decision.job.job_id] = decision.job
            if source is not None:
                self._retries[source.job_id] = decision.job
        self._writer.take(before, decision, trace_id, source=source)

    def write(self) -> None:
        self._batch.outbox.extend(self._writer.write())
        self._batch.facts.extend(self._writer.facts)
        self._batch.lanes.update(self._writer.lanes)


def _newest(job: Job) -> VersionKey | None:
    return None if job.instruction_id is None else VersionKey(job.instruction_id, job.instruction_version)


def _by(command: Command, batch: CommandBatch) -> By:
    return By(command.principal.owner, batch.context.now)


# -- making one


def _want_project(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(ProjectAggregates).want(payload_of(command, asked.JobCreate).project_id, command.principal.owner)
    batch.aggregates(JobAggregates)


def _create(command: Command, batch: CommandBatch) -> Reply:
    payload, owner = payload_of(command, asked.JobCreate), command.principal.owner
    if batch.aggregates(ProjectAggregates).find(payload.project_id, owner) is None:
        return refuse(NOT_FOUND)
    new = NewJob(
        job_id=batch.context.new_id(),
        project_id=payload.project_id,
        owner=owner,
        title=payload.title,
        objective=payload.objective,
        script_id=payload.script_id,
        prompt=payload.prompt,
        estimated_cost_usd_micros=payload.estimated_cost_usd_micros,
    )
    decision = job_commands.create(new, _by(command, batch))
    batch.aggregates(JobAggregates).take(None, decision, command.trace_id)
    return Reply(decision.status, job_view(decision.job))


# -- changing one


def _want_job(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(JobAggregates).want(payload_of(command, asked.JobGet).job_id, command.principal.owner)


def _want_validity(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(JobAggregates).want(
        payload_of(command, asked.JobGet).job_id, command.principal.owner, validity=True
    )


def _want_retry(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(JobAggregates).want(payload_of(command, asked.JobGet).job_id, command.principal.owner, retry=True)


def _want_upload(command: Command, batch: CommandBatch) -> None:
    batch.aggregates(JobAggregates).want(payload_of(command, asked.JobConfirmUpload).job_id, command.principal.owner)


def _ruled(rule: Callable[[Command, Job, CommandBatch], Ruling]) -> Callable[[Command, CommandBatch], Reply]:
    """A decision on the job that the payload names."""

    def decide(command: Command, batch: CommandBatch) -> Reply:
        job = _found(command, batch)
        decision = _decided(rule(command, job, batch))
        batch.aggregates(JobAggregates).take(job, decision, command.trace_id)
        return Reply(decision.status, job_view(decision.job))

    return decide


def _found(command: Command, batch: CommandBatch) -> Job:
    payload = command.payload
    assert isinstance(payload, asked.JobGet | asked.JobConfirmUpload)  # noqa: S101 - as the registry ties them
    job = batch.aggregates(JobAggregates).find(payload.job_id, command.principal.owner)
    if job is None:
        raise Refusal(NOT_FOUND)
    return job


def _decided(ruling: Ruling) -> Decision:
    if isinstance(ruling, Problem):
        raise Refusal(ruling)
    return ruling


def _confirm_upload(command: Command, job: Job, batch: CommandBatch) -> Ruling:
    video_uri = payload_of(command, asked.JobConfirmUpload).video_uri
    return job_commands.confirm_upload(job, video_uri, _by(command, batch))


def _run(command: Command, job: Job, batch: CommandBatch) -> Ruling:
    return job_commands.run(job, work.start(WorkType.JOB_PROCESS, batch.context), _by(command, batch))


def _approve(command: Command, job: Job, batch: CommandBatch) -> Ruling:
    payload, valid = payload_of(command, asked.JobApprove), batch.aggregates(JobAggregates).instruction_is_valid(job)
    return job_commands.approve(
        job, version=payload.version, note=payload.note, instruction_valid=valid, by=_by(command, batch)
    )


def _render(command: Command, job: Job, batch: CommandBatch) -> Ruling:
    return job_commands.render(job, work.start(WorkType.JOB_RENDER, batch.context), _by(command, batch))


def _cancel(command: Command, job: Job, batch: CommandBatch) -> Ruling:
    return job_commands.cancel(job, _by(command, batch))


def _retry(command: Command, batch: CommandBatch) -> Reply:
    aggregates, context = batch.aggregates(JobAggregates), batch.context
    failed = _found(command, batch)
    ids = RetryIds(context.new_id(), context.new_id())
    start = work.start(WorkType.JOB_PROCESS, context)
    decision = _decided(job_commands.retry(failed, aggregates.retry_of(failed), ids, start, _by(command, batch)))
    aggregates.take(None, decision, command.trace_id, source=failed)
    return Reply(decision.status, job_view(decision.job))


JOB_CHANGES: Final[Mapping[str, ChangeHandler]] = MappingProxyType(
    {
        "job.create": ChangeHandler(_want_project, _create),
        "job.confirm-upload": ChangeHandler(_want_upload, _ruled(_confirm_upload)),
        "job.run": ChangeHandler(_want_job, _ruled(_run)),
        "job.approve": ChangeHandler(_want_validity, _ruled(_approve)),
        "job.render": ChangeHandler(_want_job, _ruled(_render)),
        "job.cancel": ChangeHandler(_want_job, _ruled(_cancel)),
        "job.retry": ChangeHandler(_want_retry, _retry),
    }
)
