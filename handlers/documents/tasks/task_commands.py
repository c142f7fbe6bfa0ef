"""``instruction.regenerate`` and ``screenshot.extract``: tasks that are asked for once, and again where they failed."""

from msgspec.structs import replace

from contracts.errors import Detail, ErrorCode, JsonObject, Problem, invalid, problem
from contracts.payloads.commands.documents import InstructionRegenerate, PictureFormat, ScreenshotExtract
from contracts.values.work import WorkType
from domain.documents.instructions import version_conflict
from domain.documents.task_keys import extraction_request, regeneration_request, request_key
from domain.work import tasks as rules
from domain.work.tasks import TaskDecision
from domain.work.work import By
from handlers.commands.command import NOT_FOUND, Command, Reply, payload_of, refuse
from handlers.commands.command_batch import ChangeHandler, CommandBatch
from handlers.documents.anchored_assets import AnchoredAssets
from handlers.documents.instructions import InstructionHeads, VersionedInstructions
from handlers.documents.tasks.task_work import TaskRecorder
from handlers.jobs.job_commands import JobAggregates
from handlers.work import dispatch as work
from handlers.work.task_views import task_view
from storage.work.tasks import TaskKey, TaskRecord

_OK = 200


class TaskRequests:
    """The tasks of one transaction by what was asked for; loaded once the jobs are locked: so each is made once."""

    def __init__(self, batch: CommandBatch) -> None:
        self._batch = batch
        self._recorder = TaskRecorder(batch.uow, batch.context)
        self._wanted: set[TaskKey] = set()
        self._wanted_of_job: list[tuple[str, str, ScreenshotExtract]] = []
        self._wanted_of_anchor: list[tuple[str, str, int]] = []
        self._records: dict[TaskKey, TaskRecord] = {}

    def want(self, key: TaskKey) -> None:
        self._wanted.add(key)

    def want_extraction(self, owner: str, payload: ScreenshotExtract) -> None:
        """Its key is known once the job is: the video is part of it."""
        self._wanted_of_job.append((payload.job_id, owner, payload))

    def want_picture(self, anchor_id: str, owner: str, timestamp_ms: int) -> None:
        """Likewise, once the anchor is known: its instruction's job has the video."""
        self._wanted_of_anchor.append((anchor_id, owner, timestamp_ms))

    def _want_pictures(self) -> None:
        anchors, jobs = self._batch.aggregates(AnchoredAssets), self._batch.aggregates(JobAggregates)
        for anchor_id, owner, timestamp_ms in self._wanted_of_anchor:
            anchor = anchors.find(anchor_id, owner)
            job = None if anchor is None else jobs.find(anchors.job_of(anchor), owner)
            if job is not None and (video := job.video_uri or job.video_url) is not None:
                request = extraction_request(video, [timestamp_ms], None, PictureFormat.PNG)
                self._wanted.add(TaskKey(WorkType.SCREENSHOT_EXTRACT, job.job_id, request_key(request)))

    def load(self) -> None:
        self._want_pictures()
        jobs = self._batch.aggregates(JobAggregates)
        for job_id, owner, payload in self._wanted_of_job:
            job = jobs.find(job_id, owner)
            if job is not None and (request := extraction_of(payload, job.video_uri or job.video_url)) is not None:
                self._wanted.add(TaskKey(WorkType.SCREENSHOT_EXTRACT, job_id, request_key(request)))
        self._records.update(self._batch.uow.tasks.requested(sorted(self._wanted)))

    def find(self, key: TaskKey) -> TaskRecord | None:
        """The task that was asked for before, as the last decision left it."""
        return self._records.get(key)

    def ask(self, command: Command, key: TaskKey, request: JsonObject) -> Reply:
        """A new task, a failed one again, or the one that is there."""
        context, work_type = self._batch.context, WorkType(key.type)
        by, start = By(command.principal.owner, context.now), work.start(work_type, context)
        before = self._records.get(key)
        if before is None:
            decision = rules.request(context.new_id(), work_type, by.actor, start, by)
            after = TaskRecord(decision.task, key.subject_id, request, command.trace_id, key.request_key)
        else:
            decision = rules.request_again(before.task, start, by)
            after = again(before, decision)
        self._records[key] = after
        self._recorder.take(before, after, decision)
        return Reply(decision.status, task_view(after))

    def write(self) -> None:
        self._batch.outbox.extend(self._recorder.write())


