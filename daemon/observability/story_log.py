"""What happens, as one log line each, once it is durable: by a trace id or a job id alone its story is found.

Handlers note what a transaction brings about (:class:`~storage.unit_of_work.Happening`); :class:`LoggedDatabase` tells
it after the commit. Refusals may come by the thousand: of each code the first of a second are told, then their number.
"""

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Final, TypeVar

from contracts.errors import JsonValue
from daemon.observability.logs import WriteEvents, write_each
from storage.engine.database import Database
from storage.unit_of_work import Happening, UnitOfWork

T = TypeVar("T")

MOST_REFUSALS: Final = 20
"""Lines a second of refusals of one code."""
_CODE: Final = "code"


class StoryLog:
    """Tells happenings; *clock* counts seconds. Those of one transaction are given to *write* at once."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, write: WriteEvents = write_each) -> None:
        self._clock = clock
        self._write = write
        self._second = 0
        self._told: Counter[str] = Counter()
        self._passed_over: Counter[str] = Counter()

    def tell(self, happenings: Sequence[Happening]) -> None:
        self._write([each for each in happenings if _CODE not in each.facts or self._may_be_told(each.facts)])

    def refusal(self, event: str, facts: Mapping[str, JsonValue]) -> None:
        """Tell a refusal, or count it where enough of its code were told in this second."""
        if self._may_be_told(facts):
            self._write([(event, facts)])

    def _may_be_told(self, facts: Mapping[str, JsonValue]) -> bool:
        self._turn_second()
        code = str(facts[_CODE])
        if self._told[code] >= MOST_REFUSALS:
            self._passed_over[code] += 1
            return False
        self._told[code] += 1
        return True

    async def tell_counts(self) -> None:
        """Tell how many refusals of former seconds were passed over."""
        self._turn_second()

    def _turn_second(self) -> None:
        second = int(self._clock())
        if second == self._second:
            return
        self._second = second
        self._told.clear()
        self._write(
            [("refusals_not_told", {"code": code, "count": count}) for code, count in self._passed_over.items()]
        )
        self._passed_over.clear()


class LoggedDatabase:
    """A database whose transactions are told of once they are durable."""

    def __init__(self, database: Database, stories: StoryLog) -> None:
        self._database = database
        self._stories = stories

    @property
    def dialect(self) -> str:
        return self._database.dialect

    @property
    def keeps_order(self) -> bool:
        return self._database.keeps_order

    async def write(self, work: Callable[[UnitOfWork], T], *, commit_delay_s: float = 0.0) -> T:
        happenings: list[Happening] = []

        def noted(uow: UnitOfWork) -> T:
            # A transaction that is repeated begins anew.
            happenings[:] = []
            uow.happenings = happenings
            return work(uow)

        result = await self._database.write(noted, commit_delay_s=commit_delay_s)
        if happenings:
            self._stories.tell(happenings)
        return result

    async def read(self, work: Callable[[UnitOfWork], T]) -> T:
        return await self._database.read(work)

    def wait_briefly(self) -> None:
        self._database.wait_briefly()

    async def close(self) -> None:
        await self._database.close()
