"""What workers report: of jobs, tasks, items and publications. Each callback says its own ``event_id``."""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from itertools import chain
from typing import Annotated, ClassVar, Final, Literal, TypeAlias

from pydantic import Field, GetPydanticSchema, StringConstraints, WithJsonSchema
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from contracts.errors import JsonObject, JsonValue, Problem, invalid_field
from contracts.payloads.base import CLOSED, BrokenRule, Items, Payload, RuledPayload
from contracts.values.states import JobState, TaskState
from contracts.values.types import (
    MAX_COUNT,
    Count,
    Flag,
    Identifier,
    MessageId,
    Money,
    Name,
    Text,
    within_json_limits,
)

MAX_CHECKPOINT_BYTES: Final = 16 * 1024

Uri: TypeAlias = Annotated[
    str,
    StringConstraints(strict=True, min_length=1, max_length=2_048, pattern=r"^[^\s\u0000-\u001f\u007f-\u009f]+$"),
]
"""Where something lies: 1 to 2,048 characters, neither spaces nor control characters. Nobody here follows it."""

Ordinal: TypeAlias = Annotated[int, Field(strict=True, ge=1, le=MAX_COUNT)]
"""An integer from 1."""

Seconds: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=MAX_COUNT, allow_inf_nan=False)]

Percent: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=100, allow_inf_nan=False)]


def _checkpoint(value: object) -> JsonValue:
    if not isinstance(value, str | dict):
        raise PydanticKnownError("string_type")
    if not within_json_limits(value, MAX_CHECKPOINT_BYTES):
        raise PydanticCustomError("data_too_long", "Data should have at most 16384 bytes in canonical form")
    return value


Checkpoint: TypeAlias = Annotated[
    JsonValue,
    GetPydanticSchema(lambda _source, _handler: core_schema.no_info_plain_validator_function(_checkpoint)),
    WithJsonSchema(
        {"anyOf": [{"type": "string"}, {"type": "object"}], "description": "At most 16384 bytes in canonical form."}
    ),
]
"""From where another worker can go on: text or an object, in the workers' own words."""


class BlockType(StrEnum):
    HEADING = "heading"
    PARAGRAPH = "paragraph"
    STEP = "step"
    NOTE = "note"


class SentimentLabel(StrEnum):
    NEGATIVE = "negative"
    NEUTRAL = "neutral"
    POSITIVE = "positive"


class PublishOutcome(StrEnum):
    PUBLISHED = "published"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, config=CLOSED)
class Segment:
    """A piece of a transcript."""

    start_ms: Count
    end_ms: Count
    text: Text


@dataclass(frozen=True, slots=True, config=CLOSED)
class Scene:
    """A picture of a storyboard."""

    scene: Ordinal
    text: Text
    duration_s: Seconds
    image_url: Uri | None = None


@dataclass(frozen=True, slots=True, config=CLOSED)
class Block:
    """A part of an instruction; an empty text is stored and judged later."""

    block_id: MessageId
    type: BlockType
    text: Text


@dataclass(frozen=True, slots=True, config=CLOSED)
class InstructionDraft:
    """An instruction as the worker wrote it."""

    blocks: Items[Block]


@dataclass(frozen=True, slots=True, config=CLOSED)
class JobArtifacts:
    """What was made of a job so far."""

    transcript: Items[Segment] | None = None
    storyboard: Items[Scene] | None = None
    instruction: InstructionDraft | None = None
    video_url: Uri | None = None


@dataclass(frozen=True, slots=True, config=CLOSED)
class WorkerFailure:
    """Why a worker could not go on, and whether trying again may help."""

    code: Name
    message: Text
    retryable: Flag


class JobStatus(RuledPayload):
    """job.status 1.0"""

    subject_field: ClassVar[str] = "job_id"

    event_id: MessageId
    attempt: Ordinal | None = None
    sequence: Ordinal
    status: JobState
    progress: Percent | None = None
    checkpoint: Checkpoint | None = None
    cost_usd_micros: Money | None = Field(default=None, alias="cost_usd")
    artifacts: JobArtifacts | None = None
    failure: WorkerFailure | None = None
    job_id: Identifier | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Iterable[BrokenRule]:
        """No segment ends before it starts, no scene and no block stands twice in one report."""
        made = raw.get("artifacts")
        if not isinstance(made, dict):
            return ()
        return chain(
            _segments_turned_round(made.get("transcript")),
            repeated(made.get("storyboard"), ("artifacts", "storyboard"), "scene"),
            _repeated_blocks(made),
        )


