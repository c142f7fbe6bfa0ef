"""Which messages may have ended the process, and how they are worked on after that.

What was in hand when a process died is suspect. Suspects are worked on while nothing else is in hand: in groups of at
most :data:`GROUP` after their first death, alone after the second. Only a message that was alone in hand at
:data:`DEATHS_ALONE` deaths is held to have caused them. So a message that ends the process costs five deaths at most
(one in a full batch, one in a group, three alone), and its neighbours are taken.

Where no note of the predecessor survives, the number of deliveries stands in for the deaths.

After a death less is worked on at once for some seconds: what a process dies with costs the next one a commit for each
group, so that a row of deaths with full batches would leave time for nothing else.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple, TypeVar

GROUP: Final = 32
DEATHS_ALONE: Final = 3
_ALONE_FROM_DEATHS: Final = 2
_GROUPED_FROM_DELIVERY: Final = 5
_FIRST_BATCH: Final = 16 * GROUP
_DOUBLES_AFTER_S: Final = 2.0
_DOUBLINGS: Final = 10
_ALONE_FROM_DELIVERY: Final = 8

K = TypeVar("K")
T = TypeVar("T")


class Suspicion(NamedTuple):
    """At how many deaths of a process a message was in hand, and at how many of them nothing else was."""

    deaths: int = 0
    alone: int = 0

    @property
    def is_proven(self) -> bool:
        return self.alone >= DEATHS_ALONE

    @property
    def works_alone(self) -> bool:
        return self.deaths >= _ALONE_FROM_DEATHS


_NONE: Final = Suspicion()
_BY_COUNT: Final = {False: Suspicion(deaths=1), True: Suspicion(deaths=_ALONE_FROM_DEATHS)}


def after_death(in_hand: Iterable[K], known: Mapping[K, Suspicion]) -> dict[K, Suspicion]:
    """The suspects after a process died with *in_hand*; *known* are those that it had to work on already."""
    died_with = set(in_hand)
    alone = len(died_with) == 1
    suspects = dict(known)
    for key in died_with:
        before = suspects.get(key, _NONE)
        suspects[key] = Suspicion(before.deaths + 1, before.alone + alone)
    return suspects


def by_deliveries(delivered: int) -> Suspicion | None:
    """What the number of deliveries says of a message of which no note tells anything."""
    return None if delivered < _GROUPED_FROM_DELIVERY else _BY_COUNT[delivered >= _ALONE_FROM_DELIVERY]


def most_at_once(most: int, seconds: float) -> int:
    """How much of the *most* that may be worked on at once is, *seconds* after work began on what a death left."""
    return min(most, _FIRST_BATCH << min(int(seconds / _DOUBLES_AFTER_S), _DOUBLINGS))


def groups(suspects: Sequence[tuple[T, Suspicion]]) -> Iterator[list[T]]:
    """How suspects are worked on, one group after the other: those with the fewest deaths first.

    Deaths that a message did not cause (a crash storm) thereby fall on others each time.
    """
    ordered = sorted(suspects, key=lambda each: (each[1].deaths, each[1].alone))
    group: list[T] = []
    for message, suspicion in ordered:
        if group and (suspicion.works_alone or len(group) == GROUP):
            yield group
            group = []
        group.append(message)
        if suspicion.works_alone:
            yield group
            group = []
    if group:
        yield group
