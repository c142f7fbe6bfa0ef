"""A table of transitions as a picture: the diagrams in the documents are made from the tables, never drawn by hand."""

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

State = TypeVar("State", bound=StrEnum)
Signal = TypeVar("Signal", bound=StrEnum)


def mermaid(initial: State, transitions: Mapping[tuple[State, Signal], State]) -> str:
    """The table as a Mermaid state diagram; states without a way out lead to the end."""
    edges: dict[tuple[State, State], list[Signal]] = {}
    for (state, signal), target in transitions.items():
        edges.setdefault((state, target), []).append(signal)
    leaving = {state for state, _ in transitions}
    lines = ["stateDiagram-v2", f"    [*] --> {initial}"]
    lines += [f"    {state} --> {target}: {', '.join(signals)}" for (state, target), signals in edges.items()]
    lines += [f"    {state} --> [*]" for state in type(initial) if state not in leaving]
    return "\n".join(lines)
