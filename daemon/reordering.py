"""Whether a message that came too early may still be waiting for older ones, or is to be decided as it stands.

A consumer's acknowledgement floor is the sequence up to which nothing is open. What lies between it and a message, and
is not in the message's own batch, may be in another daemon's hands or given back for a while.
"""

from collections.abc import Sequence

import structlog
from nats.aio.client import Client

from adapters.errors import JetStreamError
from adapters.trim import ack_floor
from contracts.delivery import Delivery

log = structlog.get_logger(__name__)


class OlderMessages:
    """Looks for older messages of one consumer. Asked only where something came too early: it costs a request."""

    def __init__(self, nc: Client, stream: str, consumer: str) -> None:
        self._nc = nc
        self._stream = stream
        self._consumer = consumer

    async def none_outstanding(self, held: Sequence[Delivery], batch: Sequence[Delivery]) -> list[Delivery]:
        """Those of *held* for which no older message is unacknowledged outside *batch*."""
        try:
            floor = await ack_floor(self._nc, self._stream, self._consumer)
        except JetStreamError as error:
            log.warning("acknowledgement_floor_unknown", consumer=self._consumer, reason=str(error))
            return []
        return nothing_older(held, batch, floor)


def nothing_older(held: Sequence[Delivery], batch: Sequence[Delivery], floor: int) -> list[Delivery]:
    """Those of *held* before which every sequence above *floor* is in *batch*."""
    own = {delivery.sequence for delivery in batch if delivery.sequence > floor}
    clear: list[Delivery] = []
    for delivery in held:
        between = max(0, delivery.sequence - floor - 1)
        if sum(sequence < delivery.sequence for sequence in own) >= between:
            clear.append(delivery)
    return clear
