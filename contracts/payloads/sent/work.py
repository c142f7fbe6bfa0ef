"""What workers are asked to do. Each order carries all that the work needs, as it stands when it is handed out."""

from typing import Annotated

from pydantic import Field
from pydantic.dataclasses import dataclass

from contracts.payloads.base import CLOSED, Payload
from contracts.payloads.callbacks import Block, Checkpoint, Ordinal, Scene, Seconds, Uri
from contracts.values.types import Count, Identifier, MessageId, Name, Text, Timestamp


class WorkOrder(Payload):
    """What all work has: reports go to ``callback_subject`` and name ``attempt``; silence past ``deadline`` ends it."""

    work_id: Identifier
    attempt: Ordinal
    deadline: Timestamp
    callback_subject: str


@dataclass(frozen=True, slots=True, config=CLOSED)
class ScriptScene:
    text: Text
    duration_s: Seconds


@dataclass(frozen=True, slots=True, config=CLOSED)
class Script:
    """A script as it stands now."""

    script_id: Identifier
    title: Text
    body: Text
    duration_s: Seconds
    scenes: list[ScriptScene]


@dataclass(frozen=True, slots=True, config=CLOSED)
class Instruction:
    """The approved version of an instruction."""

    version: Ordinal
    blocks: list[Block]


class JobProcess(WorkOrder):
    """job.process 1.0: transcribe and draft, from the checkpoint on where there is one."""

    job_id: Identifier
    video_uri: Uri | None = None
    script: Script | None = None
    prompt: Text | None = None
    checkpoint: Checkpoint | None = None
    objective: Name | None = None


class JobRenderWork(WorkOrder):
    """job.render 1.0 as work"""

    job_id: Identifier
    instruction: Instruction
    storyboard: list[Scene] | None = None
    video_uri: Uri | None = None


class ItemAnalyse(WorkOrder):
    """item.analyse 1.0"""

    item_id: Identifier
    source: Identifier
    title: Text
    url: Uri
    published_at: Timestamp
    text: Text | None = None


class Publish(WorkOrder):
    """publish 1.0"""

    post_id: Identifier
    platform: Identifier
    publish_at: Timestamp
    caption: Text
    hashtags: list[Text]
    topic: Text | None = None
    video_url: Uri | None = None
    script: Script | None = None


class InstructionRegenerateWork(WorkOrder):
    """instruction.regenerate 1.0 as work"""

    task_id: Identifier
    base_version: Ordinal
    blocks: list[Block]
    block_ids: list[MessageId]
    prompt: Text | None = None


class ScreenshotExtractWork(WorkOrder):
    """screenshot.extract 1.0 as work"""

    task_id: Identifier
    video_uri: Uri
    timestamps_ms: Annotated[list[Count], Field(min_length=1)]
    width: Ordinal | None = None
    format: Name
    object_prefix: Uri
