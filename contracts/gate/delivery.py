"""What a stream hands over, and what the gate makes of it: plain values that every layer may know.

Those that are made for every message are tuples: a frozen dataclass costs four times as much to make.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from contracts.errors import Problem
from contracts.payloads.base import Facts


class Lineage(NamedTuple):
    """Of which dead letter a delivery is the replay, as the dead letter's row has it.

    ``edited``: the body is an operator's, not the one that came.
    """

    dead_letter_id: str
    replay_number: int
    run_id: str
    edited: bool


class Delivery(NamedTuple):
    """One message as the stream gave it.

    ``subject`` is without the configured prefix (``ingest.session.usage``). ``stored_at`` is when the stream stored the
    message, ``delivered`` counts from 1, ``ack_to`` is the subject an acknowledgement is published to. Times are
    microseconds since the epoch, UTC.

    ``header_bytes`` is how large its headers are, about.

    A replay has a ``lineage``; its subject, headers, stream, sequence and ``stored_at`` are those of its message's
    first arrival.
    """

    subject: str
    body: bytes
    headers: Mapping[str, str]
    stream: str
    sequence: int
    delivered: int
    stored_at: int
    ack_to: str
    lineage: Lineage | None = None
    header_bytes: int = 0


def weight(delivery: Delivery) -> int:
    """The bytes of body and headers, about."""
    return len(delivery.body) + delivery.header_bytes


class Accepted(NamedTuple):
    """An envelope that is proven: its payload is what the handlers of its kind are given, whatever version it came in.

    ``payload_hash`` is the SHA-256 of the canonical payload *as received*, in hexadecimal.
    """

    kind: str
    message_id: str
    trace_id: str
    created_at: int
    producer: str
    payload_hash: str
    payload: Facts
    schema_version: str
    envelope_version: int
    adapted: bool
    delivery: Delivery


@dataclass(frozen=True, slots=True)
class Refused:
    """A delivery that cannot be taken, and why. What could be read of the envelope is kept for lists and metrics."""

    problem: Problem
    kind: str
    message_id: str | None
    producer: str | None
    delivery: Delivery


Judged: TypeAlias = Accepted | Refused
