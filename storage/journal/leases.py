"""Leases: one holder at a time, timed by the database's clock, with a number that rises at each taking.

The number fences: a holder that slept through the end of its lease finds, inside its own transaction, that the number
has moved on (:meth:`Leases.still_held`) and changes nothing.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import ColumnElement, Connection, and_, case, delete, literal_column, or_, select, update

from storage.engine.batches import insert_into
from storage.tables.journal import leases

_CLOCK: Final[dict[str, ColumnElement[int]]] = {
    "sqlite": literal_column("CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"),
    # Moves on within a transaction, as `now()` would not: a lease can run out while the transaction waits for a lock.
    "postgresql": literal_column("CAST(extract(epoch FROM clock_timestamp()) * 1000000 AS BIGINT)"),
}


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease as its holder knows it."""

    name: str
    holder: str
    number: int


class Leases:
    """The ``leases`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name
        self._clock = _CLOCK[self._dialect]

    def now(self) -> int:
        """The database's clock, in microseconds since the epoch."""
        return self._connection.execute(select(self._clock)).scalar_one()

    def take(self, name: str, *, holder: str, ttl_s: float) -> Lease | None:
        """Take or renew the lease; ``None`` while another holds it. A renewal in time keeps its number."""
        now = self._clock
        expires_at = now + int(ttl_s * 1_000_000)
        in_time = and_(leases.c.holder == holder, leases.c.expires_at > now)
        statement = (
            insert_into(self._dialect, leases)
            .values(name=name, holder=holder, number=1, expires_at=expires_at)
            .on_conflict_do_update(
                index_elements=["name"],
                set_={
                    "holder": holder,
                    "number": case((in_time, leases.c.number), else_=leases.c.number + 1),
                    "expires_at": expires_at,
                },
                where=or_(in_time, leases.c.expires_at <= now),
            )
            .returning(leases.c.number)
        )
        number = self._connection.execute(statement).scalar_one_or_none()
        return None if number is None else Lease(name, holder, number)

    def still_held(self, lease: Lease) -> bool:
        """Whether *lease* is in force now: asked inside the write transaction that relies on it.

        The row stays locked until that transaction ends, so that nobody takes the lease in between.
        """
        row = self._connection.execute(
            select(leases.c.number, leases.c.holder, leases.c.expires_at)
            .where(leases.c.name == lease.name)
            .with_for_update(read=True)
        ).one_or_none()
        return (
            row is not None
            and row.number == lease.number
            and row.holder == lease.holder
            and row.expires_at > self.now()
        )

    def release(self, lease: Lease) -> None:
        """Let the lease run out now; its number stays, so that the next taking is above it."""
        self._connection.execute(
            update(leases)
            .where(leases.c.name == lease.name, leases.c.holder == lease.holder, leases.c.number == lease.number)
            .values(expires_at=0)
        )

    def holders(self, prefix: str) -> dict[str, bool]:
        """Each lease whose name begins with *prefix*, and whether it is in force."""
        now = self.now()
        rows = self._connection.execute(
            select(leases.c.name, leases.c.expires_at).where(leases.c.name.startswith(prefix, autoescape=True))
        )
        return {row.name: row.expires_at > now for row in rows}

    def forget(self, name: str) -> None:
        """Remove a lease that nobody will take again (a daemon's own, after it ended)."""
        self._connection.execute(delete(leases).where(leases.c.name == name))
