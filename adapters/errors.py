"""What the outside world can do to us, as types.

::

    AdapterError
     ├── EmbeddedServerError          the nats-server we start ourselves
     │    ├── PortTakenError               another program listens on the port
     │    ├── StoreHeldError               a living daemon (or an unknown process) uses the store
     │    ├── StoreUnusableError           the store or state folder cannot be written
     │    └── ServerFailedError            the server ended or was not ready in time
     ├── ConnectFailedError                no connection in the time the start allows
     ├── ServerTooOldError                 the server's version is below the oldest one supported
     ├── IncompatibleStreamsError          what is on the server cannot be made what we need; lists every difference
     ├── JetStreamError             a JetStream request was answered with an error (``code``, ``err_code``)
     ├── ObjectStoreError                  an object could not be written, read or removed
     └── ConsumerGoneError                 the consumer (or its stream) was deleted under a pull

Messages are one line and hold no secret: they are what a failed start prints.
"""

from collections.abc import Sequence
from typing import Final

_UNAVAILABLE: Final = 503
_NEVER_THERE: Final = frozenset({10039, 10076})
"""JetStream is not enabled: for the account, on the server."""
_NOT_THERE_YET: Final = frozenset({10005, 10007, 10009})
"""No suitable peers for placement, not assigned to a server yet, not the leader: a cluster that is being formed answers
so, and not all of it with 503."""


class AdapterError(Exception):
    """Something outside of the process failed; the message is one line for an operator."""


class EmbeddedServerError(AdapterError):
    """The embedded nats-server cannot be started or kept."""


class PortTakenError(EmbeddedServerError):
    """Another program listens on the port that the server must have."""


class StoreHeldError(EmbeddedServerError):
    """Another process uses the store: running a second server on it would destroy it."""


class StoreUnusableError(EmbeddedServerError):
    """A folder that the server needs cannot be made or written."""


class ServerFailedError(EmbeddedServerError):
    """The server ended, or was not ready in the time that the start allows."""


class ConnectFailedError(AdapterError):
    """No connection to NATS within the time that the start allows."""


class ServerTooOldError(AdapterError):
    """The connected server is older than the oldest version that keeps its promises to us."""


class IncompatibleStreamsError(AdapterError):
    """Streams or consumers exist that cannot be brought to what the daemon needs. ``differences`` names each one."""

    def __init__(self, differences: Sequence[str]) -> None:
        super().__init__("; ".join(differences))
        self.differences = tuple(differences)


class JetStreamError(AdapterError):
    """A JetStream request was answered with an error. ``code`` is HTTP-like, ``err_code`` the server's own number.

    ``may_pass``: JetStream is not there yet or not there now (a cluster elects, one of its servers is away): the same
    request may succeed later.
    """

    def __init__(self, what: str, code: int, err_code: int, description: str) -> None:
        super().__init__(f"{what}: {description} (code {code}, err_code {err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description

    @property
    def may_pass(self) -> bool:
        if self.err_code in _NEVER_THERE:
            return False
        return self.code == _UNAVAILABLE or self.err_code in _NOT_THERE_YET


class ObjectStoreError(AdapterError):
    """The store did not take, give or remove an object: it is full, away, or the object is damaged."""


class ConsumerGoneError(AdapterError):
    """The durable consumer, or its stream, does not exist any more."""
