"""A batch is one statement, however large it is, and finds its rows by their keys, however many there are."""

from collections.abc import Callable
from typing import TypeAlias

import pytest
from sqlalchemy import text

from contracts.errors import ErrorCode, problem
from contracts.values.states import SessionStatus
from domain.ledger.changes import DailyTotals, HourlyTotals, PerformanceCount, SessionChange
from domain.ledger.usage import UsageRecord
from storage.engine.database import Database
from storage.journal.command_log import CommandKey, FirstAnswer
from storage.journal.dead_letters import DeadLetter
from storage.journal.inbox import InboxKey
from storage.journal.outbox import OutboxMessage
from storage.ledger.ledger import SessionEvent, SessionFilter
from storage.ledger.pricing_versions import PricingVersion
from storage.unit_of_work import UnitOfWork
from tests.support import statements

Work: TypeAlias = Callable[[UnitOfWork], object]


def names(count: int) -> list[str]:
    return [f"{number:07d}" for number in range(count)]


def claim(count: int) -> Work:
    return lambda uow: uow.inbox.claim([InboxKey("k", name, "hash") for name in names(count)], now=1)


def claim_half_known(count: int) -> Work:
    def work(uow: UnitOfWork) -> None:
        uow.inbox.claim([InboxKey("k", name, "hash") for name in names((count + 1) // 2)], now=1)
        uow.inbox.claim([InboxKey("k", name, "hash") for name in names(count + 1)], now=1)

    return work


def release(count: int) -> Work:
    return lambda uow: uow.inbox.release([("k", name) for name in names(count)])


def add_outbox(count: int) -> Work:
    messages = [OutboxMessage(name, "HG_EVENT", "a", "s", b"{}") for name in names(count)]
    return lambda uow: uow.outbox.add(messages, owner="me", now=1)


def positions(count: int) -> list[int]:
    return list(range(1, count + 1))


def letters(count: int) -> list[DeadLetter]:
    why = problem(ErrorCode.VALIDATION_ERROR, "wrong")
    return [
        DeadLetter(name, why, "k", None, None, "HG_INGEST", "s", number, 1, 1, {}, b"body")
        for number, name in enumerate(names(count))
    ]


def usage(count: int) -> list[UsageRecord]:
    high = ("high", "low", "high", "low", "high", "low")
    one = UsageRecord("", "s", "a", "m", 1, "ok", 1, 1, 1, 1, 1, "v", 1, 1, "v", *high, "t", "p", 1)
    return [one._replace(message_id=name) for name in names(count)]


def events(count: int) -> list[SessionEvent]:
    return [SessionEvent(name, name, "a", "message", 1, None, "some text", None, "t", "p", 1) for name in names(count)]


def sessions(count: int) -> list[SessionChange]:
    running = SessionStatus.RUNNING
    return [SessionChange(name, "a", None, None, running, None, 1, 1, 1, 0, 0, 0, 0, 0) for name in names(count)]


def hours(count: int) -> list[HourlyTotals]:
    return [HourlyTotals(490_000, name, "m", *([1] * (len(HourlyTotals._fields) - 3))) for name in names(count)]


def days(count: int) -> list[DailyTotals]:
    return [DailyTotals("2026-11-20", name, "m", *([1] * (len(DailyTotals._fields) - 3))) for name in names(count)]


def performance(count: int) -> list[PerformanceCount]:
    return [PerformanceCount("2026-11-20", name, "m", 1, 1, 0) for name in names(count)]


def answers(count: int) -> dict[CommandKey, FirstAnswer]:
    return {CommandKey("me", "job.run", name): FirstAnswer("hash", 200, None) for name in names(count)}


WRITES: dict[str, Callable[[int], Work]] = {
    "inbox.claim": claim,
    "inbox.claim of half known": claim_half_known,
    "inbox.release": release,
    "outbox.add": add_outbox,
    "outbox.mark_tried": lambda count: lambda uow: uow.outbox.mark_tried(positions(count), now=1),
    "outbox.remove": lambda count: lambda uow: uow.outbox.remove(positions(count)),
    "outbox.set_aside": lambda count: lambda uow: uow.outbox.set_aside(dict.fromkeys(positions(count), "why")),
    "outbox.adopt": lambda count: lambda uow: uow.outbox.adopt(owners=names(count), new_owner="me"),
    "dead_letters.add": lambda count: lambda uow: uow.dead_letters.add(letters(count), now=1),
    "dead_letters.problems_of": lambda count: (
        lambda uow: uow.dead_letters.problems_of([letter.origin for letter in letters(count)])
    ),
    "command_log.find_all": lambda count: lambda uow: uow.command_log.find_all(list(answers(count))),
    "command_log.remember_all": lambda count: lambda uow: uow.command_log.remember_all(answers(count), now=1),
    "ledger.apply": lambda count: lambda uow: uow.ledger.apply(sessions(count)),
    "ledger.add_events": lambda count: lambda uow: uow.ledger.add_events(events(count)),
    "usage.add": lambda count: lambda uow: uow.usage.add(usage(count)),
    "usage.add_to_hours": lambda count: lambda uow: uow.usage.add_to_hours(hours(count)),
    "usage.add_to_days": lambda count: lambda uow: uow.usage.add_to_days(days(count)),
    "performance.add": lambda count: lambda uow: uow.performance.add(performance(count)),
    "pricing_versions.record": lambda count: (
        lambda uow: uow.pricing_versions.record([PricingVersion(name, "list", 1) for name in names(count)])
    ),
}


@pytest.mark.parametrize("write", WRITES.values(), ids=WRITES.keys())
async def test_a_thousand_take_as_many_statements_as_one(database: Database, write: Callable[[int], Work]) -> None:
    async def sent(count: int) -> list[str]:
        def work(uow: UnitOfWork) -> list[str]:
            with statements.recorded(uow) as seen:
                write(count)(uow)
            return [statement for statement, _ in seen]

        return await database.write(work)

    one = await sent(1)
    await database.write(lambda uow: [uow.connection.execute(text(f"DELETE FROM {table}")) for table in TOUCHED])
    many = await sent(1_000)

    assert one != []
    assert [without_rows(without_savepoint(each)) for each in many] == [
        without_rows(without_savepoint(each)) for each in one
    ]


def without_rows(statement: str) -> str:
    """A full batch of usage has a statement of its own on SQLite (decision 0003)."""
    head, _, _ = statement.partition(" (")
    return head if head == "INSERT INTO session_usage" else statement


TOUCHED = ("inbox", "command_log", "outbox", "dead_letters", "pricing_versions")


def without_savepoint(statement: str) -> str:
    """SQLAlchemy numbers the savepoints of a connection."""
    return "SAVEPOINT" if "sa_savepoint" in statement else statement


BY_KEY: dict[str, Work] = {
    "inbox.known": lambda uow: uow.inbox.known([("k", name) for name in names(3)]),
    "inbox.release": release(3),
    "outbox.waiting": lambda uow: uow.outbox.waiting(owner="me", lane="HG_EVENT", limit=10, max_bytes=1_000),
    "outbox.mark_tried": lambda uow: uow.outbox.mark_tried([1, 2, 3], now=1),
    "outbox.remove": lambda uow: uow.outbox.remove([1, 2, 3]),
    "outbox.set_aside": lambda uow: uow.outbox.set_aside({4: "why", 5: "why"}),
    "dead_letters.problems_of": lambda uow: uow.dead_letters.problems_of([letter.origin for letter in letters(3)]),
    "dead_letters.count_open": lambda uow: uow.dead_letters.count_open(),
    "command_log.find": lambda uow: uow.command_log.find(caller="me", command="job.run", message_id="1"),
    "ledger.get": lambda uow: uow.ledger.get("0000001"),
    "ledger.newest_events": lambda uow: uow.ledger.newest_events("0000001", limit=10),
    "ledger.page": lambda uow: uow.ledger.page(SessionFilter(), before=(9, "s"), limit=10),
    "ledger.page searching": lambda uow: uow.ledger.page(SessionFilter(search="absent"), before=None, limit=10),
}


async def test_rows_are_found_by_an_index(database: Database) -> None:
    """In tables that are filled once for all: each work is undone again."""

    def fill(uow: UnitOfWork) -> None:
        claim(5_000)(uow)
        add_outbox(5_000)(uow)
        uow.dead_letters.add(letters(5_000), now=1)
        uow.command_log.remember_all(answers(5_000), now=1)
        uow.ledger.apply(sessions(5_000))
        uow.ledger.add_events(events(5_000))

    def plans(uow: UnitOfWork) -> dict[str, list[str]]:
        if uow.connection.dialect.name == "postgresql":
            uow.connection.exec_driver_sql("SET LOCAL enable_seqscan = off")  # read whole only what has no index
        found = {}
        for name, work in BY_KEY.items():
            with uow.connection.begin_nested() as undone:
                found[name] = statements.plans(uow, work)
                undone.rollback()
        return found

    await database.write(fill)
    found = await database.write(plans)

    assert [name for name, plans_of in found.items() if not plans_of] == []
    lines = {name: [line for plan in plans_of for line in plan.splitlines()] for name, plans_of in found.items()}
    assert {name: scanned for name, each in lines.items() if (scanned := list(filter(scans_a_table, each)))} == {}


def scans_a_table(line: str) -> bool:
    """Whether a line of a plan says that a stored table is read from end to end."""
    if "Seq Scan on" in line:
        return True
    subject = line.removeprefix("SCAN ").split(" ")[0]
    return line.startswith("SCAN ") and "INDEX" not in line and subject in STORED


STORED = {"inbox", "outbox", "dead_letters", "command_log", "session_ledger", "session_events"}
