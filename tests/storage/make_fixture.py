"""Makes a database of an older revision with rows in every table, as the small file that upgrades are tried on.

    python -m tests.storage.make_fixture 0006

The rows are plain: each column has a value of its type that tells where it stands, so that a migration which loses or
mixes up a column is noticed.
"""

import asyncio
import base64
import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy import Connection, LargeBinary, MetaData, Table, create_engine, insert, types

from storage import migrations
from storage.engine import migration
from tests.support import databases

FIXTURES: Final = Path(__file__).parent / "fixtures"
ROWS: Final = 2
# Made by the migrations themselves, or by the full text search.
_NOT_OURS: Final = ("alembic_version", "session_events_search", "sqlite_")
_BYTES: Final = "base64:"
# Where a migration reads what stands in a column, it is as the program writes it.
_AS_WRITTEN: Final[dict[tuple[str, str], str]] = {
    ("session_ledger", "status"): "running",
    ("session_usage", "status"): "ok",
    ("session_usage", "cost_source"): "provider_reported",
    ("session_usage", "tokens_source"): "provider_reported",
    ("session_usage", "runtime_source"): "provider_reported",
    ("jobs", "status"): "QUEUED",
    ("dead_letters", "state"): "open",
}

Row = dict[str, Any]


def tables_of(connection: Connection) -> list[Table]:
    """Every table of ours, as the database has it, in an order in which rows can be inserted."""
    metadata = MetaData()
    metadata.reflect(connection)
    return [table for table in metadata.sorted_tables if not table.name.startswith(_NOT_OURS)]


def rows_of(connection: Connection) -> dict[str, list[Row]]:
    return {
        table.name: [{name: _shown(value) for name, value in row.items()} for row in _in_order(connection, table)]
        for table in tables_of(connection)
    }


def put(connection: Connection, rows: dict[str, list[Row]]) -> None:
    """Insert the rows of a fixture."""
    for table in tables_of(connection):
        found = [{name: _read(value) for name, value in row.items()} for row in rows.get(table.name, [])]
        if found:
            connection.execute(insert(table), found)


def load(revision: str) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = json.loads((FIXTURES / f"revision-{revision}.json").read_text(encoding="utf-8"))
    return found


def _in_order(connection: Connection, table: Table) -> list[Row]:
    key = list(table.primary_key.columns) or list(table.columns)
    return [dict(row) for row in connection.execute(table.select().order_by(*key)).mappings()]


def _made(table: Table, number: int) -> Row:
    return {column.name: _value(table.name, column.name, column.type, number) for column in table.columns}


def _value(table: str, column: str, kind: types.TypeEngine[Any], number: int) -> object:
    if (table, column) in _AS_WRITTEN:
        return _AS_WRITTEN[table, column]
    if isinstance(kind, LargeBinary):
        return f"{table}.{column}.{number}".encode()
    if isinstance(kind, types.Integer):
        return 1_700_000_000_000_000 + number if column.endswith("_at") or column == "at" else number
    if isinstance(kind, types.Numeric | types.Float):
        return number + 0.5
    return f"{table}.{column}.{number}"


def _shown(value: object) -> object:
    return _BYTES + base64.b64encode(value).decode() if isinstance(value, bytes) else value


def _read(value: object) -> object:
    if isinstance(value, str) and value.startswith(_BYTES):
        return base64.b64decode(value.removeprefix(_BYTES))
    return value


def make(revision: str) -> Path:
    """Write the fixture of a revision."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "old.db"
        asyncio.run(_migrated(databases.sqlite_url(path), revision))
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as connection:
            for table in tables_of(connection):
                connection.execute(insert(table), [_made(table, number) for number in range(1, ROWS + 1)])
            rows = rows_of(connection)
        engine.dispose()
    FIXTURES.mkdir(exist_ok=True)
    file = FIXTURES / f"revision-{revision}.json"
    file.write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return file


async def _migrated(url: str, revision: str) -> None:
    await migration.upgrade(url)
    await migration.downgrade(url, revision)


if __name__ == "__main__":
    sys.stdout.write(f"{make(sys.argv[1] if len(sys.argv) > 1 else migrations.head())}\n")
