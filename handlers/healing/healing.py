"""What self-healing looks for, and what it does about it: one :class:`Healer` for each sort of thing.

A healer finds candidates from one snapshot and heals some of them in one transaction, in which it judges them anew:
what has got its result meanwhile is left alone. Adding one is a line in :data:`HEALERS`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias

from contracts.values.times import MICROS_PER_SECOND
from contracts.values.work import WorkType
from domain.alerts.signals import Counted
from domain.jobs import job_commands
from domain.work.work import Overdue
from handlers.alerts.counting import gave_up
from handlers.content.items import ItemRecorder
from handlers.content.publications import PublicationRecorder
from handlers.documents.tasks.task_healing import heal_tasks
from handlers.effects import Context, Fact
from handlers.jobs.job_recorder import JobRecorder
from handlers.replays.replays import open_stuck
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work import SubjectKind

_DUE_FOR: Final = 5 * MICROS_PER_SECOND
"""What is due for less is about to be handed out by the loop that does only that."""
_WITHOUT_LEASE: Final = 60 * MICROS_PER_SECOND
"""A daemon has its lease soon after its start: rows of one that has none are left over only when they are older."""
_DAEMON_LEASES: Final = "daemon."


@dataclass(frozen=True, slots=True)
class HealTerms:
    """``threshold_s`` is the age from which something without a result is stale, ``limit`` the most of each sort.

    ``heard_until`` is the moment up to which all that workers reported has been read (None: now): before it, silence is
    silence; after it, a report may be on its way.
    """

    threshold_s: float
    limit: int
    heard_until: int | None = None

    def silent_at(self, context: Context) -> int:
        """The moment at which deadlines are judged."""
        return context.now if self.heard_until is None else min(context.now, self.heard_until)


@dataclass(slots=True)
class Healed:
    """What was done about some candidates."""

    republished: int = 0
    given_up: int = 0
    messages: list[OutboxMessage] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    counted: list[Counted] = field(default_factory=list)
    """What alert rules count of it."""


class Find(Protocol):
    """The ids of candidates, and for how many things each stands."""

    def __call__(self, uow: UnitOfWork, context: Context, terms: HealTerms) -> Mapping[str, int]: ...


Heal: TypeAlias = Callable[[Sequence[str], UnitOfWork, Context, HealTerms], Healed]
"""Judges candidates anew under lock and heals those that still need it; the caller puts the messages in line."""


@dataclass(frozen=True, slots=True)
class Healer:
    """``timed`` healers go by deadlines: they rest while it is not known whether the time of work runs."""

    what: str
    find: Find
    heal: Heal
    timed: bool = False


def overdue(kind: SubjectKind) -> Find:
    """Finds the subjects of a kind whose work is past its deadline."""

    def find(uow: UnitOfWork, context: Context, terms: HealTerms) -> Mapping[str, int]:
        rows = uow.work.overdue(now=terms.silent_at(context), limit=terms.limit, kinds=[kind])
        return {row.subject_id: 1 for row in rows}

    return find


def note(healed: Healed, what: str, subject_id: str, ruling: Overdue) -> None:
    """Count one ruling; what is given up is counted for the alert ``work_given_up`` too."""
    if ruling is Overdue.AGAIN:
        healed.republished += 1
    elif ruling is Overdue.GIVE_UP:
        healed.given_up += 1
        healed.counted.append(gave_up(what, subject_id))


def _stale_items(uow: UnitOfWork, context: Context, terms: HealTerms) -> Mapping[str, int]:
    at = terms.silent_at(context)
    since = at - round(terms.threshold_s * MICROS_PER_SECOND)
    silent = uow.work.silent(WorkType.ITEM_ANALYSE, since=since, limit=terms.limit)
    late = uow.work.overdue(now=at, limit=terms.limit, kinds=[SubjectKind.ITEM])
    found = dict.fromkeys((row.subject_id for row in [*silent, *late]), 1)
    return dict(list(found.items())[: terms.limit])


def _heal_items(ids: Sequence[str], uow: UnitOfWork, context: Context, terms: HealTerms) -> Healed:
    recorder, healed = ItemRecorder(ids, uow, context), Healed()
    for item_id in ids:
        note(healed, "items", item_id, recorder.heal(item_id, threshold_s=terms.threshold_s))
    healed.messages += recorder.write()
    return healed


def _heal_overdue_publications(ids: Sequence[str], uow: UnitOfWork, context: Context, _: HealTerms) -> Healed:
    recorder, healed = PublicationRecorder.locked(ids, uow, context), Healed()
    for post_id in ids:
        note(healed, "publications", post_id, recorder.heal(post_id))
    healed.messages += recorder.write()
    return healed


def _forgotten_publications(uow: UnitOfWork, context: Context, terms: HealTerms) -> Mapping[str, int]:
    return dict.fromkeys(uow.publications.due_since(context.now - _DUE_FOR, limit=terms.limit), 1)


def _send_forgotten_publications(ids: Sequence[str], uow: UnitOfWork, context: Context, _: HealTerms) -> Healed:
    recorder = PublicationRecorder.locked(ids, uow, context)
    sent = sum(recorder.dispatch(post_id) for post_id in ids)
    return Healed(republished=sent, messages=recorder.write())


def _left_over_outboxes(uow: UnitOfWork, context: Context, terms: HealTerms) -> Mapping[str, int]:
    """Rows of daemons that are gone: their lease has run out, or they have none and wrote long ago."""
    leases = uow.leases.holders(_DAEMON_LEASES)
    gone: dict[str, int] = {}
    for waiting in uow.outbox.waiting_by_owner():
        in_force = leases.get(_DAEMON_LEASES + waiting.owner)
        old = waiting.oldest_at < context.now - _WITHOUT_LEASE
        if waiting.owner != context.daemon_id and (in_force is False or (in_force is None and old)):
            gone[waiting.owner] = waiting.rows
    return dict(list(gone.items())[: terms.limit])


def _adopt_outboxes(ids: Sequence[str], uow: UnitOfWork, context: Context, terms: HealTerms) -> Healed:
    gone = _left_over_outboxes(uow, context, terms)
    adopted = uow.outbox.adopt(owners=[owner for owner in ids if owner in gone], new_owner=context.daemon_id)
    return Healed(republished=adopted)


def _heal_jobs(ids: Sequence[str], uow: UnitOfWork, context: Context, _: HealTerms) -> Healed:
    jobs, writer, healed = uow.jobs.locked(sorted(ids)), JobRecorder(uow, context), Healed()
    work = uow.work.get_many(sorted(job.work.work_id for job in jobs.values() if job.work is not None))
    for job in jobs.values():
        if job.work is None:
            continue
        decision = job_commands.overdue(
            job,
            at=context.now,
            deadline_s=context.work.deadline_s[job.work.type],
            max_attempts=context.work.max_attempts,
        )
        if decision.changed:
            writer.take(job, decision, work[job.work.work_id].trace_id)
            ruling = Overdue.GIVE_UP if decision.dispatch is None else Overdue.AGAIN
            note(healed, "jobs", job.job_id, ruling)
    healed.messages += writer.write()
    healed.facts += writer.facts
    return healed


def _heal_tasks(ids: Sequence[str], uow: UnitOfWork, context: Context, _: HealTerms) -> Healed:
    healed = Healed()
    done, messages = heal_tasks(ids, uow, context)
    for each in done:
        note(healed, "tasks", each.task_id, each.ruling)
    healed.messages += messages
    return healed


def _stuck_replays(uow: UnitOfWork, context: Context, terms: HealTerms) -> Mapping[str, int]:
    since = context.now - round(terms.threshold_s * MICROS_PER_SECOND)
    return {stuck.dead_letter_id: 1 for stuck in uow.replays.stuck(since=since, limit=terms.limit)}


def _open_stuck_replays(ids: Sequence[str], uow: UnitOfWork, context: Context, terms: HealTerms) -> Healed:
    """They are open for the next replay; one whose outcome is unknown is not sent twice."""
    since = context.now - round(terms.threshold_s * MICROS_PER_SECOND)
    return Healed(given_up=open_stuck(uow, context, since=since, limit=len(ids)))


HEALERS: Final[Sequence[Healer]] = (
    Healer("items", _stale_items, _heal_items, timed=True),
    Healer("jobs", overdue(SubjectKind.JOB), _heal_jobs, timed=True),
    Healer("tasks", overdue(SubjectKind.TASK), _heal_tasks, timed=True),
    Healer("publications", overdue(SubjectKind.PUBLICATION), _heal_overdue_publications, timed=True),
    Healer("publications_due", _forgotten_publications, _send_forgotten_publications),
    Healer("outbox", _left_over_outboxes, _adopt_outboxes),
    Healer("dead_letters", _stuck_replays, _open_stuck_replays),
)
