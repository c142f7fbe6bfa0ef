"""Which query answers which command."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from handlers.commands.command import Query
from handlers.content import content_queries
from handlers.jobs import job_queries
from handlers.ledger.ledger_queries import get_session

QUERIES: Final[Mapping[str, Query]] = MappingProxyType(
    {
        "ledger.get": get_session,
        "idea.get": content_queries.get_idea,
        "idea.list": content_queries.list_ideas,
        "script.get": content_queries.get_script,
        "script.list": content_queries.list_scripts,
        "project.get": job_queries.get_project,
        "project.list": job_queries.list_projects,
        "job.get": job_queries.get_job,
        "job.list": job_queries.list_jobs,
        "job.history": job_queries.get_history,
        "job.transcript": job_queries.get_transcript,
        "job.storyboard": job_queries.get_storyboard,
        "task.get": job_queries.get_task,
    }
)
