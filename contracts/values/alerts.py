"""The words of alerts: how bad, where in their life, and what moves them."""

from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. Ordered by :attr:`rank`, not by the word."""

    OK = "ok"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def rank(self) -> int:
        """0 for ok, 1 for warning, 2 for critical: the value of the metric."""
        return _RANKS[self]


_RANKS = {severity: rank for rank, severity in enumerate(Severity)}


class Lifecycle(StrEnum):
    """Whether somebody is to be told of it."""

    ACTIVE = "active"
    SUPPRESSED = "suppressed"
    RESOLVED = "resolved"


class AlertSignal(StrEnum):
    """What moves an alert; the ``what`` of its history."""

    WARNING_RAISED = "warning_raised"
    CRITICAL_RAISED = "critical_raised"
    EASED = "eased"
    CLEARED = "cleared"
    SUPPRESSED = "suppressed"
    SUPPRESSION_ENDED = "suppression_ended"
    ACKNOWLEDGED = "acknowledged"
    RESOLVED = "resolved"
    RULE_CHANGED = "rule_changed"


class NoticeAction(StrEnum):
    """What a notifier is asked to do about an alert."""

    TRIGGER = "trigger"
    ACKNOWLEDGE = "acknowledge"
    RESOLVE = "resolve"


class NoticeState(StrEnum):
    """What became of a notification."""

    PENDING = "pending"
    SENT = "sent"
    GIVEN_UP = "given_up"
