"""What operators ask that looks at failures and runs, runs them again, or keeps the house."""

from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated, ClassVar, Final, TypeAlias

from pydantic import Field, PlainSerializer

from contracts.errors import JsonObject
from contracts.payloads.base import FIRST_VIOLATIONS, BrokenRule, Items, Payload, RuledPayload
from contracts.payloads.commands.jobs import Page
from contracts.values.states import LetterState, RunStatus
from contracts.values.times import format_micros
from contracts.values.types import Flag, Name, Rate, Ratio, Timestamp, TraceId

Instant: TypeAlias = Annotated[Timestamp, PlainSerializer(format_micros, return_type=str, when_used="json")]
"""A moment that is written as it was read: parameters of operations are kept."""

Words: TypeAlias = Annotated[list[Name], Field(min_length=1, max_length=1_000), FIRST_VIOLATIONS]
Ids: TypeAlias = Annotated[list[Name], Field(min_length=1, max_length=10_000), FIRST_VIOLATIONS]
_Path: TypeAlias = Annotated[str, Field(strict=True)]
Paths: TypeAlias = Annotated[list[Items[_Path]], Field(min_length=1, max_length=1_000), FIRST_VIOLATIONS]
"""The places of groups as ``groups`` tells them: names of fields as they came, which may be anything."""
Traces: TypeAlias = Annotated[list[TraceId], Field(min_length=1, max_length=1_000), FIRST_VIOLATIONS]
Reason: TypeAlias = Annotated[str, Field(strict=True, min_length=1, max_length=1_000)]


class Target(StrEnum):
    """What can be replayed."""

    DEAD_LETTERS = "dead_letters"
    PUBLICATIONS = "publications"
    WORK = "work"


class LetterSelection(Payload):
    """Which dead letters are meant. What is given is combined by *and*; a null among ``producers`` means unknown."""

    may_hold_nul: ClassVar[frozenset[str]] = frozenset({"paths"})

    states: Annotated[list[LetterState], Field(min_length=1), FIRST_VIOLATIONS] | None = None
    kinds: Words | None = None
    codes: Words | None = None
    paths: Paths | None = None
    producers: Annotated[list[Name | None], Field(min_length=1, max_length=1_000), FIRST_VIOLATIONS] | None = None
    ids: Ids | None = None
    message_ids: Words | None = None
    trace_ids: Traces | None = None
    except_ids: Words | None = None
    since: Instant | None = None
    until: Instant | None = None


def names_a_selection(raw: JsonObject) -> bool:
    """Whether a filter is given, or ``all`` says aloud that everything is meant. What only takes away is no filter."""
    filtered = any(raw.get(name) is not None for name in _FILTERS)
    return filtered or (raw.get("all") is not False and raw.get("all") is not None)


_FILTERS: Final = tuple(name for name in LetterSelection.model_fields if name not in ("states", "except_ids"))
_UNFILTERED: Final = BrokenRule(("all",), "filter_required", "A filter should be given, or all should be true")


class ReplayFailed(RuledPayload, LetterSelection):
    """replay-failed 1.0: run again what failed. An empty selection is refused: ``all`` says it aloud."""

    targets: Annotated[list[Target], Field(min_length=1), FIRST_VIOLATIONS] = Field(
        default_factory=lambda: [Target.DEAD_LETTERS]
    )
    all: Flag = False
    limit: Annotated[int, Field(strict=True, ge=1, le=10_000_000)] | None = None
    dry_run: Flag = False
    rate_per_second: Rate | None = None
    stop_on_failure_ratio: Ratio | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        return () if names_a_selection(raw) else (_UNFILTERED,)


class ReplayStatus(Page):
    """replay-status 1.0: how a replay stands, with its items."""

    run_id: Name


class ReplayAbort(Payload):
    """replay-abort 1.0: send nothing more. What was sent is still decided on."""

    run_id: Name


class LetterAction(StrEnum):
    LIST = "list"
    GROUPS = "groups"
    HISTOGRAM = "histogram"
    SHOW = "show"
    CHECK = "check"
    DISCARD = "discard"
    EDIT = "edit"


class DeadLetters(RuledPayload, LetterSelection, Page):
    """dead-letters 1.0: look at refused messages, discard them, or replay one with a corrected body.

    A discard means the one letter of ``dead_letter_id``, or all that the filters name: that is a run.
    """

    action: LetterAction
    dead_letter_id: Name | None = None
    body: Annotated[str, Field(strict=True)] | None = None
    base_replay_number: Annotated[int, Field(strict=True, ge=0, le=2**31 - 1)] | None = None
    reason: Reason | None = None
    all: Flag = False
    dry_run: Flag = False
    buckets: Annotated[int, Field(strict=True, ge=1, le=120)] = 24

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        action = raw.get("action")
        broken: list[BrokenRule] = []
        if action in _OF_ONE and raw.get("dead_letter_id") is None:
            broken.append(_WHICH)
        if action in _WITH_BODY and raw.get("body") is None:
            broken.append(_BODY)
        if action == LetterAction.DISCARD and raw.get("dead_letter_id") is None:
            broken += _rules_of_discard(raw)
        if action == LetterAction.DISCARD and raw.get("dead_letter_id") is not None and _selects(raw):
            broken.append(_EITHER)
        return tuple(broken)


def _selects(raw: JsonObject) -> bool:
    return raw.get("except_ids") is not None or names_a_selection(raw)


def _rules_of_discard(raw: JsonObject) -> Iterator[BrokenRule]:
    """Of many: named by something, and for a reason that is told."""
    if not names_a_selection(raw):
        yield _UNFILTERED
    if raw.get("reason") is None:
        yield _REASON


_OF_ONE: Final = (LetterAction.SHOW, LetterAction.CHECK, LetterAction.EDIT)
_WITH_BODY: Final = (LetterAction.CHECK, LetterAction.EDIT)
_WHICH: Final = BrokenRule(("dead_letter_id",), "missing", "Field required")
_BODY: Final = BrokenRule(("body",), "missing", "Field required")
_REASON: Final = BrokenRule(("reason",), "missing", "Field required")
_EITHER: Final = BrokenRule(("dead_letter_id",), "id_or_filter", "Either dead_letter_id or filters should be given")


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


class RebuildAggregates(Payload):
    """rebuild-aggregates 1.0: make the totals of the days between two instants the sums of their records again."""

    since: Instant | None = None
    until: Instant | None = None


class Backup(Payload):
    """backup 1.0: a consistent copy of the database, made while it is in use."""
