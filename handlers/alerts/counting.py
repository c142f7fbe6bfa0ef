"""What other families count for alert rules, in the transaction in which it happened."""

from collections.abc import Sequence

from domain.alerts.signals import GAVE_UP, JOB_DONE, JOB_FAILED, OUTBOX_REFUSED, Counted, add_up
from domain.ledger.percentiles import bucket_of
from handlers.effects import Context
from storage.unit_of_work import UnitOfWork

_MICROS_PER_MS = 1_000


def job_ended(job_id: str, *, started_at: int, failed: bool, context: Context) -> Counted:
    """Work for a job that ended: how, and the class of its runtime from its first dispatch on."""
    runtime_ms = max(0, context.now - started_at) // _MICROS_PER_MS
    return Counted(JOB_FAILED if failed else JOB_DONE, bucket_of(runtime_ms), f"job {job_id}")


def gave_up(what: str, subject_id: str) -> Counted:
    """Something that healing gave up on."""
    return Counted(GAVE_UP, name=f"{what} {subject_id}")


def outbox_refused(lane: str, message_id: str, reason: str) -> Counted:
    """A message that its stream refused for good."""
    return Counted(OUTBOX_REFUSED, name=f"{lane} {message_id}: {reason}")


def count(happened: Sequence[Counted], uow: UnitOfWork, context: Context) -> None:
    """Add to the counts of this minute. The last write of its transaction: all daemons count in the same rows."""
    uow.signal_counts.add(add_up(happened, context.now))
