"""Databases for the tests of storage."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import databases


@pytest.fixture
def empty_url(dialect: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A database in which nothing was made yet."""
    if dialect == "sqlite":
        yield databases.sqlite_url(tmp_path / "headgate.db")
        return
    server: databases.PostgresServer = request.getfixturevalue("postgres")
    with server.empty_database() as url:
        yield url
