"""Alerts as they are stored: rules, state, steps, notifications."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple, Protocol

import orjson
from sqlalchemy import Connection, Row, Select, Update, bindparam, literal_column, select, update

from contracts.errors import JsonObject
from contracts.values.alerts import AlertSignal, Lifecycle, NoticeAction, NoticeState, Severity
from domain.alerts.alert_states import Standing
from domain.alerts.alerts import Alert, AlertRule, Transition
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.tables.alerts import alert_notifications, alert_rules, alert_state, alert_transitions


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


_RULE_COLUMNS: Final = ("rule", "warning", "critical", "window_s", "cooldown_s", "resolve_after_s")
_STATE_COLUMNS: Final = (
    *("rule", "severity", "lifecycle_state", "value", "since", "evaluated_at"),
    *("below_critical_since", "below_warning_since", "acknowledged_by", "acknowledged_at"),
    *("suppressed_until", "suppressed_by", "suppression_reason"),
    *("told_severity", "raised_severity", "raised_at", "version"),
)
_TRANSITION_COLUMNS: Final = (
    *("transition_id", "rule", "version", "what", "at", "from_severity", "from_lifecycle", "severity"),
    *("lifecycle_state", "value", "actor", "reason", "until", "facts"),
)
_NOTIFICATION_COLUMNS: Final = (
    *("transition_id", "notifier", "rule", "action", "severity", "state", "attempts", "failure"),
    *("created_at", "updated_at"),
)


class SqlAlertRepository:
    """``alert_rules``, ``alert_state``, ``alert_transitions`` and ``alert_notifications``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def rules(self) -> Mapping[str, AlertRule]:
        return {row.rule: AlertRule(*row) for row in self._connection.execute(_RULES)}

    def put_rules(self, rules: Sequence[AlertRule], *, now: int) -> None:
        if rules:
            rows = [(*(getattr(rule, name) for name in _RULE_COLUMNS), now) for rule in rules]
            execute_change(self._connection, _put_rules(self._dialect), as_parameter(rows))

    def add(self, alerts: Sequence[Alert]) -> None:
        if alerts:
            execute_change(self._connection, _add_state(self._dialect), as_parameter(map(_state_row, alerts)))

    def lock(self) -> Mapping[str, Alert]:
        return {row.rule: _alert(row) for row in self._connection.execute(_STATE.with_for_update())}

    def all(self) -> Sequence[Alert]:
        return [_alert(row) for row in self._connection.execute(_STATE)]

    def get(self, rule: str) -> Alert | None:
        row = self._connection.execute(_STATE_OF, {"of_rule": rule}).one_or_none()
        return None if row is None else _alert(row)

    def store(self, alerts: Sequence[Alert]) -> None:
        if alerts:
            rows = sorted((_state_row(alert) for alert in alerts), key=lambda row: str(row[0]))
            execute_change(self._connection, _store_state(self._dialect), as_parameter(rows))

    def add_transitions(self, transitions: Sequence[StoredTransition]) -> None:
        if transitions:
            rows = [_transition_row(stored) for stored in transitions]
            execute_change(self._connection, _add_transitions(self._dialect), as_parameter(rows))

    def history(self, rule: str, *, before: TransitionMark | None = None, limit: int) -> Sequence[StoredTransition]:
        statement = _HISTORY if before is None else _HISTORY.where(alert_transitions.c.version < before.version)
        rows = self._connection.execute(statement, {"of_rule": rule, "limit": limit})
        return [_transition(row) for row in rows]

    def last_transition(self, rule: str) -> StoredTransition | None:
        found = self.history(rule, limit=1)
        return found[0] if found else None

    def transition(self, transition_id: str) -> StoredTransition | None:
        row = self._connection.execute(_TRANSITION, {"wanted": transition_id}).one_or_none()
        return None if row is None else _transition(row)

    def add_notifications(self, notifications: Sequence[Notification]) -> None:
        if notifications:
            rows = [tuple(getattr(each, name) for name in _NOTIFICATION_COLUMNS) for each in notifications]
            execute_change(self._connection, _add_notifications(self._dialect), as_parameter(rows))

    def notification(self, key: NotificationKey) -> Notification | None:
        row = self._connection.execute(_NOTIFICATION, _named(key)).one_or_none()
        return None if row is None else _notification(row)

    def notifications_of(self, transition_ids: Sequence[str]) -> Mapping[str, Sequence[Notification]]:
        found: defaultdict[str, list[Notification]] = defaultdict(list)
        if transition_ids:
            asked = as_parameter([(transition_id,) for transition_id in transition_ids])
            for row in self._connection.execute(_notifications_of(self._dialect), asked):
                found[row.transition_id].append(_notification(row))
        return found

    def record_attempt(self, key: NotificationKey, *, state: NoticeState, failure: str | None, now: int) -> bool:
        values = {**_named(key), "new_state": state, "new_failure": failure, "now": now}
        return self._connection.execute(_ATTEMPTED, values).rowcount == 1


