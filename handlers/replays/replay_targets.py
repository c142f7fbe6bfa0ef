"""What can be replayed, and how: one target for each sort of thing.

A target selects what failed, in portions and in a stable order, and replays some of it inside the caller's transaction.
What it cannot replay it skips with a reason. Adding one is a line in :data:`TARGETS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple, Protocol, TypeAlias

from contracts.payloads.operations.failures import LetterSelection, Target
from contracts.values.states import ItemState, JobState, LetterState, PublicationState, TaskState
from contracts.values.work import WorkType
from domain.dead_letters.dead_letters import ReplayOutcome, Skipped, skipped_because
from handlers.content.items import ItemRecorder
from handlers.content.publications import PublicationRecorder
from handlers.dead_letters.selections import UNFINISHED, letter_filter
from handlers.documents.tasks.task_healing import TaskReplays
from handlers.effects import Context
from handlers.jobs.job_replays import JobRetries
from handlers.replays.replays import TOO_LARGE, message_of
from storage.journal.dead_letter_catalog import Mark
from storage.journal.outbox import OutboxMessage
from storage.journal.replay_runs import ReplayItem
from storage.journal.replays import DEAD_LETTERS
from storage.unit_of_work import UnitOfWork
from storage.work.failed_work import Failed, FailedThings

_HEADERS_ROOM: Final = 2_048
_MOST_BYTES: Final = 8 * 2**20
"""Bodies in one transaction, and so in memory."""


class Selected(NamedTuple):
    """A portion of a selection; ``after`` is where the next one begins, None where there is none."""

    ids: Sequence[str]
    after: Mark | None


class Holder(NamedTuple):
    """The run in whose name things are replayed."""

    run_id: str
    principal: str


@dataclass(slots=True)
class ReplayBatch:
    """What became of some items: in flight (a number, no outcome), decided at once, or not looked at yet (absent)."""

    items: list[ReplayItem] = field(default_factory=list)
    messages: list[OutboxMessage] = field(default_factory=list)


class ReplayTarget(Protocol):
    """A sort of thing that can be replayed; ``name`` stands at its items."""

    name: str

    def select(
        self, wanted: LetterSelection, uow: UnitOfWork, *, until: int, after: Mark | None, limit: int
    ) -> Selected:
        """What is meant of what failed before *until*; where ids are wanted, those that there are, failed or not."""
        ...

    def preview(self, ids: Sequence[str], uow: UnitOfWork) -> list[ReplayItem]:
        """What a replay would make of *ids*: skipped, for a reason of their own or because nothing was to be done."""
        ...

    def replay(self, ids: Sequence[str], holder: Holder, uow: UnitOfWork, context: Context) -> ReplayBatch:
        """Replay *ids*, the first ones at least."""
        ...


class DeadLetterTarget:
    """Dead letters go out again and pass the gate; what comes of it is heard later."""

    name = DEAD_LETTERS

    def select(
        self, wanted: LetterSelection, uow: UnitOfWork, *, until: int, after: Mark | None, limit: int
    ) -> Selected:
        # What is wanted by its id is told of, whatever its state.
        filtered = letter_filter(wanted, states=() if wanted.ids else UNFINISHED, until=until)
        marks = uow.dead_letter_catalog.marks(filtered, after=after, limit=limit)
        return Selected([dead_letter_id for _, dead_letter_id in marks], marks[-1] if len(marks) == limit else None)

    def preview(self, ids: Sequence[str], uow: UnitOfWork) -> list[ReplayItem]:
        states = uow.replays.states(ids)
        items: list[ReplayItem] = []
        for dead_letter_id in ids:
            state, number = states.get(dead_letter_id, (None, None))
            why = Skipped.DRY_RUN if state is LetterState.OPEN else skipped_because(state)
            items.append(ReplayItem(self.name, dead_letter_id, number, ReplayOutcome.SKIPPED, why))
        return items

    def replay(self, ids: Sequence[str], holder: Holder, uow: UnitOfWork, context: Context) -> ReplayBatch:
        sizes = uow.replays.sizes(ids)
        chosen = _within(ids, sizes, _MOST_BYTES)
        small = [each for each in chosen if sizes.get(each, 0) + _HEADERS_ROOM <= context.max_message_bytes]
        begun = uow.replays.begin(small, run_id=holder.run_id, principal=holder.principal, now=context.now)
        sent = ReplayBatch(messages=[message_of(each, each.body, holder.run_id, context) for each in begun])
        sent.items = [ReplayItem(self.name, each.dead_letter_id, each.replay_number, None, None) for each in begun]
        sent.items += self._left_alone(set(chosen) - {each.dead_letter_id for each in begun}, set(small), uow)
        return sent

    def _left_alone(self, ids: set[str], small: set[str], uow: UnitOfWork) -> list[ReplayItem]:
        states = uow.replays.states(sorted(ids))
        items: list[ReplayItem] = []
        for dead_letter_id in sorted(ids):
            state, number = states.get(dead_letter_id, (None, None))
            if state is LetterState.OPEN and dead_letter_id not in small:
                outcome, why = ReplayOutcome.STILL_FAILED, str(TOO_LARGE.code)
            else:
                outcome, why = ReplayOutcome.SKIPPED, str(skipped_because(state))
            items.append(ReplayItem(self.name, dead_letter_id, number, outcome, why))
        return items


def _within(ids: Sequence[str], sizes: Mapping[str, int], most_bytes: int) -> list[str]:
    """The first of *ids* whose bodies fit together; the first one in any case."""
    chosen: list[str] = []
    room = most_bytes
    for each in ids:
        room -= sizes.get(each, 0)
        if chosen and room < 0:
            break
        chosen.append(each)
    return chosen


class Replayer(Protocol):
    """Decides on things of one sort in one transaction."""

    def replay(self, thing_id: str, /) -> bool: ...
    def write(self) -> list[OutboxMessage]: ...


OpenDesk: TypeAlias = Callable[[Sequence[str], UnitOfWork, Context], Replayer]
List: TypeAlias = Callable[[FailedThings, str | None, int], list[Failed]]
Find: TypeAlias = Callable[[FailedThings, Sequence[str]], list[Failed]]


class FailedTarget:
    """Things that failed for good: their replay is taken at once, in the transaction that asks for it."""

    def __init__(self, name: str, kind: str, failed: str, find: Find, listed: List, recorder: OpenDesk) -> None:
        self.name = name
        self._kind = kind
        self._failed = failed
        self._find = find
        self._list = listed
        self._desk = recorder

    def select(
        self, wanted: LetterSelection, uow: UnitOfWork, *, until: int, after: Mark | None, limit: int
    ) -> Selected:
        if _is_of_letters(wanted) or (wanted.kinds and self._kind not in wanted.kinds):
            return Selected([], None)
        things = uow.failed_things
        rows = self._find(things, wanted.ids) if wanted.ids else self._list(things, after and after[1], limit)
        more = not wanted.ids and len(rows) == limit
        return Selected([row.id for row in rows if _is_wanted(row, wanted, until)], (0, rows[-1].id) if more else None)

    def preview(self, ids: Sequence[str], uow: UnitOfWork) -> list[ReplayItem]:
        return [
            ReplayItem(self.name, row.id, row.attempt, ReplayOutcome.SKIPPED, self._preview_of(row))
            for row in self._find(uow.failed_things, ids)
        ]

    def replay(self, ids: Sequence[str], holder: Holder, uow: UnitOfWork, context: Context) -> ReplayBatch:  # noqa: ARG002 - the target's shape
        recorder = self._desk(ids, uow, context)
        known = {row.id: row for row in self._find(uow.failed_things, ids)}
        sent = ReplayBatch()
        for each in ids:
            row = known.get(each)
            number = None if row is None else row.attempt
            if row is not None and recorder.replay(each):
                sent.items.append(ReplayItem(self.name, each, number, ReplayOutcome.REPLAYED, None))
            else:
                why = Skipped.NOT_FOUND if row is None else Skipped.ALREADY_REPLAYED
                sent.items.append(ReplayItem(self.name, each, number, ReplayOutcome.SKIPPED, why))
        sent.messages = recorder.write()
        return sent

    def _preview_of(self, row: Failed) -> Skipped:
        return Skipped.DRY_RUN if row.status == self._failed else Skipped.ALREADY_REPLAYED


def _is_of_letters(wanted: LetterSelection) -> bool:
    """Whether a filter names what only dead letters have."""
    return any((wanted.states, wanted.paths, wanted.message_ids, wanted.trace_ids))


def _is_wanted(row: Failed, wanted: LetterSelection, until: int) -> bool:
    if row.id in (wanted.except_ids or ()):
        return False
    if wanted.codes:
        failure = row.failure
        if failure is None or failure.code not in wanted.codes:
            return False
    if wanted.producers and row.producer not in wanted.producers:
        return False
    last = until if wanted.until is None else min(until, wanted.until)
    return (wanted.since is None or row.updated_at >= wanted.since) and row.updated_at < last


_ITEMS: Final = FailedTarget(
    "work.item",
    WorkType.ITEM_ANALYSE,
    ItemState.FAILED,
    FailedThings.items_of,
    lambda things, after, limit: things.items(after=after, limit=limit),
    ItemRecorder,
)
_PUBLICATIONS: Final = FailedTarget(
    "publications",
    WorkType.PUBLISH,
    PublicationState.FAILED,
    FailedThings.publications_of,
    lambda things, after, limit: things.publications(after=after, limit=limit),
    PublicationRecorder.locked,
)

_JOBS: Final = FailedTarget(
    "work.job",
    WorkType.JOB_PROCESS,
    JobState.FAILED,
    FailedThings.jobs_of,
    lambda things, after, limit: things.jobs(after=after, limit=limit),
    JobRetries,
)


def _tasks(work_type: WorkType) -> FailedTarget:
    return FailedTarget(
        f"work.{work_type}",
        work_type,
        TaskState.FAILED,
        lambda things, ids: things.tasks_of(work_type, ids),
        lambda things, after, limit: things.tasks(work_type, after=after, limit=limit),
        TaskReplays,
    )


_REGENERATIONS: Final = _tasks(WorkType.INSTRUCTION_REGENERATE)
_EXTRACTIONS: Final = _tasks(WorkType.SCREENSHOT_EXTRACT)

TARGETS: Final[Mapping[Target, Sequence[ReplayTarget]]] = MappingProxyType(
    {
        Target.DEAD_LETTERS: (DeadLetterTarget(),),
        Target.PUBLICATIONS: (_PUBLICATIONS,),
        Target.WORK: (_ITEMS, _JOBS, _REGENERATIONS, _EXTRACTIONS),
    }
)
BY_NAME: Final[Mapping[str, ReplayTarget]] = MappingProxyType(
    {target.name: target for targets in TARGETS.values() for target in targets}
)
AT_ONCE: Final = 2_000
"""Items selected in one transaction."""
