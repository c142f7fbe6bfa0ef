"""``job.status``: what workers report of jobs, a whole batch decided in its order and written in sets."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Final

from contracts.errors import JsonObject
from contracts.gate.delivery import Accepted
from contracts.payloads.callbacks import Block, BlockType, JobStatus
from contracts.values.money import MAX_MICROS
from domain.documents.instructions import BlockFacts, validate
from domain.jobs.job import Job
from domain.jobs.job_callbacks import AcceptedCallback, Draft, Incoming, SceneFacts, Terms, Transcript, decide_reports
from domain.work.work import Arrival, By, Duplicate, Held
from handlers.effects import Context, Effects, Fact, FactName
from handlers.jobs.job_recorder import JobRecorder
from handlers.work.callbacks import CallbackReport, reports_of
from storage.documents.instructions import InstructionVersion, VersionKey
from storage.journal.callback_events import CallbackEvent
from storage.unit_of_work import UnitOfWork

_MICROS: Final = 1_000_000
COST_OF_WORKERS: Final = "worker_reported"
"""How a cost is known that a worker reports for a job."""


def take_job_reports(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """Decide on reports of jobs; state, artifacts, costs, audit and events change together or not at all."""
    reports = reports_of(group)
    # The jobs first: a transaction that waits for a lock then sees the events of the one that held it.
    jobs = uow.jobs.locked(sorted({report.subject_id for report in reports}))
    known = uow.callback_events.known("job", sorted({report.event_id for report in reports}))
    incoming = [_incoming(report, context) for report in reports]
    terms = Terms(context.work.deadline_s, context.new_id)
    outcomes = decide_reports(incoming, jobs, known, terms, _written(incoming, jobs, uow))

    effects = Effects()
    taking = _Taking(jobs, uow, context)
    for index, (report, outcome) in enumerate(zip(reports, outcomes, strict=True)):
        if isinstance(outcome, AcceptedCallback):
            taking.accept(report, outcome)
        elif isinstance(outcome, Duplicate):
            effects.repeated.add(index)
        elif isinstance(outcome, Held):
            effects.held[index] = outcome.delay_s
        else:
            effects.refused[index] = outcome
    taking.write(effects)
    return effects


def _incoming(report: CallbackReport, context: Context) -> Incoming:
    accepted, payload = report.accepted, report.payload
    assert isinstance(payload, JobStatus)  # noqa: S101 - the registry ties the model to the kind
    arrival = Arrival(accepted.delivery.stored_at, context.now, context.older_outstanding, context.work.reorder_s)
    return Incoming(report.subject_id, report.event_hash, payload, arrival, By(accepted.producer, context.now))


def _written(incoming: Sequence[Incoming], jobs: Mapping[str, Job], uow: UnitOfWork) -> dict[str, Sequence[BlockFacts]]:
    """What the newest versions say, of those jobs for which a draft came."""
    drafted = {each.job_id for each in incoming if _has_draft(each)} & jobs.keys()
    newest = {
        job_id: VersionKey(job.instruction_id, job.instruction_version)
        for job_id in drafted
        if (job := jobs[job_id]).instruction_id is not None
    }
    versions = uow.instructions.versions(sorted(newest.values()))
    return {
        job_id: [_block(block) for block in versions[key].blocks] for job_id, key in newest.items() if key in versions
    }


def _block(stored: JsonObject) -> Block:
    return Block(str(stored["block_id"]), BlockType(str(stored["type"])), str(stored["text"]))


def _has_draft(each: Incoming) -> bool:
    made = each.report.artifacts
    return made is not None and made.instruction is not None


class _Taking:
    """The accepted reports of one batch and all that they brought."""

    def __init__(self, jobs: Mapping[str, Job], uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        self._context = context
        self._jobs = dict(jobs)
        self._writer = JobRecorder(uow, context)
        self._events: list[CallbackEvent] = []
        self._transcripts: list[tuple[str, Transcript]] = []
        self._scenes: defaultdict[str, list[SceneFacts]] = defaultdict(list)
        self._versions: list[InstructionVersion] = []
        self._cost = 0
        self._saturated: set[str] = set()

    def accept(self, report: CallbackReport, outcome: AcceptedCallback) -> None:
        decision, job_id = outcome.decision, report.subject_id
        before = self._jobs[job_id]
        self._writer.take(before, decision, report.accepted.trace_id)
        self._jobs[job_id] = decision.job
        self._events.append(report.event(self._context.now))
        self._cost += decision.job.actual_cost_usd_micros - before.actual_cost_usd_micros
        if decision.job.actual_cost_usd_micros == MAX_MICROS:
            self._saturated.add(job_id)
        if outcome.transcript is not None:
            self._transcripts.append((job_id, outcome.transcript))
        self._scenes[job_id] += outcome.storyboard
        if outcome.draft is not None:
            self._versions.append(self._version(outcome.draft, decision.job, report.accepted.producer))

    def _version(self, draft: Draft, job: Job, worker: str) -> InstructionVersion:
        judged = validate(draft.blocks)
        return InstructionVersion(
            instruction_id=draft.instruction_id,
            version=draft.version,
            job_id=job.job_id,
            owner=job.owner,
            blocks=[{"block_id": each.block_id, "type": str(each.type), "text": each.text} for each in draft.blocks],
            validation_status=judged.status,
            issues=[issue.as_json() for issue in judged.issues],
            created_by=worker,
            created_at=self._context.now,
        )

    def write(self, effects: Effects) -> None:
        """Write it all; what is to be told goes among *effects*."""
        self._uow.callback_events.add(self._events)
        self._uow.artifacts.put_transcripts(self._transcripts)
        self._uow.artifacts.put_scenes(self._scenes)
        self._uow.instructions.add(self._versions)
        effects.outbox += self._writer.write()
        effects.facts += self._writer.facts
        if self._saturated:
            effects.facts.append(Fact(FactName.TOTALS_SATURATED, len(self._saturated)))
        if self._cost:
            effects.facts.append(Fact(FactName.COST_USD, self._cost / _MICROS, {"source": COST_OF_WORKERS}))
