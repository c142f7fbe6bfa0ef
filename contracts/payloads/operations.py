"""What operators ask that looks at failures and runs, runs them again, or keeps the house."""

from enum import StrEnum
from typing import Annotated, Final, TypeAlias

from pydantic import Field, PlainSerializer

from contracts.errors import JsonObject
from contracts.payloads.base import BrokenRule, Payload, RuledPayload
from contracts.payloads.jobs import Page
from contracts.values.states import LetterState, RunStatus
from contracts.values.times import format_micros
from contracts.values.types import Flag, Name, Timestamp

Instant: TypeAlias = Annotated[Timestamp, PlainSerializer(format_micros, return_type=str, when_used="json")]
"""A moment that is written as it was read: parameters of operations are kept."""

Words: TypeAlias = Annotated[list[Name], Field(min_length=1, max_length=1_000)]
Ids: TypeAlias = Annotated[list[Name], Field(min_length=1, max_length=10_000)]


class Target(StrEnum):
    """What can be replayed."""

    DEAD_LETTERS = "dead_letters"
    PUBLICATIONS = "publications"
    WORK = "work"


class ReplayFailed(RuledPayload):
    """replay-failed 1.0: run again what failed. An empty selection is refused: ``all`` says it aloud."""

    targets: Annotated[list[Target], Field(min_length=1)] = Field(default_factory=lambda: [Target.DEAD_LETTERS])
    kinds: Words | None = None
    codes: Words | None = None
    producers: Words | None = None
    ids: Ids | None = None
    since: Instant | None = None
    until: Instant | None = None
    all: Flag = False
    limit: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] | None = None
    dry_run: Flag = False
    rate_per_second: Annotated[float, Field(gt=0, le=100_000, allow_inf_nan=False)] | None = None
    stop_on_failure_ratio: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)] | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        named = any(raw.get(name) is not None for name in ("kinds", "codes", "producers", "ids", "since", "until"))
        return () if named or (raw.get("all") is not False and raw.get("all") is not None) else (_UNFILTERED,)


_UNFILTERED: Final = BrokenRule(("all",), "filter_required", "A filter should be given, or all should be true")


class ReplayStatus(Page):
    """replay-status 1.0: how a replay stands, with its items."""

    run_id: Name


class ReplayAbort(Payload):
    """replay-abort 1.0: send nothing more. What was sent is still decided on."""

    run_id: Name


class LetterAction(StrEnum):
    LIST = "list"
    GROUPS = "groups"
    SHOW = "show"
    DISCARD = "discard"
    EDIT = "edit"


class DeadLetters(RuledPayload, Page):
    """dead-letters 1.0: look at refused messages, discard one, or replay one with a corrected body."""

    action: LetterAction
    dead_letter_id: Name | None = None
    body: Annotated[str, Field(strict=True)] | None = None
    kinds: Words | None = None
    codes: Words | None = None
    producers: Words | None = None
    ids: Ids | None = None
    states: Annotated[list[LetterState], Field(min_length=1)] | None = None
    since: Instant | None = None
    until: Instant | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        action = raw.get("action")
        broken: list[BrokenRule] = []
        if action in _OF_ONE and raw.get("dead_letter_id") is None:
            broken.append(_WHICH)
        if action == LetterAction.EDIT and raw.get("body") is None:
            broken.append(_BODY)
        return tuple(broken)


_OF_ONE: Final = (LetterAction.SHOW, LetterAction.DISCARD, LetterAction.EDIT)
_WHICH: Final = BrokenRule(("dead_letter_id",), "missing", "Field required")
_BODY: Final = BrokenRule(("body",), "missing", "Field required")


class Runs(Page):
    """runs 1.0: the audit of operations, newest first."""

    run_id: Name | None = None
    operation: Name | None = None
    status: RunStatus | None = None
    since: Instant | None = None


class ImportLegacy(RuledPayload):
    """import-legacy 1.0: take in records from a file below ``imports.dir`` or from an object of the assets' store."""

    kind: Name
    path: Annotated[str, Field(strict=True, min_length=1, max_length=4_096)] | None = None
    object: Annotated[str, Field(strict=True, min_length=1, max_length=1_024)] | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        return () if (raw.get("path") is None) is not (raw.get("object") is None) else (_ONE_SOURCE,)


_ONE_SOURCE: Final = BrokenRule(("path",), "path_or_object", "Either path or object should be given")


class Prune(Payload):
    """prune 1.0: remove what is older than its retention."""


class Backup(Payload):
    """backup 1.0: a consistent copy of the database, made while it is in use."""
