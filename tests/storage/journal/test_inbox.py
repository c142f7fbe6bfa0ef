"""The inbox: one message is taken once, whoever delivers it and however often."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy.util import await_only

from storage.engine.database import Database
from storage.engine.failures import StorageConflict
from storage.journal.inbox import InboxKey, MessageKey
from storage.unit_of_work import UnitOfWork
from tests.support import databases

KIND = "session.usage"


def keys(*names: str, payload: str = "payload") -> list[InboxKey]:
    return [InboxKey(KIND, name, f"hash of {payload}") for name in sorted(names)]


def ids(*names: str) -> list[MessageKey]:
    return [(KIND, name) for name in names]


async def test_new_keys_are_taken_and_known_ones_come_back_with_their_first_hash(database: Database) -> None:
    assert await database.write(lambda uow: uow.inbox.claim(keys("a", "b"), now=1)) == {}

    again = await database.write(lambda uow: uow.inbox.claim(keys("a", "b", "c", payload="other"), now=2))

    assert again == dict.fromkeys(ids("a", "b"), "hash of payload")
    stored = await database.read(lambda uow: uow.inbox.known(ids("a", "b", "c", "d")))
    assert stored == {**again, (KIND, "c"): "hash of other"}


async def test_a_key_belongs_to_its_kind(database: Database) -> None:
    await database.write(lambda uow: uow.inbox.claim([InboxKey("session.usage", "a", "1")], now=1))

    assert await database.write(lambda uow: uow.inbox.claim([InboxKey("session.event", "a", "2")], now=1)) == {}


async def test_a_released_key_can_be_taken_again(database: Database) -> None:
    def claim_and_release(uow: UnitOfWork) -> None:
        uow.inbox.claim(keys("a", "b", "c"), now=1)
        uow.inbox.release(ids("a", "c"))

    await database.write(claim_and_release)

    known = await database.write(lambda uow: uow.inbox.claim(keys("a", "b", "c", payload="other"), now=2))
    assert known == {(KIND, "b"): "hash of payload"}


async def test_nothing_asked_is_nothing_done(database: Database) -> None:
    def nothing(uow: UnitOfWork) -> tuple[object, object]:
        uow.inbox.release([])
        return uow.inbox.claim([], now=1), uow.inbox.known([])

    assert await database.write(nothing) == ({}, {})


async def test_a_key_that_comes_twice_in_one_claim_is_the_callers_mistake(database: Database) -> None:
    with pytest.raises(ValueError, match="twice"):
        await database.write(lambda uow: uow.inbox.claim(keys("a", "a"), now=1))


class Model:
    """What an inbox is: a dictionary in which the first one stays."""

    def __init__(self) -> None:
        self.taken: dict[MessageKey, str] = {}

    def claim(self, asked: Sequence[InboxKey]) -> dict[MessageKey, str]:
        names = [(key.kind, key.message_id) for key in asked]
        known = {name: self.taken[name] for name in names if name in self.taken}
        for name, key in zip(names, asked, strict=True):
            self.taken.setdefault(name, key.payload_hash)
        return known


class Undo(Exception):
    """Ends an example without a trace."""


NAMES = st.text(alphabet="aZ.0é\U0001f600", min_size=1, max_size=3)
CLAIMS = st.dictionaries(st.tuples(st.sampled_from(["k", "K"]), NAMES), st.sampled_from(["1", "2"]), max_size=8)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(st.tuples(CLAIMS, st.booleans()), max_size=8))
async def test_any_sequence_of_claims_answers_as_a_dictionary_does(
    database: Database, steps: list[tuple[dict[MessageKey, str], bool]]
) -> None:
    """Duplicates, conflicts and releases in every order, against the plain model."""

    def example(uow: UnitOfWork) -> None:
        model = Model()
        for claim, gives_back in steps:
            asked = [InboxKey(*key, payload_hash) for key, payload_hash in sorted(claim.items())]
            known = model.claim(asked)
            assert uow.inbox.claim(asked, now=1) == known
            if gives_back:
                new = [key for key in claim if key not in known]
                uow.inbox.release(new)
                for key in new:
                    del model.taken[key]
        assert uow.inbox.known(list(model.taken)) == model.taken
        raise Undo

    with pytest.raises(Undo):
        await database.write(example)


async def test_of_two_daemons_that_claim_the_same_keys_one_takes_each(database_url: str) -> None:
    """Overlapping claims at the same time: every key is new to exactly one, or the whole is repeated."""
    names = [f"{number:03d}" for number in range(60)]
    claims = [names[:40], names[20:], names[10:50]]

    async def claim_until_done(database: Database, mine: list[str]) -> set[str]:
        while True:
            try:
                known = await database.write(lambda uow: uow.inbox.claim(keys(*mine), now=1))
            except StorageConflict:
                continue
            return set(mine) - {message_id for _, message_id in known}

    async with databases.opened(database_url) as one, databases.opened(database_url) as two:
        daemons = [one, two, one]
        taken = await asyncio.gather(*map(claim_until_done, daemons, claims))

    assert sorted(name for each in taken for name in each) == names


@pytest.mark.postgres
@pytest.mark.parametrize("first_commits", [True, False])
async def test_a_claim_waits_for_the_daemon_that_is_committing_the_key(
    postgres: databases.PostgresServer, first_commits: bool
) -> None:
    claimed, may_end = asyncio.Event(), asyncio.Event()

    def hold(uow: UnitOfWork) -> None:
        uow.inbox.claim(keys("a", "b"), now=1)
        claimed.set()
        await_only(may_end.wait())
        if not first_commits:
            raise Undo

    async def holder(database: Database) -> bool:
        try:
            await database.write(hold)
        except Undo:
            return False
        return True

    with postgres.migrated_database() as url:
        async with databases.opened(url) as one, databases.opened(url) as two:
            first = asyncio.create_task(holder(one))
            await claimed.wait()
            second = asyncio.create_task(two.write(lambda uow: uow.inbox.claim(keys("b", "c", payload="other"), now=2)))
            while not await one.read(databases.somebody_waits):
                assert not second.done()
            may_end.set()

            assert await first is first_commits
            assert await second == ({(KIND, "b"): "hash of payload"} if first_commits else {})
