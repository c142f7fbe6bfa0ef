"""The server's word that it gave up on a message: delivered ``max_deliver`` times and never acknowledged."""

from dataclasses import dataclass

import orjson

_KIND = "io.nats.jetstream.advisory.v1.max_deliver"


@dataclass(frozen=True, slots=True)
class GivenUp:
    """Which message, of which consumer, after how many deliveries."""

    stream: str
    consumer: str
    sequence: int
    deliveries: int


def parse_given_up(body: bytes) -> GivenUp:
    """Read a max-deliver advisory; raises ``ValueError`` for anything else."""
    advisory = orjson.loads(body)
    match advisory:
        case {
            "type": str(kind),
            "stream": str(stream),
            "consumer": str(consumer),
            "stream_seq": int(sequence),
            "deliveries": int(deliveries),
        } if kind == _KIND:
            return GivenUp(stream, consumer, sequence, deliveries)
    raise ValueError("not a max-deliver advisory")
