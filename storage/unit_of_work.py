"""The unit of work: every repository over one transaction. Leaving it by an exception rolls everything back."""

from functools import cached_property

from sqlalchemy import Connection

from storage.command_log import CommandLog
from storage.dead_letters import DeadLetters
from storage.inbox import Inbox
from storage.leases import Leases
from storage.ledger import SqlLedgerRepository
from storage.ops_runs import OpsRuns
from storage.outbox import Outbox
from storage.performance import SqlPerformanceRepository
from storage.ports import LedgerRepository, PerformanceRepository, UsageRepository
from storage.usage import SqlUsageRepository


class UnitOfWork:
    """One transaction's view of the database."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    @cached_property
    def inbox(self) -> Inbox:
        return Inbox(self.connection)

    @cached_property
    def outbox(self) -> Outbox:
        return Outbox(self.connection)

    @cached_property
    def dead_letters(self) -> DeadLetters:
        return DeadLetters(self.connection)

    @cached_property
    def command_log(self) -> CommandLog:
        return CommandLog(self.connection)

    @cached_property
    def ops_runs(self) -> OpsRuns:
        return OpsRuns(self.connection)

    @cached_property
    def leases(self) -> Leases:
        return Leases(self.connection)

    @cached_property
    def ledger(self) -> LedgerRepository:
        return SqlLedgerRepository(self.connection)

    @cached_property
    def usage(self) -> UsageRepository:
        return SqlUsageRepository(self.connection)

    @cached_property
    def performance(self) -> PerformanceRepository:
        return SqlPerformanceRepository(self.connection)
