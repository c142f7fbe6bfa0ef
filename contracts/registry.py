"""Every kind that can come or go: its schema versions, their models, and the way from each to the newest.

A new kind is one line in :data:`REGISTRY` beside its payload model.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final, Literal, TypeVar, cast

from pydantic import create_model

from contracts.envelope import Proven1, Proven2
from contracts.errors import JsonValue
from contracts.gate.typed_message import TypedDecoder
from contracts.gate.typed_usage import decode_usage
from contracts.outgoing import DEAD_LETTER_KIND, PULSE_KIND, RECEIPT_KIND, REPLY_KIND
from contracts.payloads import callbacks
from contracts.payloads.base import Facts, Payload
from contracts.payloads.commands import analytics, anchors, assets, documents, exports, jobs, ledger
from contracts.payloads.ingest import content, feed, performance, schedule, session
from contracts.payloads.operations import agents, alerts, kpi, questions
from contracts.payloads.operations import care as ops
from contracts.payloads.operations import failures as operations
from contracts.payloads.sent import content_events, outgoing, pulse, work
from contracts.results import RESULTS
from contracts.subjects import DURABLE, Family, parse_callback
from contracts.values.alerts import Severity
from contracts.values.states import ExportState

Old = TypeVar("Old", bound=Payload)

_REQUESTS: Final = frozenset({Family.COMMAND, Family.OPS})


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one kind.

    ``adapt`` makes of its model what handlers are given: the newest model, or the value that all schemas of the kind
    are adapted to; None where that is the model itself.

    ``decode`` may prove a whole envelope of version 2 ahead of the models, for kinds that come by the thousand.
    """

    version: str
    model: type[Payload]
    adapt: Callable[[Payload], Facts] | None = None
    decode: TypedDecoder | None = None


def adapted(
    version: str, model: type[Old], adapt: Callable[[Old], Facts], decode: TypedDecoder | None = None
) -> Schema:
    """A version and its adapter: an older one's to the newest, or any one's to the value that handlers are given."""
    return Schema(version, model, cast("Callable[[Payload], Facts]", adapt), decode)


class VersionedSchema:
    """A schema with the validators of its whole envelopes, so that one pass tells every violation under its path.

    Both raise pydantic's ``ValidationError``. Models and validators are made when they are first needed: a daemon is
    ready before it has built those of a hundred kinds that it may never meet.
    """

    def __init__(self, kind: str, schema: Schema, name: str) -> None:
        self.schema: Final = schema
        self._kind = kind
        self._name = f"{name}-{schema.version}".replace(".", "_")

    @cached_property
    def envelope_1(self) -> type[Proven1]:
        """Envelope version 1 around the payload."""
        return create_model(
            f"{self._name}_envelope_1",
            __base__=Proven1,
            __doc__=f"Envelope version 1 around {self._kind} {self.schema.version}; the kind comes from the subject.",
            schema_version=(_only(self.schema.version), ...),
            payload=(self.schema.model, ...),
        )

    @cached_property
    def envelope_2(self) -> type[Proven2]:
        """Envelope version 2 around the payload."""
        return create_model(
            f"{self._name}_envelope_2",
            __base__=Proven2,
            __doc__=f"Envelope version 2 around {self._kind} {self.schema.version}.",
            kind=(_only(self._kind), ...),
            schema_version=(_only(self.schema.version), ...),
            payload=(self.schema.model, ...),
        )

    # The core validators themselves: `model_validate` is a layer of Python around them.

    @cached_property
    def prove_1(self) -> Callable[[JsonValue], Proven1]:
        """The validator of whole envelopes of version 1."""
        return self.envelope_1.__pydantic_validator__.validate_python

    @cached_property
    def prove_2(self) -> Callable[[JsonValue], Proven2]:
        """The validator of whole envelopes of version 2."""
        return self.envelope_2.__pydantic_validator__.validate_python


@dataclass(frozen=True, slots=True)
class Contract:
    """A kind with its versions, oldest first.

    ``address`` is its subject without prefix, ``{…}`` standing for what varies; answers have none, and no family: they
    go where the asker said.
    """

    kind: str
    family: Family | None
    address: str | None
    schemas: Mapping[str, VersionedSchema] = field(repr=False)
    result: type[Payload] | None = None
    """What a command answers where it succeeds."""

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(self.schemas)

    @property
    def newest(self) -> Schema:
        return self.schemas[self.versions[-1]].schema