@dataclass(frozen=True, slots=True, config=CLOSED)
class TaskAsset:
    """A picture that a worker put into the object store."""

    object: Uri
    media_type: Name
    width: Ordinal
    height: Ordinal
    timestamp_ms: Count
    sha256: Annotated[str, StringConstraints(strict=True, pattern=r"^[0-9a-f]{64}$")]


@dataclass(frozen=True, slots=True, config=CLOSED)
class TaskArtifacts:
    instruction: InstructionDraft | None = None
    assets: Items[TaskAsset] | None = None


class TaskStatus(RuledPayload):
    """task.status 1.0"""

    subject_field: ClassVar[str] = "task_id"

    event_id: MessageId
    attempt: Ordinal | None = None
    sequence: Ordinal
    status: Literal[TaskState.RUNNING, TaskState.SUCCEEDED, TaskState.FAILED]
    artifacts: TaskArtifacts | None = None
    model: Name | None = None
    failure: WorkerFailure | None = None
    task_id: Identifier | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Iterable[BrokenRule]:
        """No block stands twice in one report."""
        made = raw.get("artifacts")
        return _repeated_blocks(made) if isinstance(made, dict) else ()


@dataclass(frozen=True, slots=True, config=CLOSED)
class Sentiment:
    label: SentimentLabel
    score: Annotated[float, Field(strict=True, ge=0, le=1, allow_inf_nan=False)]


class ItemResult(Payload):
    """item.result 1.0"""

    subject_field: ClassVar[str] = "item_id"

    event_id: MessageId
    sentiment: Sentiment
    item_id: Identifier | None = None


class PublishResult(Payload):
    """publish.result 1.0"""

    subject_field: ClassVar[str] = "post_id"

    event_id: MessageId
    outcome: PublishOutcome
    external_id: Name | None = None
    failure: WorkerFailure | None = None
    post_id: Identifier | None = None


Callback: TypeAlias = JobStatus | TaskStatus | ItemResult | PublishResult


def on_its_subject(callback: Callback, subject_id: str) -> Problem | None:
    """None where the payload names no id, or the one in the subject it came on."""
    named = getattr(callback, callback.subject_field)
    if named is None or named == subject_id:
        return None
    return invalid_field(f"payload.{callback.subject_field}", "subject_mismatch", "Id should be the one in the subject")


_END_BEFORE_START: Final = ("end_before_start", "A segment should not end before it starts")
_REPEATED: Final = ("repeated", "An id should not stand twice")


def _segments_turned_round(transcript: JsonValue) -> Iterator[BrokenRule]:
    for index, segment in enumerate(transcript if isinstance(transcript, list) else ()):
        if isinstance(segment, dict) and _before(segment.get("end_ms"), segment.get("start_ms")):
            yield BrokenRule(("artifacts", "transcript", index, "end_ms"), *_END_BEFORE_START)


def _before(end: JsonValue, start: JsonValue) -> bool:
    return isinstance(end, int) and isinstance(start, int) and end < start


def _repeated_blocks(made: JsonObject) -> Iterable[BrokenRule]:
    draft = made.get("instruction")
    if not isinstance(draft, dict):
        return ()
    return repeated(draft.get("blocks"), ("artifacts", "instruction", "blocks"), "block_id")


def repeated(things: JsonValue, path: tuple[str, ...], key: str) -> Iterator[BrokenRule]:
    """One broken rule for each of *things* whose *key* another one before it has."""
    seen: set[str | int] = set()
    for index, thing in enumerate(things if isinstance(things, list) else ()):
        named = thing.get(key) if isinstance(thing, dict) else None
        if not isinstance(named, str | int):
            continue
        if named in seen:
            yield BrokenRule((*path, index, key), *_REPEATED)
        seen.add(named)
