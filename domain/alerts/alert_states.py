"""The whole life of an alert, as one table over severity and lifecycle. A transition that is not a row does not exist.

An alert that is ok is resolved, unless it was suppressed ahead of time; one that is not ok is active or suppressed.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from contracts.values.alerts import AlertSignal, Lifecycle, Severity


class Standing(NamedTuple):
    """Where an alert is in its life."""

    severity: Severity
    lifecycle: Lifecycle


QUIET: Final = Standing(Severity.OK, Lifecycle.RESOLVED)
_WARNING: Final = Standing(Severity.WARNING, Lifecycle.ACTIVE)
_CRITICAL: Final = Standing(Severity.CRITICAL, Lifecycle.ACTIVE)
_SUPPRESSED_OK: Final = Standing(Severity.OK, Lifecycle.SUPPRESSED)
_SUPPRESSED_WARNING: Final = Standing(Severity.WARNING, Lifecycle.SUPPRESSED)
_SUPPRESSED_CRITICAL: Final = Standing(Severity.CRITICAL, Lifecycle.SUPPRESSED)

STANDINGS: Final = (QUIET, _WARNING, _CRITICAL, _SUPPRESSED_OK, _SUPPRESSED_WARNING, _SUPPRESSED_CRITICAL)
_NOT_SUPPRESSED: Final[Mapping[Standing, Standing]] = {
    _SUPPRESSED_OK: QUIET,
    _SUPPRESSED_WARNING: _WARNING,
    _SUPPRESSED_CRITICAL: _CRITICAL,
}

TRANSITIONS: Final[Mapping[tuple[Standing, AlertSignal], Standing]] = MappingProxyType(
    {
        (QUIET, AlertSignal.WARNING_RAISED): _WARNING,
        (QUIET, AlertSignal.CRITICAL_RAISED): _CRITICAL,
        (_WARNING, AlertSignal.CRITICAL_RAISED): _CRITICAL,
        (_WARNING, AlertSignal.CLEARED): QUIET,
        (_CRITICAL, AlertSignal.EASED): _WARNING,
        (_CRITICAL, AlertSignal.CLEARED): QUIET,
        (_SUPPRESSED_OK, AlertSignal.WARNING_RAISED): _SUPPRESSED_WARNING,
        (_SUPPRESSED_OK, AlertSignal.CRITICAL_RAISED): _SUPPRESSED_CRITICAL,
        (_SUPPRESSED_WARNING, AlertSignal.CRITICAL_RAISED): _SUPPRESSED_CRITICAL,
        (_SUPPRESSED_WARNING, AlertSignal.CLEARED): _SUPPRESSED_OK,
        (_SUPPRESSED_CRITICAL, AlertSignal.EASED): _SUPPRESSED_WARNING,
        (_SUPPRESSED_CRITICAL, AlertSignal.CLEARED): _SUPPRESSED_OK,
        # Operators: a suppression is renewed with another end, what is active is acknowledged, all else is resolved.
        (_WARNING, AlertSignal.ACKNOWLEDGED): _WARNING,
        (_CRITICAL, AlertSignal.ACKNOWLEDGED): _CRITICAL,
        **{(plain, AlertSignal.SUPPRESSED): silent for silent, plain in _NOT_SUPPRESSED.items()},
        **{(silent, AlertSignal.SUPPRESSED): silent for silent in _NOT_SUPPRESSED},
        **{(silent, AlertSignal.SUPPRESSION_ENDED): plain for silent, plain in _NOT_SUPPRESSED.items()},
        **{(standing, AlertSignal.RESOLVED): QUIET for standing in STANDINGS if standing != QUIET},
        **{(standing, AlertSignal.RULE_CHANGED): standing for standing in STANDINGS},
    }
)


def next_standing(standing: Standing, signal: AlertSignal) -> Standing | None:
    """Where the signal leads; None where it is not allowed."""
    return TRANSITIONS.get((standing, signal))


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    edges: dict[tuple[Standing, Standing], list[AlertSignal]] = {}
    for (standing, signal), target in TRANSITIONS.items():
        if signal is not AlertSignal.RULE_CHANGED:
            edges.setdefault((standing, target), []).append(signal)
    lines = ["stateDiagram-v2", f"    [*] --> {_name(QUIET)}"]
    lines += [f"    {_name(start)} --> {_name(end)}: {', '.join(why)}" for (start, end), why in edges.items()]
    return "\n".join(lines)


def _name(standing: Standing) -> str:
    return f"{standing.severity}_{standing.lifecycle}"
