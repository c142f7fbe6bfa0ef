"""Who speaks: the value that authentication yields and that every rule about access reads."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Scope(StrEnum):
    """What a principal may do. Writing does not include reading."""

    JOBS_READ = "jobs:read"
    JOBS_WRITE = "jobs:write"
    OPS_READ = "ops:read"
    OPS_WRITE = "ops:write"
    INGEST_WRITE = "ingest:write"


@dataclass(frozen=True, slots=True)
class Principal:
    """``owner`` is whose things are meant: the subject of the token."""

    owner: str
    scopes: frozenset[Scope]


LOCAL: Final = Principal("local", frozenset(Scope))
"""Every caller where authentication is off: only on a loopback address."""

SYSTEM: Final = "system"
"""The actor of what the daemon does by itself: healing, due dates, exports."""
