"""Agents and what they said, from what sessions wrote: the same on both databases."""

import orjson

from contracts.gate.delivery import Accepted
from storage.agents.agents import LogFilter, SeenAgent
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, event
from tests.handlers.deciding import Stream, outcomes


async def said(database: Database, *payloads: Json) -> None:
    """Each event through the gate, in one batch."""
    stream = Stream()
    batch = [stream.deliver(envelope(n, payload), "session.event") for n, payload in enumerate(payloads)]
    assert all(isinstance(judged, Accepted) for judged in batch)
    await outcomes(database, batch)


def envelope(number: int, payload: Json) -> Json:
    return {
        "envelope_version": 2,
        "kind": "session.event",
        "schema_version": "1.0",
        "message_id": f"m{number}",
        "trace_id": f"5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c{number:02}",
        "created_at": "2026-11-20T10:15:30Z",
        "producer": "planner",
        "payload": event() | payload,
    }


def line(agent: str, session_id: str, second: int, type_: str = "message", **more: object) -> Json:
    at = f"2026-11-20T10:15:{second:02}Z"
    return {"agent": agent, "session_id": session_id, "type": type_, "at": at, **more}


async def ids(database: Database, wanted: LogFilter, limit: int = 10) -> list[str]:
    events = await database.read(lambda uow: uow.agents.newest_events(wanted, limit=limit))
    return [event.message_id for event in events]


async def test_every_agent_is_seen_by_its_newest_session(database: Database) -> None:
    assert await database.read(lambda uow: uow.agents.seen(limit=10)) == []
    await said(
        database,
        line("b", "b1", 1, "started", model="m1"),
        line("b", "b1", 2, "completed"),
        line("b", "b2", 3, "started", model="m2"),
        line("a", "a1", 4, "killed"),
    )
    seen = await database.read(lambda uow: uow.agents.seen(limit=10))
    assert [(each.agent, each.session_id, each.status) for each in seen] == [
        ("a", "a1", "killed"),
        ("b", "b2", "running"),
    ]
    assert isinstance(seen[1], SeenAgent)
    assert seen[1].model == "m2"
    assert len(await database.read(lambda uow: uow.agents.seen(limit=1))) == 1


async def test_logs_are_found_by_session_agent_trace_and_type_newest_first(database: Database) -> None:
    await said(
        database,
        line("a", "a1", 1, text="one"),
        line("a", "a2", 5, "tool_call", data={"tool": "search"}),
        line("b", "b1", 3),
    )
    assert await ids(database, LogFilter()) == ["m1", "m2", "m0"]
    assert await ids(database, LogFilter(), limit=2) == ["m1", "m2"]
    assert await ids(database, LogFilter(agent="a")) == ["m1", "m0"]
    assert await ids(database, LogFilter(session_id="a1")) == ["m0"]
    assert await ids(database, LogFilter(session_id="a1", agent="b")) == []
    assert await ids(database, LogFilter(trace_id="5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c02")) == ["m2"]
    assert await ids(database, LogFilter(type="tool_call")) == ["m1"]
    (tool,) = await database.read(lambda uow: uow.agents.newest_events(LogFilter(type="tool_call"), limit=9))
    assert orjson.loads(tool.data or "") == {"tool": "search"}


async def test_an_event_is_known_by_its_message_and_session(database: Database) -> None:
    await said(database, line("a", "a1", 1))

    def known(uow: UnitOfWork) -> list[bool]:
        return [uow.agents.has_event("m0", "a1"), uow.agents.has_event("m0", "a2"), uow.agents.has_event("m1", "a1")]

    assert await database.read(known) == [True, False, False]
