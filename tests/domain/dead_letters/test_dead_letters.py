"""The life of a dead letter: every pair of state and signal that the table lacks leads nowhere."""

from itertools import product

import pytest

from contracts.values.states import LetterState
from domain.dead_letters.dead_letters import (
    TRANSITIONS,
    LetterSignal,
    Skipped,
    portion,
    refused_discard,
    refused_edit,
    skipped_because,
    source,
    target,
    too_many_failed,
)

OPEN, REPLAYING, RESOLVED, DISCARDED = LetterState


def test_a_letter_is_replayed_until_it_is_taken_or_discarded() -> None:
    assert {(state, signal): target(state, signal) for state, signal in product(LetterState, LetterSignal)} == {
        pair: TRANSITIONS.get(pair) for pair in product(LetterState, LetterSignal)
    }
    assert target(OPEN, LetterSignal.REPLAY) is REPLAYING
    assert target(REPLAYING, LetterSignal.REFUSED) is OPEN
    assert target(REPLAYING, LetterSignal.TAKEN) is RESOLVED
    assert target(OPEN, LetterSignal.DISCARD) is DISCARDED
    assert len(TRANSITIONS) == 4


@pytest.mark.parametrize("ended", [RESOLVED, DISCARDED])
def test_what_has_ended_stays(ended: LetterState) -> None:
    assert [target(ended, signal) for signal in LetterSignal] == [None] * len(LetterSignal)


def test_each_signal_means_something_in_one_state() -> None:
    assert {signal: source(signal) for signal in LetterSignal} == {
        LetterSignal.REPLAY: OPEN,
        LetterSignal.TAKEN: REPLAYING,
        LetterSignal.REFUSED: REPLAYING,
        LetterSignal.DISCARD: OPEN,
    }


def test_what_is_not_open_is_left_alone_for_a_reason() -> None:
    assert {state: skipped_because(state) for state in (None, REPLAYING, RESOLVED, DISCARDED)} == {
        None: Skipped.NOT_FOUND,
        REPLAYING: Skipped.IN_FLIGHT,
        RESOLVED: Skipped.ALREADY_REPLAYED,
        DISCARDED: Skipped.DISCARDED,
    }
    with pytest.raises(KeyError):
        skipped_because(OPEN)


def test_discarding_again_is_met_and_anything_else_refused() -> None:
    assert [refused_discard(state) is None for state in LetterState] == [True, False, False, True]
    assert [refused_edit(state) is None for state in LetterState] == [True, False, False, False]


def test_portions_grow_to_a_bound_and_never_exceed_a_second_of_the_rate() -> None:
    assert [portion(number) for number in range(6)] == [1, 10, 100, 1_000, 1_000, 1_000]
    assert [portion(number, rate_per_second=20) for number in range(4)] == [1, 10, 20, 20]
    assert portion(3, rate_per_second=0.1) == 1


@pytest.mark.parametrize(
    ("still_failed", "replayed", "ratio", "stops"),
    [
        (9, 0, 0.5, False),
        (10, 0, 0.5, True),
        (5, 5, 0.5, False),
        (6, 5, 0.5, True),
        (99, 0, None, False),
        (10, 0, 1.0, False),
    ],
)
def test_a_replay_stops_above_the_ratio_once_it_says_something(
    still_failed: int, replayed: int, ratio: float | None, stops: bool
) -> None:
    assert too_many_failed(still_failed, replayed, ratio) is stops
