"""The load: `session.usage` 2.0 envelopes as producers send them, the same ones for every contender.

Message *i* is a function of *i* alone, so that a run can go on where stored rows end, and two contenders never see
different bytes. 32 producers number their messages; each works through sessions of 50 messages.
"""

import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

SUBJECT: Final = "hg.ingest.session.usage"
KIND: Final = "session.usage"
AGENTS: Final = ("planner", "researcher", "writer", "editor", "critic", "captioner", "scheduler", "analyst")
PRODUCERS: Final = tuple(f"{agent}-{number}" for number in (1, 3, 7, 12) for agent in AGENTS)
MODELS: Final = ("gpt-4o-mini", "gpt-4o", "claude-3-5-sonnet-latest", "gemini-2.0-flash", "house-7b")
MESSAGES_PER_SESSION: Final = 50
_DAY_S: Final = 86_400
_BLOCK: Final = len(PRODUCERS)
_BLOCKS_PER_DAY: Final = 2_000

_REPORTED: Final = '{"source":"provider_reported","confidence":"high"}'
_DERIVED: Final = '{"source":"derived","confidence":"medium"}'
_MISSING: Final = '{"source":"missing","confidence":"unknown"}'


class Form(StrEnum):
    """How a producer writes its JSON."""

    COMPACT = "compact"
    BLANKS = "json.dumps"
    """With blanks after colons and commas, as Python writes by default."""


@dataclass(frozen=True, slots=True)
class Load:
    """Messages number *first* to *first + count - 1*; ``day`` is the midnight (UTC) that their times begin at."""

    count: int
    first: int
    day: datetime
    form: Form = Form.COMPACT

    @classmethod
    def of(cls, count: int, first: int = 0, form: Form = Form.COMPACT) -> "Load":
        """A load of yesterday: in the past for every clock, and inside every retention."""
        midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return cls(count, first, midnight - timedelta(days=1), form)

    def bodies(self) -> Iterator[bytes]:
        """The message bodies, in order."""
        position, last = self.first, self.first + self.count
        while position < last:
            block = position // _BLOCK
            ends = min((block + 1) * _BLOCK, last)
            bodies = self._block(block)[position - block * _BLOCK : ends - block * _BLOCK]
            yield from bodies if self.form is Form.COMPACT else map(_with_blanks, bodies)
            position = ends

    def _block(self, block: int) -> list[bytes]:
        """One message of each producer, in an order of its own."""
        chance = random.Random(block)
        producers = list(PRODUCERS)
        chance.shuffle(producers)
        second = (block % _BLOCKS_PER_DAY) * _DAY_S / _BLOCKS_PER_DAY
        return [_body(self.day, second + index, producer, block, chance) for index, producer in enumerate(producers)]


def _with_blanks(body: bytes) -> bytes:
    return json.dumps(json.loads(body)).encode()


def _body(day: datetime, second: float, producer: str, number: int, chance: random.Random) -> bytes:
    at = day + timedelta(seconds=second, milliseconds=chance.randrange(1_000))
    stamp = at.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
    agent = producer.partition("-")[0]
    session = f"{producer}.{number // MESSAGES_PER_SESSION:05d}"
    trace_id = UUID(int=chance.getrandbits(128), version=4)
    return (
        f'{{"envelope_version":2,"kind":"{KIND}","schema_version":"2.0","message_id":"{producer}:{number:06d}",'
        f'"trace_id":"{trace_id}","created_at":"{stamp}","producer":"{producer}","payload":{{"session_id":"{session}",'
        f'"agent":"{agent}","model":"{chance.choice(MODELS)}","at":"{stamp}",{_figures(chance)}}}}}'
    ).encode()


def _figures(chance: random.Random) -> str:
    """Status, figures and provenance: six in ten report a cost, a few failed before there were tokens."""
    runtime_ms = int(chance.lognormvariate(7.5, 0.8))
    kind = chance.random()
    if kind < 0.03:
        return (
            f'"status":"error","runtime_ms":{runtime_ms},'
            f'"provenance":{{"tokens":{_MISSING},"runtime":{_DERIVED},"cost":{_MISSING}}}'
        )
    tokens_in, tokens_out = int(chance.lognormvariate(6.6, 1.0)), int(chance.lognormvariate(5.2, 0.9))
    counted = f'"status":"ok","input_tokens":{tokens_in},"output_tokens":{tokens_out},"runtime_ms":{runtime_ms},'
    if kind < 0.6:
        cost = (tokens_in * 0.15 + tokens_out * 0.6) / 1e6
        return (
            f'{counted}"cost_usd":"{cost:.6f}","pricing_version":"2026-10",'
            f'"provenance":{{"tokens":{_REPORTED},"runtime":{_DERIVED},"cost":{_REPORTED}}}'
        )
    return f'{counted}"provenance":{{"tokens":{_REPORTED},"runtime":{_DERIVED},"cost":{_MISSING}}}'
