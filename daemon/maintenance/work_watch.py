"""The loop that looks who takes work, so that deadlines stand still where nobody does."""

from collections.abc import Callable, Mapping

import structlog
from nats.aio.client import Client

from adapters.nats.streams.stored_messages import settled_until
from adapters.nats.streams.work_takers import takings
from contracts import subjects
from contracts.subjects import Family, Subjects
from contracts.values.work import WorkType
from daemon.observability.metrics import Metrics
from daemon.outbox.relay import Relay
from handlers.effects import Context
from handlers.work.work_time import Look, keep_time
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_MICROS = 1_000_000


class WorkWatch:
    """Looks at the takers of every type of work."""

    def __init__(
        self,
        nc: Client,
        database: Database,
        names: Subjects,
        *,
        context: Callable[[], Context],
        relay: Relay,
        metrics: Metrics,
        interval_s: float,
    ) -> None:
        self._nc = nc
        self._database = database
        self._names = names
        self._context = context
        self._relay = relay
        self._metrics = metrics
        self.interval_s = interval_s

    async def step(self) -> None:
        """Look, unless another daemon just did. Raises as :meth:`look` does."""
        recent = self._context().now - int(self.interval_s / 2 * _MICROS)
        last = await self._database.read(lambda uow: uow.work_takers.get_all())
        if len(last) < len(WorkType) or any(row.observed_at < recent for row in last.values()):
            await self.look()

    async def look(self) -> Mapping[WorkType, Look]:
        """Look now, and set deadlines right.

        Raises :class:`adapters.errors.JetStreamError` where it cannot be known who takes work, and what storage raises.
        """
        on_wire = {work_type: self._names.full(subjects.work(work_type)) for work_type in WorkType}
        taken = await takings(self._nc, self._names.stream(Family.WORK), on_wire.values())
        seen = {work_type: (taken[subject].asked, taken[subject].active_at) for work_type, subject in on_wire.items()}
        context = self._context()

        def write(uow: UnitOfWork) -> Mapping[WorkType, Look]:
            return keep_time(seen, uow, context)

        looks = await self._database.write(write)
        self._relay.wake([self._names.stream(Family.EVENT)])
        for work_type, found in looks.items():
            self._metrics.work_in_hand.labels(work_type).set(found.in_hand)
            self._metrics.work_not_taken.labels(work_type).set(found.idle_since is not None)
        return looks

    async def heard_until(self) -> int | None:
        """The moment up to which all callbacks have been read; None: now. Raises like :meth:`look`."""
        return await settled_until(self._nc, self._names.stream(Family.CALLBACK), self._names.consumer(Family.CALLBACK))
