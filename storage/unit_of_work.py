"""The unit of work: every repository over one transaction. Leaving it by an exception rolls everything back."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from sqlalchemy import Connection, Select, column, func, literal_column, select, table

from contracts.errors import JsonValue
from storage.agents.agents import AgentRepository, SqlAgentRepository
from storage.alerts.alerts import AlertRepository, SqlAlertRepository
from storage.alerts.readings import AlertReadings, SqlAlertReadings
from storage.alerts.signal_counts import SignalCountRepository, SqlSignalCountRepository
from storage.assets.assets import AssetRepository, SqlAssetRepository
from storage.content.ideas_and_scripts import (
    IdeaRepository,
    ScriptRepository,
    SqlIdeaRepository,
    SqlScriptRepository,
)
from storage.content.items import ItemRepository, SqlItemRepository
from storage.content.kpi import KpiRepository, SqlKpiRepository
from storage.content.performance import PostPerformanceRepository, SqlPostPerformanceRepository
from storage.content.publications import PublicationRepository, SqlPublicationRepository
from storage.documents.anchors import AnchorRepository, SqlAnchorRepository
from storage.documents.annotations import AnnotationRepository, SqlAnnotationRepository
from storage.documents.exports import ExportRepository, SqlExportRepository
from storage.documents.instructions import InstructionRepository, SqlInstructionRepository
from storage.jobs.artifacts import ArtifactRepository, SqlArtifactRepository
from storage.jobs.jobs import JobRepository, SqlJobRepository
from storage.jobs.projects import ProjectRepository, SqlProjectRepository
from storage.journal.callback_events import CallbackEvents
from storage.journal.command_log import CommandLog
from storage.journal.dead_letter_catalog import DeadLetterCatalog
from storage.journal.dead_letters import DeadLetters
from storage.journal.discards import Discards
from storage.journal.inbox import Inbox
from storage.journal.leases import Leases
from storage.journal.ops_runs import OpsRuns
from storage.journal.outbox import Outbox
from storage.journal.replay_runs import ReplayRuns
from storage.journal.replays import Replays
from storage.journal.retention import Pruning, Retention
from storage.ledger.aggregates import AggregateRepository, SqlAggregateRepository
from storage.ledger.analytics import AnalyticsRepository, SqlAnalyticsRepository
from storage.ledger.ledger import LedgerRepository, SqlLedgerRepository
from storage.ledger.performance import PerformanceRepository, SqlPerformanceRepository
from storage.ledger.pricing_versions import PricingVersions
from storage.ledger.usage import SqlUsageRepository, UsageRepository
from storage.questions.all_jobs import AllJobsRepository, SqlAllJobsRepository
from storage.questions.ids import IdRepository, SqlIdRepository
from storage.questions.story_facts import SqlStoryRepository, StoryRepository
from storage.tables import metadata
from storage.work.failed_work import FailedThings
from storage.work.tasks import SqlTaskRepository, TaskRepository
from storage.work.work import WorkRepository
from storage.work.work_takers import HealRounds, WorkTakers

_REVISION: Final[Select[str]] = select(column("version_num")).select_from(table("alembic_version"))
_FSYNC: Final[Select[str]] = select(func.current_setting("fsync"))
_TOUCH: Final[tuple[Select[int], ...]] = tuple(
    select(literal_column("1")).select_from(each).limit(1) for each in metadata.sorted_tables
)


class Happening(NamedTuple):
    """Something that a transaction brings about, to be told in the log once it is durable."""

    event: str
    facts: Mapping[str, JsonValue]


class UnitOfWork:
    """One transaction's view of the database. Repositories hold nothing: each is made when it is asked for."""

    __slots__ = ("_after_commit", "connection", "happenings")

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.happenings: list[Happening] = []
        self._after_commit: list[Callable[[], None]] = []

    def after_commit(self, call: Callable[[], None]) -> None:
        """Have *call* called once this transaction is durable, in the thread of the database, and before that begins
        another one on the same connection. It must not raise."""
        self._after_commit.append(call)

    def committed(self) -> None:
        """The database's word that this transaction is durable."""
        for call in self._after_commit:
            call()

    def note(self, event: str, **facts: JsonValue) -> None:
        """Have *event* told in the log once this transaction is durable. Facts that are None are left out."""
        if None in facts.values():
            facts = {name: value for name, value in facts.items() if value is not None}
        self.happenings.append(Happening(event, facts))

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
    def dead_letter_catalog(self) -> DeadLetterCatalog:
        return DeadLetterCatalog(self.connection)

    @property
    def discards(self) -> Discards:
        return Discards(self.connection)

    @property
    def replays(self) -> Replays:
        return Replays(self.connection)

    @property
    def replay_runs(self) -> ReplayRuns:
        return ReplayRuns(self.connection)

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
    def analytics(self) -> AnalyticsRepository:
        return SqlAnalyticsRepository(self.connection)

    @property
    def post_performance(self) -> PostPerformanceRepository:
        return SqlPostPerformanceRepository(self.connection)

    @property
    def kpi(self) -> KpiRepository:
        return SqlKpiRepository(self.connection)

    @property
    def aggregates(self) -> AggregateRepository:
        return SqlAggregateRepository(self.connection)

    @property
    def pricing_versions(self) -> PricingVersions:
        return PricingVersions(self.connection)

    @property
    def work(self) -> WorkRepository:
        return WorkRepository(self.connection)

    @property
    def failed_things(self) -> FailedThings:
        return FailedThings(self.connection)

    @property
    def work_takers(self) -> WorkTakers:
        return WorkTakers(self.connection)

    @property
    def heal_rounds(self) -> HealRounds:
        return HealRounds(self.connection)

    @property
    def callback_events(self) -> CallbackEvents:
        return CallbackEvents(self.connection)

    @property
    def items(self) -> ItemRepository:
        return SqlItemRepository(self.connection)

    @property
    def ideas(self) -> IdeaRepository:
        return SqlIdeaRepository(self.connection)

    @property
    def scripts(self) -> ScriptRepository:
        return SqlScriptRepository(self.connection)

    @property
    def publications(self) -> PublicationRepository:
        return SqlPublicationRepository(self.connection)

    @property
    def projects(self) -> ProjectRepository:
        return SqlProjectRepository(self.connection)

    @property
    def jobs(self) -> JobRepository:
        return SqlJobRepository(self.connection)

    @property
    def artifacts(self) -> ArtifactRepository:
        return SqlArtifactRepository(self.connection)

    @property
    def instructions(self) -> InstructionRepository:
        return SqlInstructionRepository(self.connection)

    @property
    def exports(self) -> ExportRepository:
        return SqlExportRepository(self.connection)

    @property
    def annotations(self) -> AnnotationRepository:
        return SqlAnnotationRepository(self.connection)

    @property
    def anchors(self) -> AnchorRepository:
        return SqlAnchorRepository(self.connection)

    @property
    def assets(self) -> AssetRepository:
        return SqlAssetRepository(self.connection)

    @property
    def tasks(self) -> TaskRepository:
        return SqlTaskRepository(self.connection)

    @property
    def alerts(self) -> AlertRepository:
        return SqlAlertRepository(self.connection)

    @property
    def signal_counts(self) -> SignalCountRepository:
        return SqlSignalCountRepository(self.connection)

    @property
    def stories(self) -> StoryRepository:
        return SqlStoryRepository(self.connection)

    @property
    def ids(self) -> IdRepository:
        return SqlIdRepository(self.connection)

    @property
    def all_jobs(self) -> AllJobsRepository:
        return SqlAllJobsRepository(self.connection)

    def pruning(self, retention: Retention) -> Pruning:
        """A walk through one table, of which what is old may go."""
        return Pruning(self.connection, retention)

    @property
    def alert_readings(self) -> AlertReadings:
        return SqlAlertReadings(self.connection)

    @property
    def agents(self) -> AgentRepository:
        return SqlAgentRepository(self.connection)

    def schema_revision(self) -> str | None:
        """The migration that the database is at."""
        return self.connection.execute(_REVISION).scalar_one_or_none()

    def lost_with_the_machine(self) -> str | None:
        """Why commits of this database may be gone after its machine crashed; None where they are not."""
        if self.connection.dialect.name != "postgresql" or self.connection.execute(_FSYNC).scalar_one() == "on":
            return None
        return "fsync is off: what is committed may be gone after a crash of the server's machine"

    def touch_tables(self) -> int:
        """Ask every table for a row; the number of tables. Raises what the first one that does not answer raises."""
        for statement in _TOUCH:
            self.connection.execute(statement).first()
        return len(_TOUCH)
