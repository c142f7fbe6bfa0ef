"""How the success of each type of task is proven and kept."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from contracts.values.work import WorkType
from handlers.work.tasks import Finish

FINISHERS: Final[Mapping[WorkType, Finish]] = MappingProxyType({})
