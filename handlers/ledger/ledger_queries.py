"""Questions about sessions and what they cost."""

import orjson

from contracts.errors import JsonObject
from contracts.payloads.ledger import LedgerGet
from contracts.values.money import format_usd
from contracts.values.times import format_micros
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, refuse
from handlers.effects import Context
from storage.ledger.ports import Session, SessionEvent
from storage.unit_of_work import UnitOfWork

_NEWEST = 50


def get_session(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``ledger.get``: one session with its totals and newest events."""
    payload = command.payload
    assert isinstance(payload, LedgerGet)  # noqa: S101 - the registry ties the model to the command
    session = uow.ledger.get(payload.session_id)
    if session is None:
        return refuse(NOT_FOUND)
    events = uow.ledger.newest_events(payload.session_id, limit=_NEWEST)
    return ok(session_view(session) | {"newest_events": [event_view(event) for event in events]})


def session_view(session: Session) -> JsonObject:
    return {
        "session_id": session.session_id,
        "agent": session.agent,
        "model": session.model,
        "status": session.status,
        "started_at": format_micros(session.started_at),
        "last_at": format_micros(session.last_at),
        "events": session.events,
        "requests": session.requests,
        "input_tokens": session.input_tokens,
        "output_tokens": session.output_tokens,
        "cost_usd": format_usd(session.cost_usd_micros),
    }


def event_view(event: SessionEvent) -> JsonObject:
    """An event; ``text`` and ``data`` only where it has them."""
    view: JsonObject = {"at": format_micros(event.at), "type": event.type}
    if event.text is not None:
        view["text"] = event.text
    if event.data is not None:
        view["data"] = orjson.loads(event.data)
    return view
