"""A database that fails as it is told before it works."""

from collections.abc import Callable
from typing import TypeVar, cast

from storage.unit_of_work import UnitOfWork

T = TypeVar("T")


class FailingDatabase:
    """Raises each of *failures* once, then calls what it is given, without a unit of work."""

    dialect = "none"
    keeps_order = False

    def __init__(self, *failures: Exception) -> None:
        self._failures = list(failures)

    @property
    def left(self) -> int:
        """How many failures were not seen yet."""
        return len(self._failures)

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:  # noqa: ARG002
        if self._failures:
            raise self._failures.pop(0)
        return work(cast("UnitOfWork", None))

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self.write(work)

    def wait_briefly(self) -> None:
        return None

    async def close(self) -> None:
        return None