def contract(
    family: Family, kind: str, *schemas: Schema, address: str | None = None, result: type[Payload] | None = None
) -> Contract:
    """Declare a kind; schemas are given oldest first, each but the last with its adapter.

    Without an ``address`` its subject is ``<family>.<kind>``. A command says what its ``result`` is.
    """
    # A command and the work that it leads to may bear one name.
    name = f"{family}.{kind}" if family in _REQUESTS else kind
    return Contract(kind, family, address or f"{family}.{kind}", _versions(kind, schemas, name), result)


def result_of(command: Contract) -> type | None:
    """What a command or an operation answers where it succeeds."""
    if command.family not in _REQUESTS:
        return None
    return command.result or RESULTS.get(command.kind)


def reply_to(command: Contract) -> VersionedSchema | None:
    """The reply to a command that says what its result is: one like any other, whose result has that shape."""
    result = result_of(command)
    if result is None:
        return None
    name = f"{command.family}.{command.kind}.reply"
    reply = create_model(
        name.replace(".", "_"),
        __base__=outgoing.Reply,
        __doc__=f"The answer to {command.kind}.",
        result=(cast("type[Payload]", result | None), None),
    )
    return VersionedSchema(REPLY_KIND, Schema("1.0", reply), name)


def answer(kind: str, *schemas: Schema) -> Contract:
    """Declare a kind that goes to the subject which the asker named."""
    return Contract(kind, None, None, _versions(kind, schemas, kind))


def _versions(kind: str, schemas: tuple[Schema, ...], name: str) -> Mapping[str, VersionedSchema]:
    *old, newest = schemas
    if any(schema.adapt is None for schema in old):
        raise ValueError(f"{kind}: every schema but the newest needs an adapter ({newest.version} may do without)")
    return MappingProxyType({schema.version: VersionedSchema(kind, schema, name) for schema in schemas})


def _only(word: str) -> type[str]:
    """A literal type that is known only at run time; to the type checker it is text."""
    return cast("type[str]", Literal[word])