def again(before: TaskRecord, decision: TaskDecision) -> TaskRecord:
    """A task that runs again has neither result nor report of its last run."""
    if not decision.changed:
        return before
    return replace(before, task=decision.task, result=None, provenance=None, reported=None)


def _want_regeneration(command: Command, batch: CommandBatch) -> None:
    payload = payload_of(command, InstructionRegenerate)
    batch.aggregates(InstructionHeads).want(payload.instruction_id, command.principal.owner)
    batch.aggregates(TaskRequests).want(_regeneration_key(payload))


def _regeneration_key(payload: InstructionRegenerate) -> TaskKey:
    return TaskKey(WorkType.INSTRUCTION_REGENERATE, payload.instruction_id, request_key(_regeneration_of(payload)))


def _regeneration_of(payload: InstructionRegenerate) -> JsonObject:
    return regeneration_request(payload.base_version, payload.block_ids, payload.prompt)


def _regenerate(command: Command, batch: CommandBatch) -> Reply:
    payload = payload_of(command, InstructionRegenerate)
    if batch.aggregates(InstructionHeads).find(payload.instruction_id, command.principal.owner) is None:
        return refuse(NOT_FOUND)
    tasks, key = batch.aggregates(TaskRequests), _regeneration_key(payload)
    newest = batch.aggregates(VersionedInstructions).newest(payload.instruction_id)
    if tasks.find(key) is None:
        if payload.base_version != newest.version:
            return refuse(version_conflict(newest.version))
        known = {str(block["block_id"]) for block in newest.blocks}
        if (wrong := _wrong_blocks(payload.block_ids, known)) is not None:
            return refuse(wrong)
    return tasks.ask(command, key, _regeneration_of(payload))


def _wrong_blocks(block_ids: list[str], known: set[str]) -> Problem | None:
    """Why these blocks cannot be chosen: one is not in the document, or stands twice."""
    seen: set[str] = set()
    details: list[Detail] = []
    for index, block_id in enumerate(block_ids):
        path = f"payload.block_ids.{index}"
        if block_id not in known:
            details.append(Detail(path, "unknown_block", "Block should be one of the version"))
        elif block_id in seen:
            details.append(Detail(path, "repeated", "An id should not stand twice"))
        seen.add(block_id)
    return invalid(details) if details else None


def _want_extraction(command: Command, batch: CommandBatch) -> None:
    payload = payload_of(command, ScreenshotExtract)
    batch.aggregates(JobAggregates).want(payload.job_id, command.principal.owner)
    batch.aggregates(TaskRequests).want_extraction(command.principal.owner, payload)


def extraction_of(payload: ScreenshotExtract, video: str | None) -> JsonObject | None:
    """What is asked for, of the job's video; None where it has none."""
    if video is None:
        return None
    return extraction_request(video, payload.timestamps_ms, payload.width, payload.format)


def _extract(command: Command, batch: CommandBatch) -> Reply:
    payload = payload_of(command, ScreenshotExtract)
    job = batch.aggregates(JobAggregates).find(payload.job_id, command.principal.owner)
    if job is None:
        return refuse(NOT_FOUND)
    request = extraction_of(payload, job.video_uri or job.video_url)
    if request is None:
        return refuse(NO_VIDEO)
    key = TaskKey(WorkType.SCREENSHOT_EXTRACT, payload.job_id, request_key(request))
    return batch.aggregates(TaskRequests).ask(command, key, request)


NO_VIDEO = problem(ErrorCode.INVALID_STATE, "the job has no video yet")
REGENERATE_INSTRUCTION = ChangeHandler(_want_regeneration, _regenerate)
EXTRACT_SCREENSHOTS = ChangeHandler(_want_extraction, _extract)
