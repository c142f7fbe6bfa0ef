"""The two ends of a delivery: read from the acknowledgement subject, and answered on it."""

from collections.abc import Iterable, Mapping
from typing import Final

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from adapters.nats.lenient_decoding import NO_HEADERS
from adapters.nats.wire import acknowledgement, write_together
from contracts.gate.delivery import Delivery

ACK_PREFIX: Final = "$JS.ACK."
_TOKENS_WITHOUT_DOMAIN: Final = 9
_NANO: Final = 1_000_000_000

log = structlog.get_logger(__name__)


def delivery_of(message: Msg, strip: int) -> Delivery:
    """Read a JetStream message; the first ``strip`` characters of its subject are the prefix."""
    headers = message.headers
    weight = 0 if headers is None else sum(map(len, headers.values()))
    return read_delivery(message.subject[strip:], message.reply, headers or NO_HEADERS, weight, message.data)


def read_delivery(subject: str, ack_to: str, headers: Mapping[str, str], header_bytes: int, body: bytes) -> Delivery:
    """The facts stand in the acknowledgement subject: 9 tokens, or 11 and 12 where it names a domain and account."""
    tokens = ack_to.split(".")
    if len(tokens) == _TOKENS_WITHOUT_DOMAIN:
        _, _, stream, _, delivered, sequence, _, stored_ns, _ = tokens
    else:
        stream, _, delivered, sequence, _, stored_ns = tokens[4:10]
    return Delivery(
        subject,
        body,
        headers,
        stream,
        int(sequence),
        int(delivered),
        int(stored_ns) // 1000,
        ack_to,
        None,
        header_bytes,
    )


def stream_position(ack_to: str) -> tuple[str, int]:
    """The stream and the sequence that an acknowledgement subject names."""
    tokens = ack_to.split(".")
    if len(tokens) == _TOKENS_WITHOUT_DOMAIN:
        return tokens[2], int(tokens[5])
    return tokens[4], int(tokens[7])


class Acks:
    """Answers deliveries. None of it raises for a connection that is away: what the server does not hear, it delivers
    again, which is no harm, for an acknowledgement only ever follows a commit. Each method answers whether it was sent.
    """

    def __init__(self, nc: Client) -> None:
        self._nc = nc

    async def ack(self, deliveries: Iterable[Delivery]) -> int:
        """Acknowledge; answers how many acknowledgements were handed to the connection."""
        commands = [acknowledgement(delivery.ack_to) for delivery in deliveries]
        if not commands:
            return 0
        try:
            await write_together(self._nc, commands)
        except NatsError as error:
            log.warning("acknowledgements_lost", reason=str(error))
            return 0
        return len(commands)

    async def give_back(self, delivery: Delivery, delay_s: float = 0.0) -> bool:
        """Return a message to the stream, to be delivered again after ``delay_s``."""
        delay_ns = round(delay_s * _NANO)
        return await self._answer(delivery, b'-NAK {"delay": %d}' % delay_ns if delay_ns > 0 else b"-NAK")

    async def in_progress(self, delivery: Delivery) -> bool:
        """Say that the message is still being worked on: its acknowledgement time starts anew."""
        return await self._answer(delivery, b"+WPI")

    async def term(self, delivery: Delivery, reason: str) -> bool:
        """Never deliver the message again; ``reason`` shows in the server's advisory."""
        return await self._answer(delivery, b"+TERM " + " ".join(reason.split()).encode())

    async def _answer(self, delivery: Delivery, body: bytes) -> bool:
        try:
            await self._nc.publish(delivery.ack_to, body)
        except NatsError as error:
            log.warning("answer_lost", answer=body[:4].decode(), reason=str(error))
            return False
        return True
