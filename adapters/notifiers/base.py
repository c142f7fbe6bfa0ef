"""What a notifier is given, and how telling it may end."""

from dataclasses import dataclass, field
from typing import Protocol, TypeAlias

from contracts.errors import JsonObject
from contracts.values.alerts import NoticeAction, Severity


@dataclass(frozen=True, slots=True)
class AlertMessage:
    """What there is to tell of one step of an alert.

    ``message_id`` is the step: the same whenever it is sent again. ``incident`` is the same for all steps of a rule.
    ``link`` leads to the console, where there is one.
    """

    message_id: str
    incident: str
    rule: str
    action: NoticeAction
    severity: Severity
    summary: str
    at: str
    details: JsonObject = field(default_factory=dict)
    link: str = ""


@dataclass(frozen=True, slots=True)
class Sent:
    """The other side has it."""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """It may have it or not; another try may do. ``after_s``: when the other side asked for one."""

    reason: str
    after_s: float | None = None


@dataclass(frozen=True, slots=True)
class Refused:
    """It will not take this, however often."""

    reason: str


SendOutcome: TypeAlias = Sent | TryAgain | Refused


class Notifier(Protocol):
    """Tells somebody, who may live on another host."""

    async def send(self, message: AlertMessage) -> SendOutcome:
        """One try, which ends within seconds and never raises for what the other side or the network does."""
        ...

    async def close(self) -> None: ...
