"""Where log lines go: one system call each, or for those of one moment, and never a wait for whoever reads them.

A pipe that nobody empties, a full disk or a reader that went away costs lines, never the daemon: lines are dropped and
counted. Nothing waits in memory but the rest of a line that was begun, so that a killed process loses nothing it said.
"""

import os
import select
import socket
import stat
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

_AT_ONCE: Final = 4_096
"""What a pipe that says it can be written takes without blocking (PIPE_BUF, a page)."""


class _Collecting(threading.local):
    """The lines that one thread has said and that are not written yet."""

    lines: list[bytes] | None = None


class LineOutput:
    """Writes lines to a descriptor. ``lost`` counts those that could not be written."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._turn = threading.Lock()
        self._begun: bytes = b""
        self.lost = 0
        self._collecting = _Collecting()
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError:  # there is nowhere to write to: every line is lost
            mode = stat.S_IFREG
        # To a socket (the journal's) a write may block although it can be written; only a flag on each send does not.
        self._socket = socket.socket(fileno=os.dup(descriptor)) if stat.S_ISSOCK(mode) else None
        self._ready = None if stat.S_ISREG(mode) else select.poll()
        if self._ready is not None:
            self._ready.register(descriptor, select.POLLOUT)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Lines of this thread within the block are written by one system call at its end; it must not wait."""
        if self._collecting.lines is not None:
            yield
            return
        lines = self._collecting.lines = []
        try:
            yield
        finally:
            self._collecting.lines = None
            for part in self._parts(lines):
                self._write_lines(part)

    def _parts(self, lines: list[bytes]) -> Iterator[list[bytes]]:
        """Where only so much is taken at once, what comes after it may be lost: it is then to be whole lines."""
        part: list[bytes] = []
        size = 0
        for line in lines:
            size += len(line) + 1
            if part and self._ready is not None and size > _AT_ONCE:
                yield part
                part, size = [], len(line) + 1
            part.append(line)
        if part:
            yield part

    def write_line(self, line: bytes) -> None:
        if self._collecting.lines is None:
            self._write_lines([line])
        else:
            self._collecting.lines.append(line)

    def _write_lines(self, lines: Sequence[bytes]) -> None:
        with self._turn:
            if not self._finish_begun():
                self.lost += len(lines)
                return
            whole = b"\n".join(lines) + b"\n"
            rest = self._write(whole)
            if not rest:
                return
            end = whole.rfind(b"\n", 0, len(whole) - len(rest)) + 1
            begun = 1 if len(whole) - len(rest) > end else 0
            if begun:
                self._begun = rest[: rest.index(b"\n") + 1]
            self.lost += rest.count(b"\n") - begun

    def _finish_begun(self) -> bool:
        """Write what is left of the line that was begun; whether nothing is."""
        self._begun = self._write(self._begun)
        return not self._begun

    def _write(self, data: bytes) -> bytes:
        """Write what can be written now; what is left."""
        with suppress(OSError):
            while data and self._can_write():
                data = data[self._write_some(data) :]
        return data

    def _can_write(self) -> bool:
        return self._ready is None or any(events & select.POLLOUT for _, events in self._ready.poll(0))

    def _write_some(self, data: bytes) -> int:
        if self._socket is not None:
            return self._socket.send(data, socket.MSG_DONTWAIT)
        return os.write(self._descriptor, data if self._ready is None else data[:_AT_ONCE])

    def close(self) -> None:
        """Give up what the output opened for itself; the descriptor stays the caller's."""
        if self._socket is not None:
            self._socket.close()

    def msg(self, line: bytes) -> None:
        """What structlog calls on its logger, whatever the level."""
        self.write_line(line)

    debug = info = warning = error = critical = fatal = log = exception = msg
