"""Where a thing is in its life: the words of messages, answers and columns. Their rules are in ``domain``."""

from enum import StrEnum


class SessionStatus(StrEnum):
    RUNNING = "running"
    COMPLETED = "completed"
    FAILED = "failed"
    KILLED = "killed"


class JobState(StrEnum):
    CREATED = "CREATED"
    UPLOADED = "UPLOADED"
    QUEUED = "QUEUED"
    TRANSCRIBING = "TRANSCRIBING"
    DRAFTING = "DRAFTING"
    AWAITING_APPROVAL = "AWAITING_APPROVAL"
    RENDERING = "RENDERING"
    READY = "READY"
    DONE = "DONE"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class TaskState(StrEnum):
    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class ExportState(StrEnum):
    REQUESTED = "REQUESTED"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class AssetState(StrEnum):
    PENDING = "PENDING"
    READY = "READY"
    DELETED = "DELETED"


class Resolution(StrEnum):
    """How an anchor is found again in a version."""

    RESOLVED = "RESOLVED"
    MOVED = "MOVED"
    LOST = "LOST"


class ItemState(StrEnum):
    PENDING = "pending"
    ANALYSED = "analysed"
    FAILED = "failed"


class PublicationState(StrEnum):
    SCHEDULED = "scheduled"
    DISPATCHED = "dispatched"
    PUBLISHED = "published"
    FAILED = "failed"
    CANCELLED = "cancelled"


class LetterState(StrEnum):
    OPEN = "open"
    REPLAYING = "replaying"
    RESOLVED = "resolved"
    DISCARDED = "discarded"


class RunStatus(StrEnum):
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    ABORTED = "aborted"


class AgentState(StrEnum):
    """``idle``: its last session is over; ``stale``: its session goes on and nothing was heard for a while."""

    RUNNING = "running"
    IDLE = "idle"
    STALE = "stale"
    STOPPED = "stopped"
