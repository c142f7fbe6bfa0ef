"""What operators ask about anything: its whole story, what bears an id, who they are, the jobs of all owners."""

from typing import Final

from contracts.errors import JsonObject
from contracts.payloads.base import BrokenRule, Payload, RuledPayload
from contracts.payloads.commands.jobs import Page
from contracts.payloads.operations.failures import Instant
from contracts.values.states import JobState
from contracts.values.types import Identifier, Name, TraceId


class Explain(RuledPayload, Page):
    """explain 1.0: the story of one message, of one trace, or of the thing that bears an id."""

    kind: Name | None = None
    message_id: Name | None = None
    trace_id: TraceId | None = None
    id: Name | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        message = raw.get("kind") is not None, raw.get("message_id") is not None
        forms = any(message) + (raw.get("trace_id") is not None) + (raw.get("id") is not None)
        if forms != 1:
            return (_ONE_FORM,)
        return (_WHOLE_KEY,) if any(message) and not all(message) else ()


_ONE_FORM: Final = BrokenRule(("id",), "one_form", "Either kind and message_id, or trace_id, or id should be given")
_WHOLE_KEY: Final = BrokenRule(("message_id",), "whole_key", "A message is known by its kind and its message_id")


class Find(Payload):
    """find 1.0: what bears exactly this id."""

    id: Name


class About(Payload):
    """about 1.0: who the caller is and what the daemon is."""


class Jobs(Page):
    """jobs 1.0: jobs of all owners, newest first."""

    status: JobState | None = None
    project_id: Identifier | None = None
    owner: Name | None = None
    since: Instant | None = None
