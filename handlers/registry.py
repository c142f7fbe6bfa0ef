"""Which handler takes which kind, and which query, change or finisher answers what: the one table of the handlers.

Adding a kind of message, a command or a type of task is one line here.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.values.work import WorkType
from handlers.alerts.alert_queries import get_alert, list_alerts
from handlers.assets.asset_commands import BEGIN_UPLOAD, DELETE_ASSET, get_asset
from handlers.commands.command import Query
from handlers.commands.command_batch import Changes
from handlers.content import content_queries
from handlers.content.ideas_and_scripts import take_ideas, take_scripts
from handlers.content.items import take_item_results, take_items
from handlers.content.performance import take_performance
from handlers.content.publication_commands import CANCEL_PUBLICATION
from handlers.content.publications import take_publish_results, take_schedules
from handlers.documents.anchor_commands import ATTACH_ASSET, CREATE_ANCHOR, DETACH_ASSET, REPLACE_ASSET
from handlers.documents.anchor_queries import get_anchor, list_anchors
from handlers.documents.exports.export_commands import CREATE_EXPORT, get_export
from handlers.documents.instruction_commands import PUT_INSTRUCTION, get_instruction
from handlers.documents.tasks.extraction import ExtractionFinisher
from handlers.documents.tasks.regeneration import RegenerationFinisher
from handlers.documents.tasks.task_commands import EXTRACT_SCREENSHOTS, REGENERATE_INSTRUCTION
from handlers.effects import Families
from handlers.jobs import job_queries
from handlers.jobs.job_callbacks import take_job_reports
from handlers.jobs.job_commands import JOB_CHANGES
from handlers.jobs.project_commands import CREATE_PROJECT
from handlers.ledger import ledger_queries
from handlers.ledger.analytics import sum_performance, sum_usage
from handlers.ledger.sessions import take_sessions
from handlers.work.tasks import MakeFinisher, TaskReports

FINISHERS: Final[Mapping[WorkType, MakeFinisher]] = MappingProxyType(
    {
        WorkType.INSTRUCTION_REGENERATE: RegenerationFinisher,
        WorkType.SCREENSHOT_EXTRACT: ExtractionFinisher,
    }
)
"""Type of task -> how its success is proven and kept."""

FAMILIES: Final[Families] = MappingProxyType(
    {
        "session.event": take_sessions,
        "session.usage": take_sessions,
        "feed.item": take_items,
        "content.idea": take_ideas,
        "content.script": take_scripts,
        "content.schedule": take_schedules,
        "content.performance": take_performance,
        "item.result": take_item_results,
        "publish.result": take_publish_results,
        "job.status": take_job_reports,
        "task.status": TaskReports(FINISHERS),
    }
)
"""Kind -> its handler. Kinds with one handler reach it as one group."""

CHANGES: Final[Changes] = MappingProxyType(
    {
        "project.create": CREATE_PROJECT,
        **JOB_CHANGES,
        "instruction.put": PUT_INSTRUCTION,
        "instruction.regenerate": REGENERATE_INSTRUCTION,
        "screenshot.extract": EXTRACT_SCREENSHOTS,
        "publication.cancel": CANCEL_PUBLICATION,
        "anchor.create": CREATE_ANCHOR,
        "anchor.attach": ATTACH_ASSET,
        "anchor.detach": DETACH_ASSET,
        "anchor.replace": REPLACE_ASSET,
        "export.create": CREATE_EXPORT,
        "asset.begin-upload": BEGIN_UPLOAD,
        "asset.delete": DELETE_ASSET,
    }
)
"""Command that changes something -> how it is carried out."""

QUERIES: Final[Mapping[str, Query]] = MappingProxyType(
    {
        "ledger.get": ledger_queries.get_session,
        "ledger.list": ledger_queries.list_sessions,
        "analytics.usage": sum_usage,
        "analytics.performance": sum_performance,
        "item.get": content_queries.get_item,
        "item.list": content_queries.list_items,
        "alert.list": list_alerts,
        "alert.get": get_alert,
        "idea.get": content_queries.get_idea,
        "idea.list": content_queries.list_ideas,
        "script.get": content_queries.get_script,
        "script.list": content_queries.list_scripts,
        "publication.get": content_queries.get_publication,
        "publication.list": content_queries.list_publications,
        "project.get": job_queries.get_project,
        "project.list": job_queries.list_projects,
        "job.get": job_queries.get_job,
        "job.list": job_queries.list_jobs,
        "job.history": job_queries.get_history,
        "job.transcript": job_queries.get_transcript,
        "job.storyboard": job_queries.get_storyboard,
        "task.get": job_queries.get_task,
        "instruction.get": get_instruction,
        "anchor.get": get_anchor,
        "anchor.list": list_anchors,
        "asset.get": get_asset,
        "export.get": get_export,
    }
)
"""Command that only reads -> its query."""
