"""What handlers may ask about ideas and scripts. They know these protocols, never the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

Mark: TypeAlias = tuple[int, str]
"""(when, id): by what a list is ordered."""


class Idea(NamedTuple):
    """An idea as its newest message has it. Times are microseconds since the epoch; ``received_at`` is the first's."""

    idea_id: str
    topic: str
    objective: str
    hook: str
    format: str
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int


class Script(NamedTuple):
    """A script as its newest message has it, ``scenes`` as JSON text. Its idea may still be unknown."""

    script_id: str
    idea_id: str
    title: str
    body: str
    duration_s: int
    scenes: str
    message_id: str
    trace_id: str
    producer: str
    created_at: int
    received_at: int
    updated_at: int


class ScriptTitle(NamedTuple):
    """A script in short."""

    script_id: str
    title: str
    created_at: int


@dataclass(frozen=True, slots=True)
class Period:
    """From when (inclusive) until when (exclusive) ; None sets no bound."""

    since: int | None = None
    until: int | None = None


class IdeaRepository(Protocol):
    """Ideas."""

    def put(self, ideas: Sequence[Idea]) -> None:
        """Keep those that are new or newer than what is stored. There is one of each id among *ideas*."""
        ...

    def get(self, idea_id: str) -> Idea | None: ...

    def page(self, within: Period, *, before: Mark | None, limit: int) -> Sequence[Idea]:
        """Newest first, from the one after *before* on."""
        ...


class ScriptRepository(Protocol):
    """Scripts of ideas."""

    def put(self, scripts: Sequence[Script]) -> None:
        """Keep those that are new or newer than what is stored. There is one of each id among *scripts*."""
        ...

    def of(self, script_ids: Sequence[str]) -> Mapping[str, Script]:
        """Those of *script_ids* that are there."""
        ...

    def newest_of_idea(self, idea_id: str, *, limit: int) -> Sequence[ScriptTitle]:
        """The scripts of an idea, newest first."""
        ...

    def page(self, within: Period, *, before: Mark | None, limit: int) -> Sequence[Script]:
        """Newest first, from the one after *before* on."""
        ...
