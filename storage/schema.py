"""The schema as a dependency: at which revision it is, and whether its tables answer."""

from typing import Final

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, select

from storage.tables import metadata


class Schema:
    """Looks at the database's own description; changes nothing."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def revision(self) -> str | None:
        """The newest migration that was run; ``None`` before the first."""
        return MigrationContext.configure(self._connection).get_current_revision()

    def touch_tables(self) -> int:
        """Read a row of every table; answers how many tables there are. Raises what the database raises."""
        for statement in _TOUCH:
            self._connection.execute(statement).first()
        return len(_TOUCH)


_TOUCH: Final = [select(table).limit(1) for table in metadata.sorted_tables]
