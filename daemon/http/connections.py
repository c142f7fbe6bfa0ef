"""Bounds of HTTP connections: how many there may be, and how long each may keep silent.

Whoever opens connections and says nothing must not take the descriptors that the database and the broker need. Uvicorn
itself bounds only requests, and the time between two of them.
"""

import asyncio
import resource
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, Final

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from daemon.http.crowd import Crowd, asking_only

_SHARE_OF_DESCRIPTORS: Final = 4
"""A quarter of the descriptors of the process at most: the others are for what it stands on."""


class Closed(StrEnum):
    """Why the daemon closed a connection."""

    LIMIT = "limit"
    HEADERS = "headers"
    IDLE = "idle"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """``headers_s`` for the head of a request; ``idle_s`` without progress of a body, in either direction. ``closed``
    learns of each connection that broke one."""

    most: int
    headers_s: float
    idle_s: float
    closed: Callable[[Closed], None]

    @property
    def within_descriptors(self) -> int:
        """The number of connections that leaves descriptors for everything else."""
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        return self.most if soft == resource.RLIM_INFINITY else max(1, min(self.most, soft // _SHARE_OF_DESCRIPTORS))


class BoundedProtocol(H11Protocol):
    """A connection that gives way where there are too many, and is closed where it is silent for too long."""

    def __init__(self, limits: ConnectionLimits, crowd: "Crowd[BoundedProtocol]", **given: Any) -> None:
        super().__init__(**given)
        self._limits = limits
        self._crowd = crowd
        self._timer: asyncio.TimerHandle | None = None
        self._awaits: Closed | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as the library has it
        super().connection_made(transport)
        if len(self.connections) > self._limits.within_descriptors and not self._crowd.makes_room():
            if not self._crowd.lets_ask(self):
                self.close_for(Closed.LIMIT)
                return
            self.app = asking_only(self.app)
        self._crowd.fell_silent(self)
        self._await(Closed.HEADERS)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        self._await_what_is_next()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.conn.their_state is h11.IDLE:
            self._crowd.fell_silent(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._crowd.left(self)
        self._await(None)
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._await(Closed.IDLE)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._await_what_is_next()

    def _await_what_is_next(self) -> None:
        state = self.conn.their_state
        if state is h11.IDLE:
            # The head of a request has one time for all of it, however its bytes come.
            if self._awaits is not Closed.HEADERS:
                self._await(Closed.HEADERS)
        else:
            self._crowd.spoke(self)
            self._await(Closed.IDLE if state is h11.SEND_BODY else None)

    def _await(self, what: Closed | None) -> None:
        """Close the connection for *what* unless it moves on in time; None: nothing is awaited from the other side."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._awaits = what
        if what is not None:
            wait_s = self._limits.headers_s if what is Closed.HEADERS else self._limits.idle_s
            self._timer = self.loop.call_later(wait_s, self.close_for, what)

    def close_for(self, why: Closed) -> None:
        """Close it without another word."""
        if why is Closed.IDLE and self.flow.read_paused:
            self._await(why)  # it is the daemon that takes its time
            return
        self._limits.closed(why)
        self.transport.abort()


def bounded(limits: ConnectionLimits) -> Callable[..., asyncio.Protocol]:
    """What uvicorn makes connections with."""
    crowd = Crowd[BoundedProtocol](lambda connection: connection.close_for(Closed.LIMIT))
    return partial(BoundedProtocol, limits, crowd)
