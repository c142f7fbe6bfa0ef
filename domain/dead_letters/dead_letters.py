"""The life of a dead letter, and what a replay of one comes to.

::

    open ──replay──► replaying ──taken──► resolved
     ▲                   │
     └──refused again────┘        open ──discard──► discarded
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from contracts.errors import Detail, ErrorCode, Problem, problem
from contracts.values.states import LetterState


class LetterSignal(StrEnum):
    """What happens to a dead letter."""

    REPLAY = "replay"
    TAKEN = "taken"
    """The gate took the replay, or knew the message already."""
    REFUSED = "refused"
    """The gate refused the replay, or nobody will ever hear of it."""
    DISCARD = "discard"


TRANSITIONS: Final[Mapping[tuple[LetterState, LetterSignal], LetterState]] = MappingProxyType(
    {
        (LetterState.OPEN, LetterSignal.REPLAY): LetterState.REPLAYING,
        (LetterState.OPEN, LetterSignal.DISCARD): LetterState.DISCARDED,
        (LetterState.REPLAYING, LetterSignal.TAKEN): LetterState.RESOLVED,
        (LetterState.REPLAYING, LetterSignal.REFUSED): LetterState.OPEN,
    }
)


class ReplayOutcome(StrEnum):
    """What became of one item of a run: of a replay, or of a discard."""

    REPLAYED = "replayed"
    SKIPPED = "skipped"
    STILL_FAILED = "still_failed"
    DISCARDED = "discarded"


class Skipped(StrEnum):
    """Why an item of a replay was left alone."""

    IN_FLIGHT = "in_flight"
    ALREADY_REPLAYED = "already_replayed"
    DISCARDED = "discarded"
    NOT_FOUND = "not_found"
    DRY_RUN = "dry_run"
    ABORTED = "aborted"
    FAILURE_RATIO = "failure_ratio"


def target(state: LetterState, signal: LetterSignal) -> LetterState | None:
    """Where *signal* leads from *state*; None where it leads nowhere."""
    return TRANSITIONS.get((state, signal))


def source(signal: LetterSignal) -> LetterState:
    """The one state in which *signal* means anything."""
    (state,) = (state for state, known in TRANSITIONS if known is signal)
    return state


def skipped_because(state: LetterState | None) -> Skipped:
    """Why a dead letter in *state* (None: there is none) is not replayed."""
    return _SKIPPED[state]


_SKIPPED: Final[Mapping[LetterState | None, Skipped]] = MappingProxyType(
    {
        None: Skipped.NOT_FOUND,
        LetterState.REPLAYING: Skipped.IN_FLIGHT,
        LetterState.RESOLVED: Skipped.ALREADY_REPLAYED,
        LetterState.DISCARDED: Skipped.DISCARDED,
    }
)


def refused_discard(state: LetterState) -> Problem | None:
    """Why a dead letter in *state* is not discarded; None where it is, or was before."""
    if state is LetterState.DISCARDED or target(state, LetterSignal.DISCARD) is not None:
        return None
    return problem(ErrorCode.INVALID_STATE, f"the dead letter is {state}")


def refused_edit(state: LetterState) -> Problem | None:
    """Why a dead letter in *state* is not replayed with another body; None where it is."""
    if target(state, LetterSignal.REPLAY) is not None:
        return None
    return problem(ErrorCode.INVALID_STATE, f"the dead letter is {state}")


def edit_conflict(replay_number: int, *, base: int | None) -> Problem | None:
    """Why an edit that was made on the replay *base* comes too late; None where nothing was replayed since."""
    if base is None or base == replay_number:
        return None
    sentence = "the dead letter was replayed meanwhile"
    detail = Detail(
        "payload.base_replay_number", "version_conflict", sentence, {"current_replay_number": replay_number}
    )
    return problem(ErrorCode.VERSION_CONFLICT, sentence, [detail])


RAMP: Final = (1, 10, 100, 1_000)
"""How many items go out before what became of them is looked at: the first portions test the water."""


def portion(round_number: int, *, rate_per_second: float | None = None) -> int:
    """How many items the round with this number (from 0) sends; no more than a second's worth under a rate."""
    most = RAMP[min(round_number, len(RAMP) - 1)]
    return most if rate_per_second is None else max(1, min(most, int(rate_per_second)))


def too_many_failed(still_failed: int, replayed: int, ratio: float | None) -> bool:
    """Whether a replay is to stop: the share of what was refused again is above *ratio*. A few say nothing yet."""
    decided = still_failed + replayed
    return ratio is not None and decided >= _LEAST_DECIDED and still_failed / decided > ratio


_LEAST_DECIDED: Final = 10
