"""The whole life of a feed item, as one table. A transition that is not a row here does not exist."""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from contracts.values.states import ItemState
from domain.state_diagram import mermaid


class ItemSignal(StrEnum):
    """What moves an item."""

    RESULT_REPORTED = "result_reported"
    GAVE_UP = "gave_up"
    REPLAYED = "replayed"


TRANSITIONS: Final[Mapping[tuple[ItemState, ItemSignal], ItemState]] = MappingProxyType(
    {
        (ItemState.PENDING, ItemSignal.RESULT_REPORTED): ItemState.ANALYSED,
        (ItemState.PENDING, ItemSignal.GAVE_UP): ItemState.FAILED,
        (ItemState.FAILED, ItemSignal.REPLAYED): ItemState.PENDING,
    }
)
EVENT_OF: Final[Mapping[ItemState, str]] = MappingProxyType(
    {ItemState.ANALYSED: "analysed", ItemState.FAILED: "failed"}
)
"""What listeners are told when an item reaches a state."""


def next_state(state: ItemState, signal: ItemSignal) -> ItemState | None:
    """Where the signal leads; None where it is not allowed."""
    return TRANSITIONS.get((state, signal))


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    return mermaid(ItemState.PENDING, TRANSITIONS)
