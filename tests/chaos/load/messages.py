"""What the producers say: messages in order, and what must become of each where it was stored.

A new kind of message is one entry in :data:`KINDS`; what it must leave behind in the database is one entry in
``effects.EFFECTS``.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Final, TypeAlias
from uuid import UUID

Json: TypeAlias = dict[str, object]

CONFLICT: Final = "IDEMPOTENCY_CONFLICT"
RECEIPT_HEADER: Final = "Headgate-Receipt"
MESSAGE_ID_HEADER: Final = "Nats-Msg-Id"

_AGENTS: Final = ("planner", "researcher", "writer", "critic")
_MODELS: Final = ("gpt-4o-mini", "gpt-4o", "claude-3-5-sonnet-latest", "gemini-2.0-flash", "house-7b")
_EVENT_TYPES: Final = ("started", "heartbeat", "message", "tool_call", "completed", "failed", "killed")
_WORDS: Final = (
    "plan",
    "draft",
    "Größe",
    "東京",
    "🙂",
    "cut",
    "it's",
    "a%b",
    "null\0inside",
    'say "yes"',
    "back\\slash",
)
_SAFE_WORDS: Final = tuple(word for word in _WORDS if "\0" not in word)
_MESSAGES_PER_SESSION: Final = 25
_DAYS: Final = 3


@dataclass(frozen=True, slots=True)
class Proven:
    """What a message that is in order says: its key, and its payload with the hash of it.

    Of several that compete for the same ``prize`` only one can be taken, whatever their keys.
    """

    kind: str
    schema_version: str
    message_id: str
    created_at: str
    payload: Json
    payload_hash: str
    prize: str | None = None

    @property
    def key(self) -> tuple[str, str]:
        return (self.kind, self.message_id)


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """One message as it is published. ``code`` is that of its dead letter: for one that is not in order (``proven`` is
    None) always, else only where its key was taken by another payload; ``beaten`` where another took its prize.
    ``sort`` says what it is, for figures."""

    sort: str
    subject: str
    body: bytes
    code: str
    proven: Proven | None = None
    beaten: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    may_have_receipt: bool = True


class Author:
    """Writes the messages of one producer: numbers them and remembers what it said before."""

    def __init__(self, name: str, number: int, chance: Random) -> None:
        self.name = name
        self.chance = chance
        self.said: list[Proven] = []
        self.items: list[str] = []
        self._number = number
        self._count = 0
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        self._first_day = midnight - timedelta(days=_DAYS)

    def next_number(self) -> int:
        self._count += 1
        return self._count

    @property
    def count(self) -> int:
        return self._count

    def moment(self) -> str:
        """Some time in the last days, never the same one twice, neither for another producer."""
        second = self.chance.randrange(_DAYS * 86_400)
        micros = self._number * 100_000 + self._count % 100_000
        at = self._first_day + timedelta(seconds=second, microseconds=micros)
        return at.isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"

    def session(self) -> str:
        """A session of its own, or one that every producer speaks of: then daemons meet in its row."""
        group = self._count // _MESSAGES_PER_SESSION
        return f"shared.{group}" if self.chance.random() < 0.3 else f"{self.name}.{group}"

    def trace_id(self) -> str:
        return str(UUID(int=self.chance.getrandbits(128), version=4))


Payload: TypeAlias = Callable[[Author], Json]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of message: how its payload is made, in which schema, and how often."""

    kind: str
    schema_version: str
    payload: Payload
    weight: int


def _usage(author: Author) -> Json:
    chance = author.chance
    reported: Json = {"source": "provider_reported", "confidence": chance.choice(("high", "medium"))}
    derived: Json = {"source": "derived", "confidence": "medium"}
    missing: Json = {"source": "missing", "confidence": "unknown"}
    has_tokens, has_runtime, has_cost = chance.random() < 0.9, chance.random() < 0.9, chance.random() < 0.5
    payload: Json = {
        "session_id": author.session(),
        "agent": chance.choice(_AGENTS),
        "model": chance.choice(_MODELS),
        "at": author.moment(),
        "status": "error" if chance.random() < 0.1 else "ok",
        "provenance": {
            "tokens": chance.choice((reported, derived)) if has_tokens else missing,
            "runtime": derived if has_runtime else missing,
            "cost": reported if has_cost else missing,
        },
    }
    if has_tokens:
        payload |= {"input_tokens": chance.randrange(20_000), "output_tokens": chance.randrange(4_000)}
    if has_runtime:
        payload["runtime_ms"] = int(chance.lognormvariate(7.5, 1.5))
    if has_cost:
        payload |= {"cost_usd": f"0.{chance.randrange(10**6):06d}", "pricing_version": "2026-10"}
    return payload


