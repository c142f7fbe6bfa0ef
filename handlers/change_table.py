"""How each command that changes something is carried out."""

from types import MappingProxyType
from typing import Final

from handlers.changes import Changes
from handlers.jobs import JOB_CHANGES
from handlers.projects import CREATE_PROJECT

CHANGES: Final[Changes] = MappingProxyType({"project.create": CREATE_PROJECT, **JOB_CHANGES})
