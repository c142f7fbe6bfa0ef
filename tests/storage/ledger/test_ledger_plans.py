"""Each representative question to the ledger reads an index in the order of its answer, and no table."""

from collections.abc import Callable

import pytest
import pytest_asyncio

from contracts.values.states import SessionStatus
from domain.ledger.changes import SessionChange
from storage.engine.database import Database
from storage.ledger.ledger import SessionFilter, SessionMark
from storage.unit_of_work import UnitOfWork
from tests.support import statements

SESSIONS = 4_000
STATUSES = tuple(SessionStatus)
MARK: SessionMark = (SESSIONS // 2, "s-1")
QUESTIONS: dict[str, tuple[SessionFilter, SessionMark | None, str]] = {
    "all": (SessionFilter(), None, "ix_session_ledger_started_at"),
    "window": (SessionFilter(since=100, until=900), None, "ix_session_ledger_started_at"),
    "next page": (SessionFilter(), MARK, "ix_session_ledger_started_at"),
    "agent": (SessionFilter(agent="a-1"), None, "ix_session_ledger_agent"),
    "agent, next page": (SessionFilter(agent="a-1"), MARK, "ix_session_ledger_agent"),
    "agent in a window": (SessionFilter(agent="a-1", since=100, until=900), None, "ix_session_ledger_agent"),
    "model": (SessionFilter(model="m-1"), None, "ix_session_ledger_model"),
    "status": (SessionFilter(status="failed"), None, "ix_session_ledger_status"),
    "agent and model": (SessionFilter(agent="a-1", model="m-1"), None, "ix_session_ledger_agent_model"),
    "agent and status": (SessionFilter(agent="a-1", status="failed"), None, "ix_session_ledger_agent_status"),
    "model and status": (SessionFilter(model="m-1", status="failed"), MARK, "ix_session_ledger_model_status"),
    "all three": (SessionFilter("a-1", "m-1", "failed"), None, "ix_session_ledger_"),
}


@pytest_asyncio.fixture
async def filled(database: Database) -> Database:
    changes = [
        SessionChange(
            f"s-{number}", f"a-{number % 8}", f"m-{number % 5}", 1, STATUSES[number % 4], 1, number, number, *([1] * 6)
        )
        for number in range(SESSIONS)
    ]

    def fill(uow: UnitOfWork) -> None:
        uow.ledger.apply(sorted(changes))

    await database.write(fill)
    if database.dialect == "postgresql":
        await database.write(lambda uow: uow.connection.exec_driver_sql("ANALYZE session_ledger"))
    return database


def asking(wanted: SessionFilter, before: SessionMark | None) -> Callable[[UnitOfWork], object]:
    return lambda uow: uow.ledger.page(wanted, before=before, limit=50)


@pytest.mark.parametrize(("wanted", "before", "index"), QUESTIONS.values(), ids=QUESTIONS.keys())
async def test_a_page_is_read_in_the_order_of_an_index(
    filled: Database, dialect: str, wanted: SessionFilter, before: SessionMark | None, index: str
) -> None:
    def plan(uow: UnitOfWork) -> str:
        return "\n".join(statements.plans(uow, asking(wanted, before)))

    text = await filled.read(plan)

    assert "Seq Scan" not in text, text
    if dialect == "sqlite":
        assert f"INDEX {index}" in text, text
        assert "TEMP B-TREE" not in text, text
    else:
        # PostgreSQL knows how rare a value is and may sort a few rows; it never reads the table from end to end.
        assert "ix_session_ledger_" in text, text
