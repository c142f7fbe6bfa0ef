"""What becomes of work in one transaction, whatever bears it: collected as it is decided, written in sets."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final, TypeVar

from domain.alerts.signals import Counted
from domain.work.work import Failure, WorkChange
from handlers.alerts.counting import count, job_ended
from handlers.effects import Context, Fact, FactName
from handlers.work import dispatch as work
from storage.unit_of_work import UnitOfWork
from storage.work.work import SubjectKind, WorkRecord

F = TypeVar("F", bound=Failure | None)
_MICROS: Final = 1_000_000


class WorkWriter:
    """Ends, keeps alive, gives up and withdraws work. What goes out is handed out by whoever knows what it needs."""

    def __init__(self, uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        self._context = context
        self._out: set[str] = set()
        self._ended: dict[str, Failure | None] = {}
        self._alive: set[str] = set()
        self._withdrawn: set[str] = set()
        self._given_up: dict[str, Failure] = {}
        self._counted: list[Counted] = []
        self.facts: list[Fact] = []

    @property
    def withdraws(self) -> bool:
        """Whether messages are to leave the queue although nothing goes in."""
        return bool(self._withdrawn)

    def follow(self, change: WorkChange) -> None:
        """Take over what a decision did to work."""
        before, after = change.before, change.after
        if change.dispatch is not None:
            self._out.add(change.dispatch.work_id)
        elif change.withdraw is not None:
            self._take_back(change.withdraw, change.error)
        elif before is not None and after is None:
            self._ended[before.work_id] = change.error
        elif before is not None and after is not None and before.deadline != after.deadline:
            self._alive.add(before.work_id)

    def goes_out(self, work_id: str) -> bool:
        """Whether the work is to be handed out: nothing called it back since."""
        return work_id in self._out

    def _take_back(self, work_id: str, error: Failure | None) -> None:
        if work_id in self._out:  # it never went out
            self._out.remove(work_id)
        elif error is None:
            self._withdrawn.add(work_id)
        else:
            self._given_up[work_id] = error

    def write(self) -> None:
        """Write what ended or goes on. Before anything is handed out: the same work may be among both."""
        uow, context = self._uow, self._context
        work.keep_alive([work_id for work_id in self._alive if work_id not in self._ended], uow, context)
        rows = uow.work.get_many(sorted({*self._ended, *self._given_up}))
        self._observe(rows)
        for failure, ids in _by_failure(self._ended.items()):
            work.finish([rows[work_id] for work_id in ids if work_id in rows], uow, context, failure=failure)
        for why, ids in _by_failure(self._given_up.items()):
            work.give_up(ids, why, uow, context)
        if self._withdrawn:
            work.withdraw(list(self._withdrawn), uow, context)
        count(self._counted, uow, context)

    def _observe(self, rows: Mapping[str, WorkRecord]) -> None:
        ended: dict[str, Failure | None] = {**self._ended, **self._given_up}
        for row in rows.values():
            failure = ended[row.work_id]
            if row.subject_kind == SubjectKind.JOB:
                ended_job = job_ended(
                    row.subject_id, started_at=row.created_at, failed=failure is not None, context=self._context
                )
                self._counted.append(ended_job)
            labels = {"work": row.type, "status": "done" if failure is None else "failed"}
            self.facts.append(
                Fact(FactName.JOB_DURATION_SECONDS, (self._context.now - row.created_at) / _MICROS, labels)
            )
        self.facts += [
            Fact(FactName.JOB_FAILURES, labels={"code": why.code}) for why in ended.values() if why is not None
        ]


def _by_failure(ended: Iterable[tuple[str, F]]) -> list[tuple[F, list[str]]]:
    groups: defaultdict[F, list[str]] = defaultdict(list)
    for work_id, failure in ended:
        groups[failure].append(work_id)
    return list(groups.items())