class Registry:
    """The contracts, in the order in which they were declared."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._contracts: Final = tuple(contracts)
        self._by_kind: Final = {(contract.family, contract.kind): contract for contract in self._contracts}
        streamed = [contract for contract in self._contracts if contract.family in DURABLE and contract.address]
        self._by_subject: Final = {contract.address: contract for contract in streamed}
        # A callback's subject ends in an id: what stands before it names the kind.
        self._by_callback: Final = {
            parsed.family: contract
            for contract in streamed
            if (parsed := parse_callback(contract.address or "")) is not None
        }
        if len(self._by_kind) < len(self._contracts):
            raise ValueError("a kind is declared twice in one family")

    def contract(self, kind: str, family: Family | None = Family.INGEST) -> Contract | None:
        return self._by_kind.get((family, kind))

    def addressed(self, subject: str) -> Contract | None:
        """The contract that a subject of a stream (without prefix) names; None where it names no known kind."""
        known = self._by_subject.get(subject)
        if known is None and (parsed := parse_callback(subject)) is not None:
            return self._by_callback.get(parsed.family)
        return known

    def supported(self, kind: str, family: Family | None = Family.INGEST) -> tuple[str, ...]:
        """The schema versions of a kind, oldest first; empty where the kind is unknown."""
        known = self.contract(kind, family)
        return known.versions if known else ()

    def contracts(self, *families: Family | None) -> tuple[Contract, ...]:
        """All contracts, or those of some families."""
        return tuple(known for known in self._contracts if not families or known.family in families)


_JOB_COMMANDS: Final[Mapping[str, type[Payload]]] = MappingProxyType(
    {
        "project.create": jobs.ProjectCreate,
        "project.get": jobs.ProjectGet,
        "project.list": jobs.ProjectList,
        "job.create": jobs.JobCreate,
        "job.get": jobs.JobGet,
        "job.list": jobs.JobList,
        "job.confirm-upload": jobs.JobConfirmUpload,
        "job.run": jobs.JobRun,
        "job.approve": jobs.JobApprove,
        "job.render": jobs.JobRender,
        "job.cancel": jobs.JobCancel,
        "job.retry": jobs.JobRetry,
        "job.transcript": jobs.JobTranscript,
        "job.storyboard": jobs.JobStoryboard,
        "job.history": jobs.JobHistory,
        "task.get": jobs.TaskGet,
    }
)
_DOCUMENT_COMMANDS: Final[Mapping[str, type[Payload]]] = MappingProxyType(
    {
        "instruction.get": documents.InstructionGet,
        "instruction.put": documents.InstructionPut,
        "instruction.regenerate": documents.InstructionRegenerate,
        "screenshot.extract": documents.ScreenshotExtract,
        "anchor.create": anchors.AnchorCreate,
        "anchor.get": anchors.AnchorGet,
        "anchor.list": anchors.AnchorList,
        "anchor.attach": anchors.AnchorAttach,
        "anchor.detach": anchors.AnchorDetach,
        "anchor.replace": anchors.AnchorReplace,
        "anchor.annotate": anchors.AnchorAnnotate,
        "export.create": exports.ExportCreate,
        "export.get": exports.ExportGet,
        "asset.begin-upload": assets.AssetBeginUpload,
        "asset.confirm-upload": assets.AssetConfirmUpload,
        "asset.get": assets.AssetGet,
        "asset.delete": assets.AssetDelete,
    }
)
_LEDGER_COMMANDS: Final[Mapping[str, type[Payload]]] = MappingProxyType(
    {
        "ledger.get": ledger.LedgerGet,
        "ledger.list": ledger.LedgerList,
        "analytics.usage": analytics.AnalyticsUsage,
        "analytics.performance": analytics.AnalyticsPerformance,
    }
)
_CONTENT_COMMANDS: Final[Mapping[str, type[Payload]]] = MappingProxyType(
    {
        "item.get": content.ItemGet,
        "item.list": content.ItemList,
        "idea.get": content.IdeaGet,
        "idea.list": content.IdeaList,
        "script.get": content.ScriptGet,
        "script.list": content.ScriptList,
        "publication.get": content.PublicationGet,
        "publication.list": content.PublicationList,
        "publication.cancel": content.PublicationCancel,
    }
)
_OPERATIONS: Final[Mapping[str, type[Payload]]] = MappingProxyType(
    {
        "dead-letters": operations.DeadLetters,
        "replay-failed": operations.ReplayFailed,
        "replay-status": operations.ReplayStatus,
        "replay-abort": operations.ReplayAbort,
        "runs": operations.Runs,
        "import-legacy": operations.ImportLegacy,
        "prune": operations.Prune,
        "rebuild-aggregates": operations.RebuildAggregates,
        "backup": operations.Backup,
        "kpi-report": kpi.KpiReportRequest,
        "explain": questions.Explain,
        "find": questions.Find,
        "about": questions.About,
        "jobs": questions.Jobs,
    }
)
_ALERTS: Final = (
    *(
        contract(
            Family.EVENT,
            f"alert.{severity}",
            Schema("1.0", alerts.AlertEvent),
            address=f"event.alert.{{rule}}.{severity}",
        )
        for severity in Severity
    ),
    contract(Family.NOTIFY, "alert.notification", Schema("1.0", alerts.AlertNotification), address="notify.{notifier}"),
    contract(Family.COMMAND, "alert.list", Schema("1.0", alerts.AlertList), result=alerts.AlertPage),
    contract(Family.COMMAND, "alert.get", Schema("1.0", alerts.AlertGet), result=alerts.AlertView),
    contract(Family.OPS, "alerts", Schema("1.0", alerts.Alerts), result=alerts.AlertsResult),
)
_AGENTS: Final = (
    contract(Family.CONTROL, "control", Schema("1.0", agents.ControlMessage), address="control.{agent}"),
    contract(
        Family.EVENT, "agent.answered", Schema("1.0", agents.AgentAnswered), address="event.agent.{agent}.answered"
    ),
    contract(Family.OPS, "system-status", Schema("1.0", agents.SystemStatus), result=agents.SystemStatusResult),
    contract(Family.OPS, "control", Schema("1.0", agents.Control), result=agents.ControlResult),
    contract(Family.OPS, "logs", Schema("1.0", agents.Logs), result=agents.LogsResult),
)
_JOB_EVENTS: Final[Mapping[str, type[Payload]]] = MappingProxyType(
    {
        "created": jobs.JobCreated,
        "transitioned": jobs.JobTransitioned,
        "approved": jobs.JobApproved,
        "cancelled": jobs.JobCancelled,
    }
)

_ITEM_EVENTS: Final = ("analysed", "failed")
_PUBLICATION_EVENTS: Final = ("dispatched", "published", "failed", "cancelled")

REGISTRY: Final = Registry(
    [
        contract(Family.INGEST, "session.event", Schema("1.0", session.SessionEvent)),
        contract(
            Family.INGEST,
            "session.usage",
            adapted("1.0", session.SessionUsage1, session.usage_from_1),
            adapted("2.0", session.SessionUsage, session.usage_from_2, decode_usage),
        ),
        contract(Family.INGEST, "feed.item", Schema("1.0", feed.FeedItem)),
        contract(Family.INGEST, "content.idea", Schema("1.0", content.ContentIdea)),
        contract(Family.INGEST, "content.script", Schema("1.0", content.ContentScript)),
        contract(Family.INGEST, "content.schedule", Schema("1.0", schedule.ContentSchedule)),
        contract(Family.INGEST, "content.performance", Schema("1.0", performance.ContentPerformance)),
        contract(
            Family.CALLBACK, "item.result", Schema("1.0", callbacks.ItemResult), address="callback.item.{item_id}"
        ),
        contract(
            Family.CALLBACK,
            "publish.result",
            Schema("1.0", callbacks.PublishResult),
            address="callback.publish.{post_id}",
        ),
        contract(Family.CALLBACK, "job.status", Schema("1.0", callbacks.JobStatus), address="callback.job.{job_id}"),
        contract(
            Family.CALLBACK, "task.status", Schema("1.0", callbacks.TaskStatus), address="callback.task.{task_id}"
        ),
        contract(Family.WORK, "job.process", Schema("1.0", work.JobProcess)),
        contract(Family.WORK, "job.render", Schema("1.0", work.JobRenderWork)),
        contract(Family.WORK, "item.analyse", Schema("1.0", work.ItemAnalyse)),
        contract(Family.WORK, "publish", Schema("1.0", work.Publish)),
        contract(Family.WORK, "instruction.regenerate", Schema("1.0", work.InstructionRegenerateWork)),
        contract(Family.WORK, "screenshot.extract", Schema("1.0", work.ScreenshotExtractWork)),
        *(
            contract(Family.EVENT, f"job.{name}", Schema("1.0", model), address=f"event.job.{{job_id}}.{name}")
            for name, model in _JOB_EVENTS.items()
        ),
        *(
            contract(
                Family.EVENT,
                f"item.{name}",
                Schema("1.0", content_events.ItemView),
                address=f"event.item.{{item_id}}.{name}",
            )
            for name in _ITEM_EVENTS
        ),
        *(
            contract(
                Family.EVENT,
                f"publication.{name}",
                Schema("1.0", content_events.PublicationView),
                address=f"event.publication.{{post_id}}.{name}",
            )
            for name in _PUBLICATION_EVENTS
        ),
        *(contract(Family.COMMAND, name, Schema("1.0", model)) for name, model in _JOB_COMMANDS.items()),
        *(
            contract(
                Family.EVENT,
                f"export.{state.lower()}",
                Schema("1.0", exports.ExportEvent),
                address=f"event.export.{{export_id}}.{state.lower()}",
            )
            for state in ExportState
        ),
        *(contract(Family.COMMAND, name, Schema("1.0", model)) for name, model in _DOCUMENT_COMMANDS.items()),
        *(contract(Family.COMMAND, name, Schema("1.0", model)) for name, model in _LEDGER_COMMANDS.items()),
        *(contract(Family.COMMAND, name, Schema("1.0", model)) for name, model in _CONTENT_COMMANDS.items()),
        *_ALERTS,
        *_AGENTS,
        contract(Family.OPS, "health-check", Schema("1.0", ops.HealthCheck)),
        contract(Family.OPS, "console-link", Schema("1.0", ops.ConsoleLink)),
        contract(Family.OPS, "self-heal", Schema("1.0", ops.SelfHeal)),
        *(contract(Family.OPS, name, Schema("1.0", model)) for name, model in _OPERATIONS.items()),
        contract(Family.PULSE, PULSE_KIND, Schema("1.0", pulse.Pulse), address="pulse.{daemon_id}"),
        contract(Family.DEAD, DEAD_LETTER_KIND, Schema("1.0", outgoing.DeadLetter), address="dead.{subject}"),
        answer(RECEIPT_KIND, Schema("1.0", outgoing.Receipt)),
        answer(REPLY_KIND, Schema("1.0", outgoing.Reply)),
    ]
)
