"""The whole life of a job, as one table. A transition that is not a row here does not exist."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from contracts.values.states import JobState
from domain.state_diagram import mermaid


class Signal(StrEnum):
    """What moves a job; the ``what`` of its audit events."""

    UPLOAD_CONFIRMED = "upload_confirmed"
    RUN_REQUESTED = "run_requested"
    TRANSCRIPTION_STARTED = "transcription_started"
    DRAFTING_STARTED = "drafting_started"
    DRAFT_FINISHED = "draft_finished"
    RENDER_REQUESTED = "render_requested"
    RENDER_FINISHED = "render_finished"
    EXPORT_SUCCEEDED = "export_succeeded"
    FAILURE_REPORTED = "failure_reported"
    GAVE_UP = "gave_up"
    CANCEL_REQUESTED = "cancel_requested"


_FORWARD: Final[Mapping[tuple[JobState, Signal], JobState]] = {
    (JobState.CREATED, Signal.UPLOAD_CONFIRMED): JobState.UPLOADED,
    (JobState.UPLOADED, Signal.RUN_REQUESTED): JobState.QUEUED,
    (JobState.QUEUED, Signal.TRANSCRIPTION_STARTED): JobState.TRANSCRIBING,
    (JobState.TRANSCRIBING, Signal.DRAFTING_STARTED): JobState.DRAFTING,
    (JobState.DRAFTING, Signal.DRAFT_FINISHED): JobState.AWAITING_APPROVAL,
    (JobState.AWAITING_APPROVAL, Signal.RENDER_REQUESTED): JobState.RENDERING,
    (JobState.RENDERING, Signal.RENDER_FINISHED): JobState.READY,
    (JobState.READY, Signal.RENDER_REQUESTED): JobState.RENDERING,
    (JobState.READY, Signal.EXPORT_SUCCEEDED): JobState.DONE,
}
_ENDINGS: Final[Mapping[Signal, JobState]] = {
    Signal.FAILURE_REPORTED: JobState.FAILED,
    Signal.GAVE_UP: JobState.FAILED,
    Signal.CANCEL_REQUESTED: JobState.CANCELLED,
}
_STATES_WITH_WAY_OUT: Final = [state for state in JobState if any(source is state for source, _ in _FORWARD)]

TRANSITIONS: Final[Mapping[tuple[JobState, Signal], JobState]] = MappingProxyType(
    {
        **_FORWARD,
        **{(state, signal): ending for state in _STATES_WITH_WAY_OUT for signal, ending in _ENDINGS.items()},
    }
)
TERMINAL: Final = frozenset(JobState) - {state for state, _ in TRANSITIONS}
"""States without a way out: a job in one of them never changes again."""

SIGNAL_OF_REPORT: Final[Mapping[JobState, Signal]] = MappingProxyType(
    {
        JobState.TRANSCRIBING: Signal.TRANSCRIPTION_STARTED,
        JobState.DRAFTING: Signal.DRAFTING_STARTED,
        JobState.AWAITING_APPROVAL: Signal.DRAFT_FINISHED,
        JobState.READY: Signal.RENDER_FINISHED,
        JobState.FAILED: Signal.FAILURE_REPORTED,
    }
)
"""The moves that a worker may ask for, by the status that its callback names."""

PROGRESS_STATES: Final = (frozenset(SIGNAL_OF_REPORT) | {JobState.RENDERING}) - TERMINAL
"""The states that a callback may name without moving the job, while it is in that very state."""


def next_state(state: JobState, signal: Signal) -> JobState | None:
    """Where the signal leads; None where it is not allowed."""
    return TRANSITIONS.get((state, signal))


def sources(signal: Signal) -> frozenset[JobState]:
    """The states in which the signal is allowed: the guard of its update."""
    return frozenset(state for state, known in TRANSITIONS if known is signal)


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    return mermaid(JobState.CREATED, TRANSITIONS)
