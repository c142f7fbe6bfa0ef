"""What commands answer with success: the ``result`` of their replies, as types that AsyncAPI and the tests read.

Readers ignore fields that they do not know; answers may grow. A command whose result is a payload model says so
in the registry instead.
"""

from collections.abc import Mapping
from typing import Final

from contracts.results import documents, jobs, ledger, operations

RESULTS: Final[Mapping[str, type]] = {
    "project.create": jobs.Project,
    "project.get": jobs.Project,
    "project.list": jobs.Projects,
    **dict.fromkeys(
        (
            "job.create",
            "job.get",
            "job.confirm-upload",
            "job.run",
            "job.approve",
            "job.render",
            "job.cancel",
            "job.retry",
        ),
        jobs.Job,
    ),
    "job.list": jobs.Jobs,
    "job.transcript": jobs.Transcript,
    "job.storyboard": jobs.Storyboard,
    "job.history": jobs.JobHistory,
    "task.get": jobs.Task,
    "instruction.get": documents.InstructionVersion,
    "instruction.put": documents.InstructionVersion,
    "instruction.regenerate": jobs.Task,
    "screenshot.extract": jobs.Task,
    "anchor.create": documents.Anchor,
    "anchor.get": documents.Anchor,
    "anchor.list": documents.Anchors,
    "anchor.attach": documents.Anchor,
    "anchor.detach": documents.Anchor,
    "anchor.annotate": documents.Annotation,
    "asset.begin-upload": documents.Upload,
    "asset.confirm-upload": documents.Asset,
    "asset.get": documents.Asset,
    "asset.delete": documents.Asset,
    "export.create": documents.Export,
    "export.get": documents.Export,
    "ledger.get": ledger.SessionWithEvents,
    "ledger.list": ledger.Sessions,
    "analytics.usage": ledger.Usage,
    "analytics.performance": ledger.Performance,
    "item.get": ledger.Item,
    "item.list": ledger.Items,
    "idea.get": ledger.Idea,
    "idea.list": ledger.Ideas,
    "script.get": ledger.Script,
    "script.list": ledger.Scripts,
    "publication.get": ledger.Publication,
    "publication.list": ledger.Publications,
    "publication.cancel": ledger.Publication,
    "health-check": operations.HealthReport,
    "console-link": operations.ConsoleLink,
    "self-heal": operations.Healed,
    "dead-letters": operations.DeadLetters,
    "replay-failed": operations.ReplayBegun,
    "replay-status": operations.ReplayStatus,
    "replay-abort": operations.ReplayStatus,
    "runs": operations.Runs,
    "import-legacy": operations.Begun,
    "prune": operations.Begun,
    "backup": operations.Backup,
    "explain": operations.Story,
    "find": operations.Found,
    "about": operations.About,
    "jobs": jobs.JobsOfAll,
}
