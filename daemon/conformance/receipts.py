"""The receipts that a trial answers with, as the daemon would."""

from contracts import outgoing
from contracts.errors import Problem
from contracts.gate.delivery import Judged
from daemon.clock import new_id, now_micros


def receipt_of(judged: Judged, subject: str, good: tuple[int, str], found: Problem | None) -> bytes:
    """A refusal for what was *found*; without that *good*, its status and outcome."""
    status, outcome = good if found is None else (found.status, "refused")
    return outgoing.receipt(
        judged,
        subject=subject,
        status=status,
        outcome=outcome,
        error=None if found is None else found.as_json(),
        message_id=new_id(),
        trace_id=new_id(),
        now=now_micros(),
    )
