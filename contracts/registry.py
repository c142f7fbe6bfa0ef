"""Every kind that can come or go: its schema versions, their models, and the way from each to the newest.

A new kind is one line in :data:`REGISTRY` beside its payload model."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.contract import Registry, Schema, adapted, answer, contract
from contracts.gate.typed_usage import decode_usage
from contracts.outgoing import DEAD_LETTER_KIND, PULSE_KIND, RECEIPT_KIND, REPLY_KIND
from contracts.payloads import callbacks
from contracts.payloads.base import Payload
from contracts.payloads.commands import analytics, anchors, assets, documents, exports, jobs, ledger
from contracts.payloads.ingest import content, feed, performance, schedule, session
from contracts.payloads.operations import agents, alerts, kpi, questions
from contracts.payloads.operations import care as ops
from contracts.payloads.operations import failures as operations
from contracts.payloads.sent import content_events, outgoing, pulse, work
from contracts.subjects import Family
from contracts.values.alerts import Severity
from contracts.values.states import ExportState

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