def _state_row(alert: Alert) -> tuple[Any, ...]:
    return (
        *(alert.rule, alert.severity, alert.lifecycle, alert.value, alert.since, alert.evaluated_at),
        *(alert.below_critical_since, alert.below_warning_since, alert.acknowledged_by, alert.acknowledged_at),
        *(alert.suppressed_until, alert.suppressed_by, alert.suppression_reason),
        *(alert.told_severity, alert.raised_severity, alert.raised_at, alert.version),
    )


def _alert(row: Row[*tuple[Any, ...]]) -> Alert:
    stored = dict(row._mapping)  # noqa: SLF001 - the name keeps clear of columns, it is not private
    return Alert(
        severity=Severity(stored.pop("severity")),
        lifecycle=Lifecycle(stored.pop("lifecycle_state")),
        told_severity=Severity(stored.pop("told_severity")),
        raised_severity=Severity(stored.pop("raised_severity")),
        **stored,
    )


def _transition_row(stored: StoredTransition) -> tuple[Any, ...]:
    step = stored.step
    return (
        *(stored.transition_id, step.rule, step.version, step.what, step.at),
        *(*step.before, *step.after, step.value, step.actor, step.reason, step.until),
        orjson.dumps(stored.facts).decode(),
    )


def _transition(row: Row[*tuple[Any, ...]]) -> StoredTransition:
    step = Transition(
        row.rule,
        row.version,
        AlertSignal(row.what),
        row.at,
        Standing(Severity(row.from_severity), Lifecycle(row.from_lifecycle)),
        Standing(Severity(row.severity), Lifecycle(row.lifecycle_state)),
        row.value,
        row.actor,
        row.reason,
        row.until,
    )
    return StoredTransition(row.transition_id, step, orjson.loads(row.facts))


def _named(key: NotificationKey) -> dict[str, str]:
    return {"of_transition": key.transition_id, "to_notifier": key.notifier}


def _notification(row: Row[*tuple[Any, ...]]) -> Notification:
    transition_id, notifier, rule, action, severity, state, *rest = row
    return Notification(
        transition_id, notifier, rule, NoticeAction(action), Severity(severity), NoticeState(state), *rest
    )


_RULES: Final = select(*(alert_rules.c[name] for name in _RULE_COLUMNS)).order_by(alert_rules.c.rule)
_STATE: Final = select(*(alert_state.c[name] for name in _STATE_COLUMNS)).order_by(alert_state.c.rule)
_STATE_OF: Final = _STATE.where(alert_state.c.rule == bindparam("of_rule"))
_TRANSITIONS: Final = select(*(alert_transitions.c[name] for name in _TRANSITION_COLUMNS))
_TRANSITION: Final = _TRANSITIONS.where(alert_transitions.c.transition_id == bindparam("wanted"))
_HISTORY: Final = (
    _TRANSITIONS.where(alert_transitions.c.rule == bindparam("of_rule"))
    .order_by(alert_transitions.c.version.desc())
    .limit(bindparam("limit"))
)
_NOTIFICATIONS: Final = select(*(alert_notifications.c[name] for name in _NOTIFICATION_COLUMNS))
_IS_NOTIFICATION: Final = (
    alert_notifications.c.transition_id == bindparam("of_transition"),
    alert_notifications.c.notifier == bindparam("to_notifier"),
)
_NOTIFICATION: Final = _NOTIFICATIONS.where(*_IS_NOTIFICATION)
_ATTEMPTED: Final = (
    update(alert_notifications)
    .where(*_IS_NOTIFICATION, alert_notifications.c.state == literal_column(f"'{NoticeState.PENDING}'"))
    .values(
        state=bindparam("new_state"),
        failure=bindparam("new_failure"),
        attempts=alert_notifications.c.attempts + 1,
        updated_at=bindparam("now"),
    )
)


@cache
def _put_rules(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, alert_rules, (*_RULE_COLUMNS, "updated_at"))
    changing = (*_RULE_COLUMNS[1:], "updated_at")
    return statement.on_conflict_do_update(
        index_elements=["rule"], set_={name: statement.excluded[name] for name in changing}
    )


@cache
def _add_state(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, alert_state, _STATE_COLUMNS).on_conflict_do_nothing(index_elements=["rule"])


@cache
def _store_state(dialect: str) -> Update:
    batch = BatchRows(dialect, alert_state, _STATE_COLUMNS)
    return (
        update(alert_state)
        .where(alert_state.c.rule == batch.cells["rule"])
        .values({name: batch.cells[name] for name in _STATE_COLUMNS[1:]})
    )


@cache
def _add_transitions(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, alert_transitions, _TRANSITION_COLUMNS)


@cache
def _add_notifications(dialect: str) -> UpsertInsert:
    statement = insert_rows(dialect, alert_notifications, _NOTIFICATION_COLUMNS)
    return statement.on_conflict_do_nothing(index_elements=["transition_id", "notifier"])


@cache
def _notifications_of(dialect: str) -> Select[*tuple[Any, ...]]:
    these = BatchRows(dialect, alert_notifications, ("transition_id",)).contains
    return _NOTIFICATIONS.where(these).order_by(alert_notifications.c.transition_id, alert_notifications.c.notifier)
