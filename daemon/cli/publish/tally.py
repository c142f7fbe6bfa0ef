"""What became of the records of one publishing run, counted as it goes."""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from contracts.errors import JsonObject, JsonValue

_MOST_PLACES: Final = 3
_MOST_TROUBLES: Final = 500


class Fate(StrEnum):
    """How a record ended."""

    ACCEPTED = "accepted"
    DUPLICATE = "duplicate"
    REFUSED = "refused"
    UNREADABLE = "unreadable"  # no JSON, or nothing that could be addressed: not published
    REJECTED = "rejected"  # the server does not take such a message: not published
    NO_RECEIPT = "no_receipt"  # published, and nothing was heard of it
    UNPUBLISHED = "unpublished"  # given up before it was stored
    STORED = "stored"  # published, and no receipt was asked for


GOOD: Final = frozenset({Fate.ACCEPTED, Fate.DUPLICATE, Fate.STORED})


@dataclass(slots=True)
class Trouble:
    """One thing that is wrong with records: how many it concerns, and the first places to look at."""

    fate: Fate
    code: str
    path: str
    rule: str
    message: str
    count: int = 0
    places: list[str] = field(default_factory=list)

    def as_json(self) -> JsonObject:
        places: list[JsonValue] = [*self.places]
        return {
            "fate": str(self.fate),
            "code": self.code,
            "path": self.path,
            "rule": self.rule,
            "message": self.message,
            "count": self.count,
            "places": places,
        }


class Tally:
    """Counts and reasons; memory does not grow with the number of records."""

    def __init__(self) -> None:
        self.fates: dict[Fate, int] = dict.fromkeys(Fate, 0)
        self.read_bytes = 0
        self.published = 0
        """Records that a stream has stored."""
        self.answered = 0
        self.asked_again = 0
        """Records published once more, for their receipts were lost with a connection."""
        self.stopped: str | None = None
        """Why the run ended before its time."""
        self.troubles_left_out = 0
        self._troubles: dict[tuple[str, ...], Trouble] = {}
        self._began = time.monotonic()
        self._ended: float | None = None

    @property
    def records(self) -> int:
        return sum(self.fates.values())

    @property
    def seconds(self) -> float:
        return (self._ended or time.monotonic()) - self._began

    @property
    def is_good(self) -> bool:
        """Whether every record was taken, now or before."""
        return self.stopped is None and all(fate in GOOD or not count for fate, count in self.fates.items())

    @property
    def troubles(self) -> list[Trouble]:
        """The most frequent first."""
        return sorted(self._troubles.values(), key=lambda trouble: (-trouble.count, trouble.path, trouble.rule))

    def end(self) -> None:
        self._ended = time.monotonic()

    def count(self, fate: Fate, records: int = 1) -> None:
        self.fates[fate] += records

    def not_published(self, fate: Fate, place: str, reason: str) -> None:
        """A record that stayed here, with the reason."""
        self.count(fate)
        self._trouble(fate, place, "", "", "", reason)

    def receipt(self, place: str, payload: Mapping[str, JsonValue]) -> None:
        """What the daemon says of a record. Raises ``ValueError`` where it is no receipt."""
        fate = Fate(str(payload.get("outcome")))
        self.count(fate)
        self.answered += 1
        error = payload.get("error")
        if isinstance(error, dict):
            self._error(fate, place, error)

    def as_json(self) -> JsonObject:
        fates: JsonObject = {str(fate): count for fate, count in self.fates.items()}
        return {
            "records": self.records,
            "published": self.published,
            **fates,
            "asked_again": self.asked_again,
            "seconds": round(self.seconds, 3),
            "stopped": self.stopped,
            "troubles": [trouble.as_json() for trouble in self.troubles],
        }

    def _error(self, fate: Fate, place: str, error: JsonObject) -> None:
        code = str(error.get("code"))
        details = error.get("details")
        listed = [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []
        if not listed:
            self._trouble(fate, place, code, "", "", str(error.get("message")))
        for path, rule, message in _distinct(listed):
            self._trouble(fate, place, code, path, rule, message)

    def _trouble(self, fate: Fate, place: str, code: str, path: str, rule: str, message: str) -> None:
        key = (fate, code, path, rule, message)
        trouble = self._troubles.get(key)
        if trouble is None:
            if len(self._troubles) >= _MOST_TROUBLES:
                self.troubles_left_out += 1
                return
            trouble = self._troubles[key] = Trouble(fate, code, path, rule, message)
        trouble.count += 1
        if len(trouble.places) < _MOST_PLACES:
            trouble.places.append(place)


def _distinct(details: Iterable[JsonObject]) -> Iterable[tuple[str, str, str]]:
    return dict.fromkeys(
        (str(detail.get("path", "")), str(detail.get("code", "")), _told(detail)) for detail in details
    )


def _told(detail: JsonObject) -> str:
    """The sentence, and what would be supported where the daemon says so."""
    message = str(detail.get("message", ""))
    supported = detail.get("supported")
    return f"{message}: {', '.join(map(str, supported))}" if isinstance(supported, list) and supported else message
