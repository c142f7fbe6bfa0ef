"""Questions about sessions and what they cost."""

from typing import Final

import orjson

from contracts.errors import JsonObject
from contracts.payloads.commands import ledger as asked
from contracts.values.times import format_micros
from handlers.commands.command import NOT_FOUND, Command, Reply, ok, payload_of, refuse
from handlers.commands.pages import cursor, page, read_cursor
from handlers.effects import Context
from handlers.ledger.provenance import cost_provenance, known_cost, tokens_provenance
from storage.ledger.ledger import Session, SessionEvent, SessionFilter
from storage.unit_of_work import UnitOfWork

_NEWEST: Final = 50


def get_session(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """``ledger.get``: one session with its totals and newest events."""
    session_id = payload_of(command, asked.LedgerGet).session_id
    session = uow.ledger.get(session_id)
    if session is None:
        return refuse(NOT_FOUND)
    events = uow.ledger.newest_events(session_id, limit=_NEWEST)
    return ok(session_view(session) | {"newest_events": [event_view(event) for event in events]})


def list_sessions(command: Command, uow: UnitOfWork, context: Context) -> Reply:
    """``ledger.list``: the newest start first."""
    wanted = payload_of(command, asked.LedgerList)
    mark = read_cursor("ledger", wanted.cursor, int, str)
    filtered = SessionFilter(
        wanted.agent, wanted.model, wanted.status, wanted.since, wanted.until, search=wanted.search
    )
    before = None if mark is None else (int(mark[0]), str(mark[1]))
    rows = uow.ledger.page(filtered, before=before, limit=wanted.limit + 1)

    def place(session: Session) -> str:
        return cursor("ledger", session.started_at, session.session_id)

    return ok(page(rows, wanted.limit, session_view, place, context))


def session_view(session: Session) -> JsonObject:
    tokens = session.input_tokens + session.output_tokens
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
        "cost_usd": known_cost(session.cost_usd_micros, session.requests - session.cost_missing_count),
        "tokens": tokens_provenance(
            tokens - session.tokens_derived, session.tokens_derived, session.tokens_missing_count
        ),
        "cost": cost_provenance(
            session.cost_usd_micros - session.cost_usd_micros_derived,
            session.cost_usd_micros_derived,
            session.cost_missing_count,
        ),
    }


def event_view(event: SessionEvent) -> JsonObject:
    """An event; ``text`` and ``data`` only where it has them."""
    view: JsonObject = {"at": format_micros(event.at), "type": event.type}
    if event.text is not None:
        view["text"] = event.text
    if event.data is not None:
        view["data"] = orjson.loads(event.data)
    return view
