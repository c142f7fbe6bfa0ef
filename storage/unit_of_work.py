"""The unit of work: every repository over one transaction. Leaving it by an exception rolls everything back."""

from typing import Final

from sqlalchemy import Connection, Select, column, literal_column, select, table

from storage.command_log import CommandLog
from storage.dead_letters import DeadLetters
from storage.inbox import Inbox
from storage.leases import Leases
from storage.ledger import SqlLedgerRepository
from storage.ops_runs import OpsRuns
from storage.outbox import Outbox
from storage.performance import SqlPerformanceRepository
from storage.ports import LedgerRepository, PerformanceRepository, UsageRepository
from storage.pricing_versions import PricingVersions
from storage.tables import metadata
from storage.usage import SqlUsageRepository
from storage.work import Work

_REVISION: Final[Select[str]] = select(column("version_num")).select_from(table("alembic_version"))
_TOUCH: Final[tuple[Select[int], ...]] = tuple(
    select(literal_column("1")).select_from(each).limit(1) for each in metadata.sorted_tables
)


class UnitOfWork:
    """One transaction's view of the database. Repositories hold nothing: each is made when it is asked for."""

    __slots__ = ("connection",)

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @property
    def inbox(self) -> Inbox:
        return Inbox(self.connection)

    @property
    def outbox(self) -> Outbox:
        return Outbox(self.connection)

    @property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.connection)

    @property
    def command_log(self) -> CommandLog:
        return CommandLog(self.connection)

    @property
    def ops_runs(self) -> OpsRuns:
        return OpsRuns(self.connection)

    @property
    def leases(self) -> Leases:
        return Leases(self.connection)

    @property
    def ledger(self) -> LedgerRepository:
        return SqlLedgerRepository(self.connection)

    @property
    def usage(self) -> UsageRepository:
        return SqlUsageRepository(self.connection)

    @property
    def performance(self) -> PerformanceRepository:
        return SqlPerformanceRepository(self.connection)

    @property
    def pricing_versions(self) -> PricingVersions:
        return PricingVersions(self.connection)

    @property
    def work(self) -> Work:
        return Work(self.connection)

    def schema_revision(self) -> str | None:
        """The migration that the database is at."""
        return self.connection.execute(_REVISION).scalar_one_or_none()

    def touch_tables(self) -> int:
        """Ask every table for a row; the number of tables. Raises what the first one that does not answer raises."""
        for statement in _TOUCH:
            self.connection.execute(statement).first()
        return len(_TOUCH)
