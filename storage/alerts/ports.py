"""What handlers may ask about alerts. They know these protocols, never the tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from contracts.errors import JsonObject
from contracts.values.alerts import NoticeAction, NoticeState, Severity
from domain.alerts.alerts import Alert, AlertRule, Transition
from domain.alerts.signals import MinuteCount


@dataclass(frozen=True, slots=True)
class StoredTransition:
    """A step as it is kept, with what the reading was made of."""

    transition_id: str
    step: Transition
    facts: JsonObject


class TransitionMark(NamedTuple):
    """By what the history of a rule is ordered."""

    version: int


@dataclass(frozen=True, slots=True)
class Notification:
    """What one notifier is told of one step, and what became of that."""

    transition_id: str
    notifier: str
    rule: str
    action: NoticeAction
    severity: Severity
    state: NoticeState
    attempts: int
    failure: str | None
    created_at: int
    updated_at: int


class NotificationKey(NamedTuple):
    """What a notification is known by."""

    transition_id: str
    notifier: str


class AlertRepository(Protocol):
    """Rules, how each alert stands, its history, and what notifiers were told."""

    def rules(self) -> Mapping[str, AlertRule]: ...

    def put_rules(self, rules: Sequence[AlertRule], *, now: int) -> None:
        """Keep *rules*, in place of those of the same names."""
        ...

    def add(self, alerts: Sequence[Alert]) -> None:
        """Keep those of rules that have none yet."""
        ...

    def lock(self) -> Mapping[str, Alert]:
        """All alerts, kept from others until the transaction ends."""
        ...

    def all(self) -> Sequence[Alert]:
        """All alerts by rule."""
        ...

    def get(self, rule: str) -> Alert | None: ...

    def store(self, alerts: Sequence[Alert]) -> None: ...

    def add_transitions(self, transitions: Sequence[StoredTransition]) -> None: ...

    def history(self, rule: str, *, before: TransitionMark | None = None, limit: int) -> Sequence[StoredTransition]:
        """The steps of a rule, newest first, from the one after *before* on."""
        ...

    def last_transition(self, rule: str) -> StoredTransition | None: ...

    def transition(self, transition_id: str) -> StoredTransition | None: ...

    def add_notifications(self, notifications: Sequence[Notification]) -> None:
        """Keep those that are new."""
        ...

    def notification(self, key: NotificationKey) -> Notification | None: ...

    def notifications_of(self, transition_ids: Sequence[str]) -> Mapping[str, Sequence[Notification]]:
        """By step: what each notifier was told of it, by name."""
        ...

    def record_attempt(self, key: NotificationKey, *, state: NoticeState, failure: str | None, now: int) -> bool:
        """Note what an attempt came to; False where the notification is not pending any more."""
        ...


class SignalCountRepository(Protocol):
    """What rules read instead of searching: counts by minute."""

    def add(self, counts: Sequence[MinuteCount]) -> None:
        """Add *counts*; there is one for each signal, minute and bucket."""
        ...

    def since(self, signals: Sequence[str], minute: int) -> Sequence[MinuteCount]:
        """The counts of *signals* from a minute on, oldest first."""
        ...


@dataclass(frozen=True, slots=True)
class DayCost:
    """What the usage of some days cost, as far as is known, and how many requests have no cost."""

    usd_micros: float
    missing_count: int


class AlertReadings(Protocol):
    """The figures that rules read beside counts: each is served by a key or an index."""

    def cost_of_days(self, first: str, last: str) -> DayCost:
        """The cost of usage on the days from *first* to *last*, both included (``YYYY-MM-DD``)."""
        ...

    def overdue_jobs(self, *, now: int, most: int) -> int:
        """How many jobs' work is past its deadline; *most* where there are more."""
        ...