def _usage_1(author: Author) -> Json:
    chance = author.chance
    payload: Json = {
        "session_id": author.session(),
        "agent": chance.choice(_AGENTS),
        "model": chance.choice(_MODELS),
        "timestamp": author.moment(),
        "tokens_in": chance.randrange(20_000),
        "tokens_out": chance.randrange(4_000),
        "runtime_ms": chance.randrange(60_000),
        "status": "ok",
    }
    if chance.random() < 0.5:
        payload["cost"] = chance.randrange(1, 10_000) / 10_000
    return payload


def _event(author: Author) -> Json:
    chance = author.chance
    payload: Json = {
        "session_id": author.session(),
        "agent": chance.choice(_AGENTS),
        "type": chance.choice(_EVENT_TYPES),
        "at": author.moment(),
    }
    if chance.random() < 0.4:
        payload["model"] = chance.choice(_MODELS)
    if chance.random() < 0.6:
        payload["text"] = " ".join(chance.choices(_WORDS, k=chance.randrange(1, 12)))
    if chance.random() < 0.3:
        payload["data"] = {"step": chance.randrange(100), "note": chance.choice(_WORDS), "nested": [{"a": None}, True]}
    return payload


def _item(author: Author) -> Json:
    chance = author.chance
    if not author.items or chance.random() < 0.7:
        author.items.append(f"{author.name}.item.{author.count}")
    payload: Json = {
        "item_id": chance.choice(author.items[-50:]),
        "source": f"feed-{chance.randrange(5)}",
        "title": f"Title {author.count}",
        "url": f"https://example.org/{author.name}/{author.count}",
        "published_at": author.moment(),
    }
    if chance.random() < 0.5:
        payload["text"] = " ".join(chance.choices(_SAFE_WORDS, k=chance.randrange(1, 40)))
    return payload


KINDS: Final = (
    Kind("session.usage", "2.0", _usage, 5),
    Kind("session.usage", "1.0", _usage_1, 1),
    Kind("session.event", "1.0", _event, 3),
    Kind("feed.item", "1.0", _item, 2),
)


def fresh(author: Author) -> Proven:
    """A payload of any kind under a key that nobody used before."""
    (kind,) = author.chance.choices(KINDS, [kind.weight for kind in KINDS])
    return _prove(kind, author, f"{author.name}:{author.next_number():06d}")


def valid(author: Author) -> Message:
    """A message with a key and a payload that nobody used before."""
    proven = fresh(author)
    author.said.append(proven)
    if author.chance.random() < 0.06:
        return _in_envelope_1(proven, author)
    return in_envelope(proven, author, sort=f"{proven.kind} {proven.schema_version}")


def duplicate(author: Author) -> Message:
    """Something that it said before, in an envelope written anew: the payload's keys stand in another order."""
    proven = author.chance.choice(author.said[-500:])
    turned = dict(reversed(proven.payload.items()))
    return in_envelope(replace(proven, payload=turned), author, sort="duplicate")


def conflicting(author: Author) -> Message:
    """Another payload under a key that it used before."""
    earlier = author.chance.choice(author.said[-500:])
    kind = next(kind for kind in KINDS if kind.kind == earlier.kind)
    author.next_number()  # moments are counted by it
    return in_envelope(_prove(kind, author, earlier.message_id), author, sort="conflict")


def envelope(proven: Proven, author: Author) -> Json:
    """A version 2 envelope around it."""
    return {
        "envelope_version": 2,
        "kind": proven.kind,
        "schema_version": proven.schema_version,
        "message_id": proven.message_id,
        "trace_id": author.trace_id(),
        "created_at": proven.created_at,
        "producer": author.name,
        "payload": proven.payload,
    }


def in_envelope(proven: Proven, author: Author, *, sort: str) -> Message:
    headers = {MESSAGE_ID_HEADER: f"{author.name}-{author.trace_id()}"} if author.chance.random() < 0.3 else {}
    return Message(sort, subject_of(proven.kind), encoded(envelope(proven, author)), CONFLICT, proven, headers=headers)


def subject_of(kind: str) -> str:
    return f"hg.ingest.{kind}"


def encoded(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()


def _in_envelope_1(proven: Proven, author: Author) -> Message:
    written = envelope(proven, author)
    body = {name: written[name] for name in ("schema_version", "trace_id", "created_at", "payload")}
    headers = {MESSAGE_ID_HEADER: proven.message_id}
    return Message(
        "envelope 1",
        subject_of(proven.kind),
        encoded({"envelope_version": 1, **body}),
        CONFLICT,
        proven,
        headers=headers,
    )


def _prove(kind: Kind, author: Author, message_id: str) -> Proven:
    payload = kind.payload(author)
    return Proven(kind.kind, kind.schema_version, message_id, author.moment(), payload, payload_hash(payload))


def payload_hash(payload: Json) -> str:
    """SHA-256 of the canonical form: sorted keys, no spaces, UTF-8."""
    canonical = json.dumps(payload, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return hashlib.sha256(canonical).hexdigest()
