"""How each command that changes something is carried out."""

from types import MappingProxyType
from typing import Final

from handlers.commands.command_batch import Changes
from handlers.jobs.job_commands import JOB_CHANGES
from handlers.jobs.project_commands import CREATE_PROJECT

CHANGES: Final[Changes] = MappingProxyType({"project.create": CREATE_PROJECT, **JOB_CHANGES})
