"""How much a continuous pull may ask for: the bookkeeping of its open requests, without any I/O.

``owed`` counts what the server may still send. A request can end early and say how much of it is left, or end without a
word (server killed, connection lost); both must bring the count back to the truth, or the pull would stand still.

Each request is bounded by ``request_bytes`` too. A message that is larger than that ends every request without being
delivered; it is then asked for alone.
"""

from collections.abc import Mapping
from enum import Enum, auto
from typing import Final

RETRY_FIRST_S: Final = 0.25
RETRY_MOST_S: Final = 5.0


class Verdict(Enum):
    """What a status message means for the pull."""

    ALIVE = auto()  # a heartbeat
    ENDED = auto()  # a request is over, ask again when there is room
    SUSPECT = auto()  # perhaps the consumer is gone: look


class Window:
    """The open requests of one pull. All times are seconds of the same monotonic clock."""

    def __init__(self, size: int, request_bytes: int, *, expires_s: float, heartbeat_s: float, now: float) -> None:
        self.size = size
        self.request_bytes = request_bytes
        self.needs_large = False
        self.expires_s = expires_s
        self.heartbeat_s = heartbeat_s
        self.owed = 0
        self._heard_at = now
        self._requested_at = now
        self._retry_at = now
        self._retry_s = RETRY_FIRST_S
        self._arrived_at_size_stop = -1

    def room(self, buffered: int) -> int:
        """How many messages may be asked for: none until half of the window is free, so that requests stay few."""
        room = self.size - max(0, self.owed) - buffered
        return room if room * 2 >= self.size else 0

    def may_ask(self, now: float) -> bool:
        """Whether the pause after a refusal is over."""
        return now >= self._retry_at

    def asked(self, count: int, now: float) -> None:
        self.owed = max(0, self.owed) + count
        self._requested_at = now

    def heard(self, now: float) -> None:
        """The server has sent something."""
        self._heard_at = now

    def status(self, headers: Mapping[str, str], arrived: int, now: float) -> Verdict:
        """Account for a status message; ``arrived`` counts all messages so far. Any status other than the known ones
        (another leader, a server that shuts down, too many requests waiting) ends all requests, after a pause."""
        self.heard(now)
        code, text = headers.get("Status", ""), headers.get("Description", "")
        left = headers.get("Nats-Pending-Messages", "")
        if code == "100":
            self._retry_s = RETRY_FIRST_S
            return Verdict.ALIVE
        if code == "400":
            # Ours are in order: whoever else publishes to our inbox must not end the pull by it.
            self.back_off(now)
            return Verdict.SUSPECT
        if left.isdigit():
            self.owed = max(0, self.owed - int(left))
            if "MaxBytes" in text:
                self._stopped_by_size(arrived)
            return Verdict.ENDED
        if code == "404":
            self.forget(now)
            return Verdict.ENDED
        self.back_off(now)
        return Verdict.SUSPECT if code == "503" or "Consumer Deleted" in text else Verdict.ENDED

    def back_off(self, now: float) -> None:
        """Nothing is owed, and nothing is asked for in a while: longer each time, until a heartbeat is heard."""
        self.forget(now)
        self._retry_at = now + self._retry_s
        self._retry_s = min(self._retry_s * 2, RETRY_MOST_S)

    def forget(self, now: float) -> None:
        """No open request is left."""
        self.owed = 0
        self._heard_at = now

    def is_lost(self, now: float) -> bool:
        """Whether what is owed will never come: two silent heartbeats, or the newest request must have expired."""
        if self.owed <= 0:
            return False
        silent = now - self._heard_at > 2 * self.heartbeat_s
        return silent or now - self._requested_at > self.expires_s + self.heartbeat_s

    def large_came(self) -> None:
        """The message that was asked for alone is here, or is somebody else's."""
        self.needs_large = False
        self._arrived_at_size_stop = -1

    def _stopped_by_size(self, arrived: int) -> None:
        """A request ended by its bytes. Without a message in between, one message alone is larger than the limit."""
        self.needs_large = arrived == self._arrived_at_size_stop
        self._arrived_at_size_stop = arrived
