"""Retention: what is old and done goes, in bounded windows; what is open, young or imported stays."""

from collections.abc import Sequence
from functools import partial

import pytest
from sqlalchemy import Select, func, insert, select

from contracts.errors import ErrorCode, problem
from daemon.settings.process import RetentionSettings
from domain.dead_letters.dead_letters import ReplayOutcome
from storage.engine.database import Database
from storage.journal.dead_letters import DeadLetter
from storage.journal.inbox import InboxKey
from storage.journal.ops_runs import SUCCEEDED, NewRun
from storage.journal.outbox import OutboxMessage
from storage.journal.replay_runs import ReplayItem
from storage.journal.replays import DEAD_LETTERS, Closing
from storage.journal.retention import INBOX, RETENTIONS, Pruning, Retention, settings_without_rule
from storage.tables.journal import dead_letters, inbox, ops_runs, outbox
from storage.tables.replays import dead_letter_replays, imported_keys, replay_items, replay_runs
from storage.unit_of_work import UnitOfWork

OLD, NOW = 100, 200


def of(setting: str) -> list[Retention]:
    return [retention for retention in RETENTIONS if retention.setting == setting]


def pruned(uow: UnitOfWork, retentions: Sequence[Retention], *, rows: int = 3) -> int:
    """How many rows went that are older than :data:`NOW`."""
    removed = 0
    for retention in retentions:
        pruning, start = Pruning(uow.connection, retention), None
        while True:
            window = pruning.window(start, before=NOW, rows=rows)
            if window.old:
                removed += pruning.remove(window, before=NOW)
            if window.end is None:
                break
            start = window.end
    return removed


def scalars(asked: Select[str], uow: UnitOfWork) -> Sequence[str]:
    return uow.connection.execute(asked).scalars().all()


def letter(number: int) -> DeadLetter:
    why = problem(ErrorCode.VALIDATION_ERROR, "1 field is invalid")
    return DeadLetter(f"l{number}", why, "k", None, None, "S", "ingest.k", number, 1, 1, {}, b"")


def run(run_id: str, started_at: int) -> NewRun:
    return NewRun(run_id, "replay-failed", {}, "local", None, "d", started_at)


@pytest.mark.parametrize("rows", [1, 2, 7, 100])
async def test_old_keys_go_in_windows_of_any_size(database: Database, rows: int) -> None:
    keys = [InboxKey("k", f"m{number:02}", "h") for number in range(20)]
    await database.write(lambda uow: (uow.inbox.claim(keys[::2], now=OLD), uow.inbox.claim(keys[1::2], now=NOW)))

    assert await database.write(lambda uow: pruned(uow, of(INBOX), rows=rows)) == 10
    left = await database.read(lambda uow: uow.connection.execute(select(inbox.c.message_id)).scalars().all())
    assert sorted(left) == [f"m{number:02}" for number in range(1, 20, 2)]
    assert await database.write(lambda uow: pruned(uow, of(INBOX), rows=rows)) == 0


async def test_keys_of_imports_are_kept(database: Database) -> None:
    def imported(uow: UnitOfWork) -> None:
        uow.inbox.claim([InboxKey("k", "imported", "h"), InboxKey("k", "sent", "h")], now=OLD)
        uow.connection.execute(insert(imported_keys).values(kind="k", message_id="imported"))

    await database.write(imported)

    assert await database.write(lambda uow: pruned(uow, of(INBOX))) == 1
    assert set(await database.read(lambda uow: uow.inbox.known([("k", "imported"), ("k", "sent")]))) == {
        ("k", "imported")
    }


async def test_open_letters_stay_and_replays_go_with_their_letters(database: Database) -> None:
    def lives(uow: UnitOfWork) -> None:
        uow.dead_letters.add([letter(number) for number in range(4)], now=OLD)
        for begun in uow.replays.begin(["l0", "l1", "l3"], run_id="r", principal="p", now=OLD):
            key = (begun.dead_letter_id, begun.replay_number, "r")
            at = NOW if begun.dead_letter_id == "l1" else OLD
            if begun.dead_letter_id != "l3":
                uow.replays.close([Closing(*key, "resolved", ReplayOutcome.REPLAYED, "accepted")], now=at)

    await database.write(lives)

    assert await database.write(lambda uow: pruned(uow, of("dead_letters"))) == 2
    left = await database.read(
        lambda uow: uow.connection.execute(select(dead_letters.c.dead_letter_id)).scalars().all()
    )
    replays = await database.read(
        lambda uow: uow.connection.execute(select(dead_letter_replays.c.dead_letter_id)).scalars().all()
    )
    assert (sorted(left), sorted(replays)) == (["l1", "l2", "l3"], ["l1", "l3"])


async def test_runs_go_with_all_that_belongs_to_them(database: Database) -> None:
    def ran(uow: UnitOfWork) -> None:
        for run_id, started_at, ended_at in (("old", OLD, OLD), ("young", OLD, NOW), ("running", OLD, None)):
            uow.ops_runs.start(run(run_id, started_at))
            uow.replay_runs.open(run_id, frozen_at=started_at, is_selecting=False)
            uow.replay_runs.add(run_id, [ReplayItem(DEAD_LETTERS, f"l{n}", None, None, None) for n in range(5)])
            if ended_at is not None:
                uow.ops_runs.finish(run_id, status=SUCCEEDED, ended_at=ended_at)

    await database.write(ran)

    assert await database.write(lambda uow: pruned(uow, of("ops_runs"))) == 7
    for column in (ops_runs.c.run_id, replay_runs.c.run_id, replay_items.c.run_id):
        asked = select(column).distinct()
        found = await database.read(partial(scalars, asked))
        assert sorted(found) == ["running", "young"]


async def test_what_waits_in_the_outbox_is_never_removed(database: Database) -> None:
    messages = [OutboxMessage(f"m{number}", "HG_EVENT", "a", "hg.event.a.b.c", b"{}") for number in range(4)]

    def fail_two(uow: UnitOfWork) -> None:
        uow.outbox.add(messages, owner="d", now=OLD)
        uow.outbox.set_aside({1: "too large", 3: "too large"})

    await database.write(fail_two)

    assert await database.write(lambda uow: pruned(uow, of("outbox"))) == 2
    left = await database.read(
        lambda uow: uow.connection.execute(select(func.count()).select_from(outbox)).scalar_one()
    )
    assert left == 2


def test_every_setting_whose_table_is_there_has_a_rule() -> None:
    assert settings_without_rule(list(RetentionSettings().days())) == set()
    assert {retention.setting for retention in RETENTIONS} <= {*RetentionSettings().days(), INBOX}
