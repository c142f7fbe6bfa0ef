"""Starts of ``headgate``. As a user starts it, or, where a test promises nothing about starts, in a fork of a process
that has imported everything: the same program in a process of its own, for a fifth of the processor time."""

import atexit
import json
import os
import secrets
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import IO, Final, Protocol

from tests.support.starts.fork_server import NUMBER

HEADGATE: Final = Path(sys.executable).with_name("headgate")
PROGRAM: Final = (str(HEADGATE),)
_SERVER: Final = Path(__file__).with_name("fork_server.py")
_ADDRESS: Final = "FORKS_FOR_TESTS"
"""The variable by which the processes of a run of tests know where the one listens that forks."""


class Forks:
    """Whether programs are forked: the tests that are marked ``fresh`` have none of it (tests/conftest.py)."""

    wanted = False


class Running(Protocol):
    """The part of ``subprocess.Popen`` that tests use."""

    @property
    def pid(self) -> int: ...

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def send_signal(self, sig: int) -> None: ...

    def terminate(self) -> None: ...

    def kill(self) -> None: ...


def start(
    arguments: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    streams: tuple[int, int, int],
    program: Sequence[str] = PROGRAM,
) -> Running:
    """The program, ``headgate``, with these arguments. The three streams are descriptors, which stay the caller's."""
    if Forks.wanted and program == PROGRAM:
        return Forked(arguments, folder, environment, streams)
    stdin, stdout, stderr = streams
    return subprocess.Popen(
        [*program, *arguments], cwd=folder, env=environment, stdin=stdin, stdout=stdout, stderr=stderr
    )


class Forked:
    """A program in a fork: its end is told by the process that has forked it."""

    def __init__(
        self, arguments: Sequence[str], folder: Path, environment: Mapping[str, str], streams: tuple[int, int, int]
    ) -> None:
        asked = {"arguments": [*PROGRAM, *arguments], "folder": str(folder), "environment": dict(environment)}
        told, tell = os.pipe()
        self._told: IO[bytes] = os.fdopen(told, "rb", buffering=0)
        try:
            socket.send_fds(_fork_server(), [json.dumps(asked).encode()], [*streams, tell])
        finally:
            os.close(tell)
        self._code: int | None = None
        self.pid = self._number()

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(str(HEADGATE), timeout)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sig)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _ended(self, within_s: float | None) -> int | None:
        if self._code is None:
            readable, _, _ = select.select([self._told], [], [], within_s)
            if readable:
                self._code = self._number()
                self._told.close()
        return self._code

    def _number(self) -> int:
        told = self._told.read(NUMBER.size)
        assert len(told) == NUMBER.size, "the process that forks has ended"
        (number,) = NUMBER.unpack(told)
        return int(number)


def serve_forks() -> None:
    """Start the process that forks, for this process and those that it starts; it ends with this one."""
    address = f"\0headgate-tests-{os.getpid()}-{secrets.token_hex(8)}"  # of no file, so that nothing is left of it
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(address)
        listening.listen(socket.SOMAXCONN)
        process = subprocess.Popen(
            [sys.executable, str(_SERVER), str(listening.fileno())],
            pass_fds=[listening.fileno()],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
        )
    os.environ[_ADDRESS] = address[1:]

    @atexit.register
    def end() -> None:
        process.communicate(timeout=60)


@cache
def _fork_server() -> socket.socket:
    if _ADDRESS not in os.environ:
        serve_forks()
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    connection.connect("\0" + os.environ[_ADDRESS])
    atexit.register(connection.close)
    return connection
