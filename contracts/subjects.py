"""Every subject, stream, consumer and bucket by its name. Inside the program subjects have no prefix."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_PREFIX: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_UNPUBLISHABLE: Final = re.compile(r"[\s*>\x00-\x1f\x7f-\x9f]")
_MOST_CHARACTERS: Final = 500


class Family(StrEnum):
    """Where messages travel; the word is the first token of their subjects."""

    INGEST = "ingest"
    CALLBACK = "callback"
    REPLAY = "replay"
    WORK = "work"
    EVENT = "event"
    DEAD = "dead"
    COMMAND = "cmd"
    OPS = "ops"
    CONTROL = "control"
    PULSE = "pulse"
    NOTIFY = "notify"


_FAMILIES: Final = {str(family): family for family in Family}

DURABLE: Final = (Family.INGEST, Family.CALLBACK, Family.REPLAY)
"""The families that come in by streams, each through a shared durable consumer of its own."""

_STREAM_OF: Final = {
    Family.INGEST: "INGEST",
    Family.CALLBACK: "CALLBACK",
    Family.REPLAY: "REPLAY",
    Family.WORK: "WORK",
    Family.EVENT: "EVENT",
    Family.DEAD: "DEAD",
    Family.CONTROL: "EVENT",
    Family.NOTIFY: "NOTIFY",
}


@dataclass(frozen=True, slots=True)
class EventSubject:
    """``event.<aggregate>.<id>.<event>``; the id may span tokens."""

    aggregate: str
    id: str
    event: str


@dataclass(frozen=True, slots=True)
class CallbackSubject:
    """``callback.<family>.<id>``; the id may span tokens."""

    family: str
    id: str


def ingest(kind: str) -> str:
    return f"{Family.INGEST}.{kind}"


def callback(family: str, subject_id: str) -> str:
    return f"{Family.CALLBACK}.{family}.{subject_id}"


def replay(subject: str) -> str:
    return f"{Family.REPLAY}.{subject}"


def work(work_type: str) -> str:
    return f"{Family.WORK}.{work_type}"


def work_consumer(work_type: str) -> str:
    """The durable consumer that workers of a type bind to; the name of a consumer has no dots."""
    return f"headgate-work-{work_type.replace('.', '-')}"


def event(aggregate: str, aggregate_id: str, name: str) -> str:
    return f"{Family.EVENT}.{aggregate}.{aggregate_id}.{name}"


def dead(subject: str) -> str:
    """Where the refusal of a message is told. A subject that producers can use and clients cannot (control characters,
    wildcards, blanks, empty tokens, thousands of characters) loses what is in the way: its row keeps it as it came."""
    tokens = _UNPUBLISHABLE.sub("_", subject[:_MOST_CHARACTERS]).split(".")
    return ".".join((Family.DEAD, *(token or "_" for token in tokens)))


def command(name: str) -> str:
    return f"{Family.COMMAND}.{name}"


def ops(name: str) -> str:
    return f"{Family.OPS}.{name}"


def control(agent: str) -> str:
    return f"{Family.CONTROL}.{agent}"


def notify(notifier: str) -> str:
    return f"{Family.NOTIFY}.{notifier}"


def family_of(subject: str) -> Family | None:
    """The family of a subject without prefix; None where it is none of ours."""
    first, _, rest = subject.partition(".")
    return _FAMILIES.get(first) if rest else None


def rest_of(subject: str) -> str:
    """What follows the family: the kind of an ingest subject, the original subject of a dead or replayed one."""
    return subject.partition(".")[2]


def parse_callback(subject: str) -> CallbackSubject | None:
    """None where the subject is no callback's."""
    match subject.split(".", 2):
        case [Family.CALLBACK, family, subject_id] if family and all(subject_id.split(".")):
            return CallbackSubject(family, subject_id)
    return None


def parse_event(subject: str) -> EventSubject | None:
    """None where the subject is no event's."""
    match subject.split("."):
        case [Family.EVENT, aggregate, *tokens, name] if tokens and all((aggregate, *tokens, name)):
            return EventSubject(aggregate, ".".join(tokens), name)
    return None


class Subjects:
    """The names of one installation: one prefix, its streams, consumers and buckets."""

    def __init__(self, prefix: str = "hg") -> None:
        """Raises ``ValueError`` for a prefix that is not one token of letters, digits, ``_`` and ``-``."""
        if _PREFIX.fullmatch(prefix) is None:
            raise ValueError("the prefix should be one token of letters, digits, _ and -")
        self.prefix: Final = prefix
        self._dotted: Final = f"{prefix}."
        self._streams: Final = {family: self.named(name) for family, name in _STREAM_OF.items()}

    def full(self, subject: str) -> str:
        """As it stands on the wire: with the prefix."""
        return self._dotted + subject

    def bare(self, subject: str) -> str | None:
        """Without the prefix; None where the subject lies outside it."""
        return subject[len(self._dotted) :] if subject.startswith(self._dotted) else None

    def named(self, name: str) -> str:
        """A stream's or bucket's name: ``HG_INGEST``."""
        return f"{self.prefix.upper()}_{name}"

    def stream(self, family: Family) -> str:
        """The stream that keeps a family's messages; raises ``KeyError`` for requests, which none keeps."""
        return self._streams[family]

    def lane(self, subject: str) -> str:
        """The stream that an outgoing subject (without prefix) is published to.

        Raises ``ValueError`` where no stream takes it.
        """
        family = family_of(subject)
        if family is None or family not in self._streams:
            raise ValueError(f"no stream takes the subject {subject}")
        return self._streams[family]

    def patterns(self, family: Family) -> tuple[str, ...]:
        """What the stream of a family listens to, as on the wire."""
        stream = self._streams[family]
        return tuple(self.full(f"{other}.>") for other, name in self._streams.items() if name == stream)

    @property
    def streams(self) -> tuple[str, ...]:
        """All streams, the advisories' one included."""
        return (*dict.fromkeys(self._streams.values()), self.advisory_stream)

    @property
    def advisory_stream(self) -> str:
        return self.named("ADVISORY")

    @property
    def status_bucket(self) -> str:
        return self.named("STATUS")

    @property
    def status_lane(self) -> str:
        """The stream behind the status bucket."""
        return f"KV_{self.status_bucket}"

    def status_key(self, key: str) -> str:
        """The whole subject of an entry of the status bucket; it lies outside the prefix."""
        return f"$KV.{self.status_bucket}.{key}"

    @property
    def assets_bucket(self) -> str:
        return self.named("ASSETS")

    @staticmethod
    def consumer(family: Family) -> str:
        """The durable consumer that all daemons share; its name does not depend on the prefix."""
        return f"headgate-{family}"
