"""Which handler takes which kind: kinds with one handler reach it as one group."""

from types import MappingProxyType
from typing import Final

from handlers.content.ideas_and_scripts import take_ideas, take_scripts
from handlers.content.items import take_item_results, take_items
from handlers.content.publications import take_publish_results, take_schedules
from handlers.effects import Families
from handlers.jobs.job_callbacks import take_job_reports
from handlers.ledger.sessions import take_sessions
from handlers.task_table import FINISHERS
from handlers.work.tasks import TaskReports

FAMILIES: Final[Families] = MappingProxyType(
    {
        "session.event": take_sessions,
        "session.usage": take_sessions,
        "feed.item": take_items,
        "content.idea": take_ideas,
        "content.script": take_scripts,
        "content.schedule": take_schedules,
        "item.result": take_item_results,
        "publish.result": take_publish_results,
        "job.status": take_job_reports,
        "task.status": TaskReports(FINISHERS),
    }
)
