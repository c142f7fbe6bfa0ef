"""Blame after deaths: full batch, small groups, alone; and nobody is held guilty who was not alone three times."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from domain.intake.suspects import GROUP, Suspicion, after_death, by_deliveries, groups, most_at_once


def deaths_until_found(killers: set[int], batch: int) -> tuple[int, set[int], set[int]]:
    """Lives of a process that dies of *killers*: how many deaths, who was held guilty, who was taken."""
    suspects: dict[int, Suspicion] = {}
    guilty: set[int] = set()
    taken: set[int] = set()
    for deaths in itertools.count():
        died_with: list[int] | None = None
        open_suspects = [(key, suspicion) for key, suspicion in suspects.items() if key not in guilty | taken]
        new = [key for key in range(batch) if key not in suspects and key not in taken]
        for group in [*groups(open_suspects), new] if new else groups(open_suspects):
            if len(group) == 1 and suspects.get(group[0], Suspicion()).is_proven:
                guilty.add(group[0])
            elif killers & set(group):
                died_with = group
                break
            else:
                taken |= set(group)
        if died_with is None:
            return deaths, guilty, taken
        suspects = after_death(died_with, {key: value for key, value in suspects.items() if key not in guilty | taken})
    raise AssertionError


@given(st.sets(st.integers(0, 199), max_size=3))
def test_killers_are_found_and_all_others_taken(killers: set[int]) -> None:
    deaths, guilty, taken = deaths_until_found(killers, batch=200)

    assert guilty == killers
    assert taken == set(range(200)) - killers
    assert deaths <= 5 * len(killers)


def test_a_group_is_small_and_what_died_twice_stands_alone() -> None:
    once = [(f"a{number}", Suspicion(1)) for number in range(70)]
    twice = [(f"b{number}", Suspicion(2)) for number in range(3)]

    sizes = [len(group) for group in groups([*twice, *once])]

    assert sizes == [GROUP, GROUP, 6, 1, 1, 1]


def test_a_storm_from_outside_falls_on_another_message_each_time() -> None:
    suspects = {number: Suspicion(2) for number in range(5)}
    for _ in range(10):
        first = next(groups(list(suspects.items())))
        suspects = after_death(first, suspects)

    assert not any(suspicion.is_proven for suspicion in suspects.values())


def test_without_a_note_the_deliveries_stand_in() -> None:
    found = {delivered: by_deliveries(delivered) for delivered in (1, 4, 5, 7, 8, 50)}

    assert {each for each, suspicion in found.items() if suspicion is not None} == {5, 7, 8, 50}
    assert {each for each, suspicion in found.items() if suspicion is not None and suspicion.works_alone} == {8, 50}
    assert not any(suspicion.is_proven for suspicion in found.values() if suspicion is not None)


def test_after_a_death_batches_begin_small_and_are_whole_again_within_seconds() -> None:
    assert [most_at_once(1_000, seconds) for seconds in (0, 1.9, 2, 4, 6, 1e9)] == [
        512,
        512,
        1_000,
        1_000,
        1_000,
        1_000,
    ]
    assert most_at_once(50, 0) == 50
