"""Databases of older revisions, with rows in every table, go up and come back on both databases."""

import pytest

from storage import migrations
from storage.engine import migration
from tests.storage import make_fixture
from tests.storage.make_fixture import Row
from tests.storage.test_migrations import ask

# The oldest that can be met, and the one before the newest.
OLD = ("0006", "0012")


@pytest.fixture(params=OLD)
def old(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def old_url(empty_url: str, old: str) -> str:
    """A database at the older revision, as the program of then would have left it."""
    await migration.upgrade(empty_url, old)
    await ask(empty_url, lambda connection: make_fixture.put(connection, make_fixture.load(old)))
    return empty_url


async def rows(url: str) -> dict[str, list[Row]]:
    return await ask(url, make_fixture.rows_of)


def lost(before: dict[str, list[Row]], after: dict[str, list[Row]]) -> dict[str, object]:
    """By table: rows of before that are not there any more, in the columns that both have."""
    found: dict[str, object] = {}
    for table, earlier in before.items():
        if table not in after:
            found[table] = "the table is gone"
            continue
        if not earlier or not after[table]:
            if earlier:
                found[table] = "its rows are gone"
            continue
        common = sorted(earlier[0].keys() & after[table][0].keys())
        later = [[row[name] for name in common] for row in after[table]]
        missing = [row for row in earlier if [row[name] for name in common] not in later]
        if missing:
            found[table] = missing
    return found


def test_the_revision_before_the_newest_is_among_them() -> None:
    """A new migration brings a new fixture: ``python -m tests.storage.make_fixture`` with the revision before it."""
    assert f"{int(migrations.head()) - 1:04d}" == OLD[-1]


def test_the_fixture_has_rows_of_every_table(old: str) -> None:
    fixture = make_fixture.load(old)
    assert len(fixture) > 30
    assert [table for table, found in fixture.items() if len(found) != make_fixture.ROWS] == []


async def test_every_row_goes_up_comes_back_on_the_way_down_and_goes_up_again(old_url: str, old: str) -> None:
    before = await rows(old_url)

    await migration.upgrade(old_url)
    assert (await migration.status(old_url)).current == migrations.head()
    up = await rows(old_url)
    assert lost(before, up) == {}

    await migration.downgrade(old_url, old)
    back = await rows(old_url)
    assert back.keys() == before.keys()
    assert lost(before, back) == {}

    await migration.upgrade(old_url)
    assert lost(up, await rows(old_url)) == {}
