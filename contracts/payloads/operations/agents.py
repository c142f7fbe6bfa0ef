"""Agents: what operators ask of them and tell them, and what is told of their answers."""

from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from contracts.errors import JsonObject
from contracts.payloads.base import BrokenRule, Payload, RuledPayload
from contracts.payloads.commands.jobs import Limit
from contracts.payloads.ingest.session import SessionEventType
from contracts.values.states import AgentState
from contracts.values.types import Identifier, Name, Text, Timestamp, TraceId


class SystemStatus(Payload):
    """system-status 1.0: the agents that were seen, the daemons, the last round of healing."""


class ControlAction(StrEnum):
    KILL = "kill"
    SPAWN = "spawn"
    MODEL = "model"


class Control(RuledPayload):
    """control 1.0: tell an agent to end, to begin, or to use another model."""

    agent: Identifier
    action: ControlAction
    session_id: Identifier | None = None
    reason: Annotated[Text, Field(min_length=1)] | None = None
    model: Name | None = None
    task: Annotated[Text, Field(min_length=1)] | None = None

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> tuple[BrokenRule, ...]:
        action = str(raw.get("action"))
        if action not in _FIELDS:
            return ()
        strange = [name for name in _ONLY_FOR_SOME if raw.get(name) is not None and name not in _FIELDS[action]]
        broken = [BrokenRule((name,), "not_for_this_action", "Not a field of this action") for name in strange]
        if action == "model" and raw.get("model") is None:
            broken.append(BrokenRule(("model",), "missing", "Field required"))
        return tuple(broken)


_FIELDS: Final = {"kill": ("session_id", "reason"), "spawn": ("model", "task"), "model": ("model",)}
_ONLY_FOR_SOME: Final = ("session_id", "reason", "model", "task")


class Logs(Payload):
    """logs 1.0: what agents said, newest first."""

    agent: Identifier | None = None
    session_id: Identifier | None = None
    trace_id: TraceId | None = None
    type: SessionEventType | None = None
    limit: Limit = 50


class ControlMessage(Payload):
    """control 1.0, to an agent: void after ``expires_at``. It answers by a session.event whose ``data.control_id`` is
    this one's."""

    control_id: str
    agent: Identifier
    action: ControlAction
    session_id: Identifier | None = None
    reason: str | None = None
    model: Name | None = None
    task: str | None = None
    by: str
    expires_at: Timestamp


class AgentAnswered(Payload):
    """agent.answered 1.0: an agent answered a control message, by the session.event ``message_id``."""

    agent: Identifier
    control_id: str
    session_id: Identifier
    message_id: str
    type: SessionEventType
    at: Timestamp


class AgentView(Payload):
    """An agent by its newest session."""

    agent: Identifier
    state: AgentState
    model: str | None
    session_id: Identifier
    last_heartbeat_at: Timestamp


class SystemStatusResult(Payload):
    """What system-status answers."""

    run_id: str | None = None
    agents: list[AgentView]
    daemons: list[dict[str, object]]
    self_heal: dict[str, object] | None


class ControlResult(Payload):
    """What control answers."""

    run_id: str
    control_id: str
    expires_at: Timestamp


class LogLine(Payload):
    """Something that an agent said."""

    session_id: Identifier
    agent: Identifier
    type: SessionEventType
    at: Timestamp
    text: str | None = None
    data: dict[str, object] | None = None
    trace_id: TraceId


class LogsResult(Payload):
    """What logs answers."""

    run_id: str | None = None
    items: list[LogLine]
    next_cursor: str | None
