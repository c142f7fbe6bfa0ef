"""A nats-server and migrated databases for tests of the daemon's parts inside the test's own process."""

import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from adapters.nats.server.embedded_server import EmbeddedServer
from storage.engine.database import Database
from tests.support import databases

_numbers = itertools.count(1)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedServer]:
    """One server for all tests that do it no harm; each has a prefix of its own."""
    folder = tmp_path_factory.mktemp("nats")
    server = EmbeddedServer(folder / "store", folder / "state", sync="interval")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
def prefix() -> str:
    return f"d{next(_numbers)}"


@pytest.fixture
def database_file(sqlite_template: Path, tmp_path: Path) -> Path:
    """A migrated database of the test's own."""
    databases.sqlite_copy(sqlite_template, tmp_path)
    return tmp_path / "headgate.db"


@pytest_asyncio.fixture
async def database(database_file: Path) -> AsyncIterator[Database]:
    async with databases.opened(databases.sqlite_url(database_file), busy_timeout_ms=50) as opened:
        yield opened
