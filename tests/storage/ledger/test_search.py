"""What sessions said is found by plain words, the same on both databases."""

import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from contracts.values.states import SessionStatus
from domain.ledger.changes import SessionChange
from storage.engine.database import Database
from storage.ledger.ledger import SessionEvent, SessionFilter
from storage.ledger.search import are_common
from storage.unit_of_work import UnitOfWork
from tests.support import statements

SAID = {
    "greeting": "Hello, World! How are you?",
    "address": "see https://example.com/path/to-page.html?query=1 or write to jane.doe@example.com",
    "code": 'def foo_bar(x): return "NOT" if x AND y else -1.5',
    "umlaut": "Müller straße ÄRGER",
    "numbers": "error 404 at 10:15, version v2",
    "nul": "before\0after",
    "nothing": None,
}


def session(name: str, started_at: int) -> SessionChange:
    return SessionChange(name, "a", None, None, SessionStatus.RUNNING, 1, started_at, started_at, 1, 0, 0, 0, 0, 0)


def event(session_id: str, text: str | None) -> SessionEvent:
    return SessionEvent(f"of {session_id}", session_id, "a", "message", 1, None, text, None, "t", "p", 1)


@pytest_asyncio.fixture
async def talked(database: Database) -> Database:
    """A database in which each session of ``SAID`` said its text, the first one first."""

    def write(uow: UnitOfWork) -> None:
        uow.ledger.apply(sorted(session(name, started_at) for started_at, name in enumerate(SAID)))
        uow.ledger.add_events([event(name, text) for name, text in SAID.items()])

    await database.write(write)
    return database


async def found(database: Database, words: str, limit: int = 50) -> list[str]:
    sessions = await database.read(lambda uow: uow.ledger.page(SessionFilter(search=words), before=None, limit=limit))
    return [each.session_id for each in sessions]


@pytest.mark.parametrize(
    ("words", "sessions"),
    [
        ("hello", ["greeting"]),
        ("WORLD hello", ["greeting"]),
        ("hello nowhere", []),
        ("hell", []),
        ("example", ["address"]),
        ("path page", ["address"]),
        ("https://example.com", ["address"]),
        ("jane.doe@example.com", ["address"]),
        ("foo_bar", ["code"]),
        ("bar", ["code"]),
        ("not", ["code"]),
        ("NOT", ["code"]),
        ("x AND y", ["code"]),
        ("x OR y", []),
        ("1.5", ["code"]),
        ("404", ["numbers"]),
        ("-404", ["numbers"]),
        ("v2", ["numbers"]),
        ("10:15", ["numbers"]),
        ("straße", ["umlaut"]),
        ("Müller", ["umlaut"]),
        ("Muller", []),
        ("before", ["nul"]),
        ("after", ["nul"]),
        ("before\0after", ["nul"]),
        ("", []),
        ("  \t ", []),
        ("!?*", []),
    ],
)
async def test_all_words_must_be_in_one_text(talked: Database, words: str, sessions: list[str]) -> None:
    assert await found(talked, words) == sessions


@pytest.mark.parametrize(
    "words",
    [
        '"hello',
        'hello"',
        "hello*",
        "text:hello",
        "^hello",
        "(hello",
        "hello)",
        "hello & ",
        "!hello",
        "hello:*",
        "'hello",
    ],
)
async def test_nothing_is_a_query_syntax(talked: Database, words: str) -> None:
    assert await found(talked, words) == (["greeting"] if "text" not in words else [])


async def test_sessions_come_once_the_newest_first_and_no_more_than_asked(talked: Database) -> None:
    names = ["greeting", "numbers", "nothing"]
    await talked.write(lambda uow: uow.ledger.add_events([event(name, "common words") for name in names * 2]))

    assert await found(talked, "common") == ["nothing", "numbers", "greeting"]
    assert await found(talked, "common", limit=2) == ["nothing", "numbers"]


async def test_what_is_deleted_is_not_found(talked: Database) -> None:
    def forget(uow: UnitOfWork) -> None:
        uow.connection.exec_driver_sql("DELETE FROM session_events WHERE session_id = 'greeting'")

    await talked.write(forget)

    assert await found(talked, "hello") == []
    assert await found(talked, "example") == ["address"]


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
async def test_any_words_are_answered(talked: Database, words: str) -> None:
    assert set(await found(talked, words)) <= set(SAID)


async def test_the_search_goes_by_an_index(talked: Database, dialect: str) -> None:
    """The statement must name the very expression that the index is made of."""

    def search(uow: UnitOfWork) -> object:
        return uow.ledger.page(SessionFilter(search="hello world"), before=None, limit=5)

    def plan(uow: UnitOfWork) -> str:
        if dialect == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # the table is too small for an index
        return "".join(statements.plans(uow, search))

    text = await talked.read(plan)

    assert ("ix_session_events_text" if dialect == "postgresql" else "VIRTUAL TABLE INDEX") in text
    assert "SCAN session_events\n" not in text


async def test_what_everybody_says_is_found_page_by_page_as_what_is_rare(talked: Database) -> None:
    """Nine in ten events say it: on SQLite sessions are then looked at one by one."""
    count = 20_000

    def say(uow: UnitOfWork) -> None:
        uow.ledger.apply(sorted(session(f"s{number:05d}", 100 + number) for number in range(count // 10)))
        said = ("everybody says this", "silence")
        uow.ledger.add_events([event(f"s{n // 10:05d}", said[n % 10 == 0]) for n in range(count)])

    await talked.write(say)
    first = await talked.read(lambda uow: uow.ledger.page(SessionFilter(search="everybody"), before=None, limit=5))
    mark = (first[-1].started_at, first[-1].session_id)
    second = await talked.read(lambda uow: uow.ledger.page(SessionFilter(search="everybody"), before=mark, limit=5))
    named = SessionFilter(agent="a", search="everybody")
    of_agent = await talked.read(lambda uow: uow.ledger.page(named, before=None, limit=5))

    assert [each.session_id for each in (*first, *second)] == [f"s{1_999 - number:05d}" for number in range(10)]
    assert of_agent == first
    if talked.dialect == "sqlite":
        common = await talked.read(
            lambda uow: (are_common(uow.connection, '"everybody"'), are_common(uow.connection, '"hello"'))
        )
        assert common == (True, False)
