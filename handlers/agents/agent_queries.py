"""Questions about agents."""

from typing import Final

import orjson

from contracts.errors import JsonObject, JsonValue
from contracts.payloads.operations.agents import Logs
from contracts.values.times import format_micros
from domain.agents.agents import agent_state
from handlers.commands.command import Command, Reply, ok, payload_of
from handlers.commands.pages import page
from handlers.effects import Context
from storage.agents.agents import LogFilter, SeenAgent
from storage.ledger.ledger import SessionEvent
from storage.unit_of_work import UnitOfWork

MOST_AGENTS: Final = 500
_DAEMON_LEASES: Final = "daemon."


def system_status(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``system-status``: agents by name, daemons, the last round of healing."""
    agents: list[JsonValue] = [_agent_view(seen, context.now) for seen in uow.agents.seen(limit=MOST_AGENTS)]
    leases = uow.leases.holders(_DAEMON_LEASES)
    daemons: list[JsonValue] = [
        {"daemon": name.removeprefix(_DAEMON_LEASES), "state": "running" if in_force else "gone"}
        for name, in_force in sorted(leases.items())
    ]
    last = uow.heal_rounds.last()
    healed: JsonValue = None
    if last is not None:
        healed = {"started_at": format_micros(last.started_at), "daemon": last.daemon, **last.result}
    return ok({"agents": agents, "daemons": daemons, "self_heal": healed})


def logs(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``logs``: what agents said, newest first, as much as a reply holds."""
    wanted = payload_of(command, Logs)
    events = uow.agents.newest_events(
        LogFilter(wanted.agent, wanted.session_id, wanted.trace_id, wanted.type), limit=wanted.limit
    )
    items = page(events, wanted.limit, _line_view, lambda event: event.message_id, context)["items"]
    return ok({"items": items, "next_cursor": None})


def _agent_view(seen: SeenAgent, now: int) -> JsonObject:
    return {
        "agent": seen.agent,
        "state": str(agent_state(seen.status, last_at=seen.last_at, now=now)),
        "model": seen.model,
        "session_id": seen.session_id,
        "last_heartbeat_at": format_micros(seen.last_at),
    }


def _line_view(event: SessionEvent) -> JsonObject:
    view: JsonObject = {
        "session_id": event.session_id,
        "agent": event.agent,
        "type": event.type,
        "at": format_micros(event.at),
        "trace_id": event.trace_id,
    }
    if event.text is not None:
        view["text"] = event.text
    if event.data is not None:
        view["data"] = orjson.loads(event.data)
    return view
