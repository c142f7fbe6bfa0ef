"""Which fault happens when: a function of the seed alone."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from types import MappingProxyType
from typing import Final


class FaultKind(StrEnum):
    DAEMON_KILL = "daemon: kill -9"
    DAEMON_STOP = "daemon: SIGTERM"
    DAEMON_PAUSE = "daemon: SIGSTOP"
    SERVER_KILL = "nats-server: kill -9"
    SERVER_PAUSE = "nats-server: SIGSTOP"
    DISK_FULL = "disk: full"
    DATABASE_RESTART = "database: restart"


@dataclass(frozen=True, slots=True)
class Habit:
    """How one kind of target fails: what happens to it, with the shortest and longest time (s) that it lasts, and the
    average time (s) between two faults."""

    faults: Mapping[FaultKind, tuple[float, float]]
    pause_s: float


DAEMON: Final = Habit(
    MappingProxyType(
        {
            FaultKind.DAEMON_KILL: (0.0, 1.5),
            FaultKind.DAEMON_STOP: (0.0, 1.0),
            FaultKind.DAEMON_PAUSE: (0.5, 8.0),
        }
    ),
    pause_s=5.0,
)
SERVER: Final = Habit(
    MappingProxyType({FaultKind.SERVER_KILL: (0.0, 0.0), FaultKind.SERVER_PAUSE: (0.3, 7.0)}), pause_s=9.0
)
DISK: Final = Habit(MappingProxyType({FaultKind.DISK_FULL: (2.0, 9.0)}), pause_s=25.0)
DATABASE: Final = Habit(MappingProxyType({FaultKind.DATABASE_RESTART: (0.0, 3.0)}), pause_s=25.0)


@dataclass(frozen=True, slots=True)
class Planned:
    """A fault that begins *at_s* after the start of the run (or when the one before it on its target is over) and lasts
    *lasts_s*."""

    at_s: float
    target: str
    fault: FaultKind
    lasts_s: float


def plan(seed: str, seconds: float, targets: Mapping[str, Habit]) -> dict[str, Sequence[Planned]]:
    """The faults of each target, in order; none begins after *seconds*."""
    return {
        name: list(_faults_of(name, habit, Random(f"{seed}:faults:{name}"), seconds)) for name, habit in targets.items()
    }


def _faults_of(target: str, habit: Habit, chance: Random, seconds: float) -> Iterator[Planned]:
    """Every kind once before any comes twice, so that a short run sees them too."""
    deck: list[FaultKind] = []
    at_s = chance.uniform(1.0, min(habit.pause_s, seconds / 2))
    while at_s < seconds:
        if not deck:
            deck = chance.sample(list(habit.faults), len(habit.faults))
        fault = deck.pop()
        lasts_s = min(chance.uniform(*habit.faults[fault]), seconds / 3)
        yield Planned(at_s, target, fault, lasts_s)
        at_s += lasts_s + chance.uniform(0.3, 1.7) * habit.pause_s
