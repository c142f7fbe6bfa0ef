"""``ledger.list`` and ``ledger.get``: every filter alone and with the others, pages, and where figures come from."""

from itertools import combinations

import pytest_asyncio

from handlers.commands.pages import cursor
from storage.engine.database import Database
from tests.contracts.samples import Json, envelope, event, event_envelope, usage, without
from tests.handlers.deciding import Stream, outcomes
from tests.handlers.jobs.owners import House, code, result

MISSING = {"source": "missing", "confidence": "unknown"}
DERIVED = {"source": "derived", "confidence": "medium"}
AGENTS, MODELS, STATUSES = ("planner", "writer"), ("openai/gpt-5", "nobody/knows"), ("running", "completed", "failed")
COUNT = 24


def started(number: int) -> str:
    """Two sessions begin at each minute, so that an order by time alone would not be one."""
    return f"2026-11-20T10:{number // 2:02d}:00.000000Z"


def facts(number: int) -> dict[str, str]:
    return {
        "session_id": f"s-{number:02d}",
        "agent": AGENTS[number % 2],
        "model": MODELS[number // 2 % 2],
        "status": STATUSES[number % 3],
        "started_at": started(number),
        "text": "common words" if number % 4 else "common NEAR needle",
    }


SESSIONS = [facts(number) for number in range(COUNT)]
FILTERS: dict[str, str] = {
    "agent": "planner",
    "model": "nobody/knows",
    "status": "running",
    "from": started(4),
    "to": started(20),
    "search": "needle",
}


@pytest_asyncio.fixture
async def house(database: Database) -> House:
    """A ledger of two dozen sessions, each known from one event."""
    stream = Stream()
    type_of = {"running": "message", "completed": "completed", "failed": "failed"}
    batch = [
        stream.deliver(
            event_envelope(
                event(
                    session_id=each["session_id"],
                    agent=each["agent"],
                    model=each["model"],
                    type=type_of[each["status"]],
                    at=each["started_at"],
                    text=each["text"],
                ),
                message_id=f"e:{number}",
            ),
            "session.event",
        )
        for number, each in enumerate(SESSIONS)
    ]
    assert {outcome.status for outcome in await outcomes(database, batch)} == {201}
    return House(database)


def wanted(asked: dict[str, str]) -> list[str]:
    """What the list should have, computed from what was sent."""
    found = [
        each
        for each in SESSIONS
        if all(each[name] == value for name, value in asked.items() if name in ("agent", "model", "status"))
        and asked.get("from", "") <= each["started_at"] < asked.get("to", "9")
        and ("search" not in asked or asked["search"] in each["text"])
    ]
    return [each["session_id"] for each in sorted(found, key=lambda each: (each["started_at"], each["session_id"]))][
        ::-1
    ]


async def walk(house: House, asked: Json, limit: int) -> list[str]:
    found: list[str] = []
    following: Json = {}
    while following is not None:
        answered = result(await house.ask("ledger.list", {**asked, "limit": limit, **following}))
        assert len(answered["items"]) <= limit
        found += [item["session_id"] for item in answered["items"]]
        following = None if answered["next_cursor"] is None else {"cursor": answered["next_cursor"]}
    return found


async def test_every_filter_alone_and_with_every_other_finds_what_was_sent(house: House) -> None:
    for size in range(len(FILTERS) + 1):
        for names in combinations(FILTERS, size):
            asked = {name: FILTERS[name] for name in names}
            assert await walk(house, asked, 5) == wanted(asked), asked


async def test_a_page_neither_repeats_nor_skips_while_sessions_are_added(house: House, database: Database) -> None:
    first = result(await house.ask("ledger.list", {"limit": 7}))
    newer = event_envelope(event(session_id="s-newer", at="2026-11-20T23:00:00Z"), message_id="e:newer")
    await outcomes(database, [Stream(name="HG_OTHER").deliver(newer, "session.event")])

    rest = await walk(house, {"cursor": first["next_cursor"]}, 7)

    assert [item["session_id"] for item in first["items"]] + rest == wanted({})


async def test_a_cursor_of_another_list_is_refused(house: House) -> None:
    refused = await house.ask("ledger.list", {"cursor": cursor("ideas", 1, "idea-1")})

    assert refused.problem is not None
    assert (code(refused), refused.problem.details[0].path) == ("VALIDATION_ERROR", "payload.cursor")


async def test_a_session_tells_what_is_reported_derived_and_missing(database: Database) -> None:
    stream, provenance = Stream(), usage()["provenance"]
    reported = usage(input_tokens=100, output_tokens=50, cost_usd="0.250000")
    derived = without(
        usage(provenance=provenance | {"tokens": DERIVED, "cost": MISSING}), "cost_usd", "pricing_version"
    )
    unknown = without(
        usage(provenance=provenance | {"tokens": MISSING, "cost": MISSING}),
        *("cost_usd", "pricing_version", "input_tokens", "output_tokens"),
    )
    await outcomes(
        database,
        [stream.deliver(envelope(body, message_id=f"u:{at}")) for at, body in enumerate((reported, derived, unknown))],
    )

    house = House(database)
    session = result(await house.ask("ledger.get", {"session_id": usage()["session_id"]}))

    tokens = usage()["input_tokens"] + usage()["output_tokens"]
    assert session["tokens"] == {"reported": 150, "derived": tokens, "missing_count": 1}
    assert session["cost"] == {"reported": "0.250000", "derived": "0.018900", "missing_count": 1}
    assert session["cost_usd"] == "0.268900"
    [listed] = result(await house.ask("ledger.list", {}))["items"]
    assert listed == {name: value for name, value in session.items() if name != "newest_events"}


async def test_an_unpriced_session_never_reads_as_free(database: Database) -> None:
    unpriced = without(
        usage(model="nobody/knows", provenance=usage()["provenance"] | {"cost": MISSING}),
        *("cost_usd", "pricing_version"),
    )
    await outcomes(database, [Stream().deliver(envelope(unpriced))])

    session = result(await House(database).ask("ledger.get", {"session_id": usage()["session_id"]}))

    assert session["cost_usd"] is None
    assert session["cost"] == {"reported": "0.000000", "derived": "0.000000", "missing_count": 1}
