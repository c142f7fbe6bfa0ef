"""Who may do what: the scope that each command needs, as a table, and whose messages a producer may send.

Whose a thing is, is not judged here: repositories look for it among the caller's own, and what they do not find is
:data:`NOT_FOUND`, the same for what is absent and for what is another's.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from contracts.errors import ErrorCode, Problem, problem
from contracts.values.principals import Principal, Scope

_JOBS_READ: Final = (
    *("project.get", "project.list"),
    *("job.get", "job.list", "job.transcript", "job.storyboard", "job.history"),
    *("task.get", "instruction.get", "anchor.list", "anchor.get", "asset.get", "export.get"),
)
_JOBS_WRITE: Final = (
    "project.create",
    *("job.create", "job.confirm-upload", "job.run", "job.approve", "job.render", "job.cancel", "job.retry"),
    *("instruction.put", "instruction.regenerate", "screenshot.extract"),
    *("anchor.create", "anchor.attach", "anchor.detach", "anchor.replace", "anchor.annotate"),
    *("asset.begin-upload", "asset.confirm-upload", "asset.delete", "export.create"),
)
_OPS_READ: Final = (
    *("ledger.list", "ledger.get", "analytics.usage", "analytics.performance", "alert.list", "alert.get"),
    *("item.get", "item.list", "idea.get", "idea.list", "script.get", "script.list"),
    *("publication.get", "publication.list"),
    *("health-check", "console-link", "replay-status", "dead-letters", "explain", "kpi-report", "runs", "alerts"),
    *("system-status", "logs", "find", "jobs"),
)
_OPS_WRITE: Final = (
    "publication.cancel",
    *("replay-failed", "replay-abort", "self-heal", "import-legacy", "control"),
    *("prune", "rebuild-aggregates", "backup"),
)

FREE: Final = frozenset({"about"})
"""What every caller may ask who is one."""

SCOPE_OF_COMMAND: Final[Mapping[str, Scope]] = MappingProxyType(
    {
        **dict.fromkeys(_JOBS_READ, Scope.JOBS_READ),
        **dict.fromkeys(_JOBS_WRITE, Scope.JOBS_WRITE),
        **dict.fromkeys(_OPS_READ, Scope.OPS_READ),
        **dict.fromkeys(_OPS_WRITE, Scope.OPS_WRITE),
    }
)
"""Every command and what it needs; the words are those of its subject: ``job.get``, ``health-check``."""

WRITING_ACTIONS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "dead-letters": frozenset({"discard", "edit", "check"}),
        "alerts": frozenset({"suppress", "resolve", "acknowledge", "test"}),
    }
)
"""Reading commands that change something when their ``action`` says so."""


class AuditedReads(StrEnum):
    """Which operations that only look leave a row in the audit."""

    BODIES = "bodies"
    """Those that hand out what messages hold."""
    ALL = "all"
    NONE = "none"


def is_look(command: str, action: object = None) -> bool:
    """Whether an operation changes nothing and only answers."""
    return (command, action) in _LOOKS_FOR_WRITERS or required_scope(command, action) in (None, Scope.OPS_READ)


def leaves_row(command: str, action: object, reads: AuditedReads) -> bool:
    """Whether an operation that is carried out stands in the audit. What is refused always does."""
    if not is_look(command, action) or reads is AuditedReads.ALL:
        return True
    return reads is AuditedReads.BODIES and (command, action) in _HAND_OUT_BODIES


_LOOKS_FOR_WRITERS: Final = frozenset({("dead-letters", "check")})
"""Looks that need the right to change: they answer what a change would come to."""
_HAND_OUT_BODIES: Final = frozenset({("dead-letters", "show")})


def required_scope(command: str, action: object = None) -> Scope | None:
    """The scope for a command, None where it needs none; ``action`` is what its payload says, not yet proven.

    An unknown action counts as reading: the check of the payload refuses it. Raises ``KeyError`` for a
    command that the table lacks.
    """
    if isinstance(action, str) and action in WRITING_ACTIONS.get(command, ()):
        return Scope.OPS_WRITE
    return None if command in FREE else SCOPE_OF_COMMAND[command]


def may(principal: Principal, scope: Scope | None) -> Problem | None:
    """None where the principal has the scope, or none is needed."""
    return None if scope is None or scope in principal.scopes else FORBIDDEN


def may_ingest(principal: Principal, producer: str) -> Problem | None:
    """A producer sends in its own name only, and only with the scope for it."""
    allowed = Scope.INGEST_WRITE in principal.scopes and principal.owner == producer
    return None if allowed else FORBIDDEN


FORBIDDEN: Final = problem(ErrorCode.FORBIDDEN, "the token does not allow this")
NOT_FOUND: Final = problem(ErrorCode.RESOURCE_NOT_FOUND, "there is no such resource")
