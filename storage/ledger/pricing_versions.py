"""The price lists that daemons have loaded, so that a ``pricing_version`` in a row can be told where it came from."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

from sqlalchemy import Connection, Select, func, select

from storage.engine.batches import UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.usage import pricing_versions


class PricingVersion(NamedTuple):
    """A version of a price list: ``source`` says which list, ``first_seen_at`` is in microseconds since the epoch."""

    version: str
    source: str
    first_seen_at: int


class PricingVersions:
    """The ``pricing_versions`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def record(self, versions: Sequence[PricingVersion]) -> None:
        """Keep *versions*; one that is known already stays as it was first seen."""
        if versions:
            execute_change(self._connection, _record(self._dialect), as_parameter(versions))

    def first_seen_at(self) -> int | None:
        """When the first of them was seen, which is when a daemon first started on this database."""
        return self._connection.execute(_FIRST_SEEN).scalar_one()

    def known(self) -> Mapping[str, PricingVersion]:
        return {row.version: PricingVersion(*row) for row in self._connection.execute(_KNOWN)}


_FIRST_SEEN: Final[Select[int | None]] = select(func.min(pricing_versions.c.first_seen_at))
_KNOWN: Final[Select[str, str, int]] = select(
    pricing_versions.c.version, pricing_versions.c.source, pricing_versions.c.first_seen_at
)


@cache
def _record(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, pricing_versions, PricingVersion._fields).on_conflict_do_nothing()
