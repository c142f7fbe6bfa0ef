"""Which notifier is told what: each hears of what reaches its severity, and of the end of what it heard of."""

from dataclasses import dataclass

from contracts.values.alerts import NoticeAction, Severity
from domain.alerts.alerts import Notice


@dataclass(frozen=True, slots=True)
class NotifierTerms:
    """A notifier by its name, and from which severity on it is told."""

    name: str
    min_severity: Severity


def action_for(notifier: NotifierTerms, notice: Notice) -> NoticeAction | None:
    """What the notifier is asked to do; None where it is nothing to it."""
    least = notifier.min_severity.rank
    heard = notice.known.rank >= least
    if notice.action is NoticeAction.TRIGGER and notice.severity.rank >= least:
        return NoticeAction.TRIGGER
    if not heard:
        return None
    # What fell below its severity is over for it.
    return NoticeAction.ACKNOWLEDGE if notice.action is NoticeAction.ACKNOWLEDGE else NoticeAction.RESOLVE
