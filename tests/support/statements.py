"""What a unit of work really sends to the database."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final
from unittest.mock import patch

from sqlalchemy import event

from storage.engine.sqlite import direct
from storage.unit_of_work import UnitOfWork

_bound: Final = direct.bound


@contextmanager
def recorded(uow: UnitOfWork) -> Iterator[list[tuple[str, Any]]]:
    """The statements that run in the block, with their parameters; an ``executemany`` counts for each of its rows."""
    seen: list[tuple[str, Any]] = []

    def note(
        _connection: object, _cursor: object, statement: str, parameters: Any, _context: object, many: bool
    ) -> None:
        seen.extend((statement, each) for each in parameters) if many else seen.append((statement, parameters))

    def noted(statement: direct.Statement, parameters: Mapping[str, object]) -> tuple[str, Sequence[object]]:
        text, values = _bound(statement, parameters)
        seen.append((text, tuple(values)))
        return text, values

    event.listen(uow.connection, "before_cursor_execute", note)
    try:
        # What SQLite's driver executes itself does not pass SQLAlchemy.
        with patch.object(direct, "bound", noted):
            yield seen
    finally:
        event.remove(uow.connection, "before_cursor_execute", note)


def plans(uow: UnitOfWork, work: Callable[[UnitOfWork], object]) -> list[str]:
    """How the database would carry out each statement of *work*, after it has run."""
    with recorded(uow) as seen:
        work(uow)
    explain = "EXPLAIN QUERY PLAN" if uow.connection.dialect.name == "sqlite" else "EXPLAIN"
    return [
        "\n".join(str(row[-1]) for row in uow.connection.exec_driver_sql(f"{explain} {statement}", parameters))
        for statement, parameters in seen
        if not statement.startswith(("SAVEPOINT", "RELEASE", "ROLLBACK"))
    ]
