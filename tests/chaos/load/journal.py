"""What the producers know: which messages the streams acknowledged to them, which not, and every receipt."""

from collections import Counter
from dataclasses import dataclass, field
from typing import TypeAlias

from tests.chaos.load.messages import Json, Message

Place: TypeAlias = tuple[str, int]
"""(stream, sequence)"""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the daemon told a producer of one delivery."""

    place: Place
    message_id: str | None
    outcome: str
    status: int
    code: str | None


@dataclass(slots=True)
class Work:
    """A work message as a worker got it. Times are seconds since the epoch; ``finished_at`` is when the worker took it
    off the queue."""

    sequence: int
    message_id: str
    subject_id: str
    stored_at: float
    finished_at: float | None = None


@dataclass(slots=True)
class Journal:
    """Everything that a run saw from outside."""

    stored: dict[Place, Message] = field(default_factory=dict)
    """What the stream acknowledged as stored."""
    known_to_stream: list[Message] = field(default_factory=list)
    """What the stream acknowledged as a repetition (``Nats-Msg-Id``) of what it had."""
    unconfirmed: list[Message] = field(default_factory=list)
    """Published without an acknowledgement, each time once: perhaps stored, perhaps not."""
    receipts: list[Receipt] = field(default_factory=list)
    twice_given: list[Place] = field(default_factory=list)
    """Places that were acknowledged to two messages: the stream has lost the first."""
    work: list[Work] = field(default_factory=list)
    """What the worker was given, each delivery."""
    failures: Counter[str] = field(default_factory=Counter)
    """Why publishes were not acknowledged."""

    def acknowledged(self, message: Message, place: Place, *, repeated: bool) -> None:
        if repeated:
            self.known_to_stream.append(message)
        elif place in self.stored:
            self.twice_given.append(place)
        else:
            self.stored[place] = message

    def not_acknowledged(self, message: Message, why: str) -> None:
        self.unconfirmed.append(message)
        self.failures[why] += 1

    def received(self, payload: Json) -> None:
        """Take in the payload of a receipt."""
        stream = "HG_CALLBACK" if str(payload["subject"]).startswith("hg.callback.") else "HG_INGEST"
        error = payload.get("error")
        code = str(error["code"]) if isinstance(error, dict) else None
        sequence, status = payload["stream_sequence"], payload["status"]
        assert isinstance(sequence, int)
        assert isinstance(status, int)
        message_id = payload["message_id"]
        self.receipts.append(
            Receipt(
                (stream, sequence),
                None if message_id is None else str(message_id),
                str(payload["outcome"]),
                status,
                code,
            )
        )
