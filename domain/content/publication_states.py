"""The whole life of a publication, as one table. A transition that is not a row here does not exist."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from contracts.values.states import PublicationState
from domain.state_diagram import mermaid


class PublicationSignal(StrEnum):
    """What moves a publication, or changes it in its state."""

    RESCHEDULED = "rescheduled"
    DUE = "due"
    CANCEL_REQUESTED = "cancel_requested"
    PUBLISHED = "published"
    FAILED = "failed"
    FAILED_FOR_NOW = "failed_for_now"
    GAVE_UP = "gave_up"
    REPLAYED = "replayed"


TRANSITIONS: Final[Mapping[tuple[PublicationState, PublicationSignal], PublicationState]] = MappingProxyType(
    {
        (PublicationState.SCHEDULED, PublicationSignal.RESCHEDULED): PublicationState.SCHEDULED,
        (PublicationState.SCHEDULED, PublicationSignal.DUE): PublicationState.DISPATCHED,
        (PublicationState.SCHEDULED, PublicationSignal.CANCEL_REQUESTED): PublicationState.CANCELLED,
        (PublicationState.DISPATCHED, PublicationSignal.PUBLISHED): PublicationState.PUBLISHED,
        (PublicationState.DISPATCHED, PublicationSignal.FAILED_FOR_NOW): PublicationState.SCHEDULED,
        (PublicationState.DISPATCHED, PublicationSignal.FAILED): PublicationState.FAILED,
        (PublicationState.DISPATCHED, PublicationSignal.GAVE_UP): PublicationState.FAILED,
        (PublicationState.FAILED, PublicationSignal.REPLAYED): PublicationState.SCHEDULED,
    }
)
EVENT_OF: Final[Mapping[PublicationState, str]] = MappingProxyType(
    {
        PublicationState.DISPATCHED: "dispatched",
        PublicationState.PUBLISHED: "published",
        PublicationState.FAILED: "failed",
        PublicationState.CANCELLED: "cancelled",
    }
)
"""What listeners are told when a publication reaches a state; that it waits again, after a failure, is no event."""


def next_state(state: PublicationState, signal: PublicationSignal) -> PublicationState | None:
    """Where the signal leads; None where it is not allowed."""
    return TRANSITIONS.get((state, signal))


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    return mermaid(PublicationState.SCHEDULED, TRANSITIONS)
