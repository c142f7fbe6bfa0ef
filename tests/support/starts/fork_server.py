"""A process that has imported all of headgate, and forks: what a fork runs is the program itself, in a process of its
own, without the second of imports. There is one for all the processes of a run of tests.

    python fork_server.py FD

It listens on the socket FD, imports when the first connection comes, and ends at the end of its standard input. On a
connection comes one packet for each start: arguments, folder and environment as JSON, and four descriptors, the
program's first three and a pipe, on which its process id and, once it has ended, its exit code are told.
"""

import atexit
import gc
import importlib
import json
import os
import pkgutil
import select
import signal
import socket
import struct
import sys
import threading
import time
from contextlib import suppress
from functools import cache
from typing import Final

NUMBER: Final = struct.Struct("i")
LARGEST: Final = 2**17
_PACKAGES: Final = ("contracts", "domain", "storage", "handlers", "adapters", "daemon")
_NOT_IMPORTED: Final = ("storage.migrations.",)
"""Alembic runs these."""

_LATER: Final = (
    "aiosqlite",
    "asyncpg",
    "httpx",
    "rich.table",
    "sqlalchemy.dialects.postgresql.asyncpg",
    "sqlalchemy.dialects.sqlite.aiosqlite",
)
"""What programs import only once they run."""


@cache
def import_all() -> None:
    for name in _PACKAGES:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.startswith(_NOT_IMPORTED):
                with suppress(ImportError):  # an optional package is not installed
                    importlib.import_module(found.name)
    for name in _LATER:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


class ForkServer:
    """Forks for each start that is asked for on a connection."""

    def __init__(self, listening: socket.socket) -> None:
        self._listening = listening
        self._connections: dict[int, socket.socket] = {}
        self._ends: dict[int, tuple[int, int]] = {}
        """By the descriptor that says that a program has ended: its process id, and the pipe to tell its code on."""
        self._ready = select.poll()

    def run(self) -> bool:
        """True in a fork, which is the program then; False at the end of all."""
        stdin = sys.stdin.fileno()
        self._ready.register(stdin, select.POLLIN)
        self._ready.register(self._listening, select.POLLIN)
        while True:
            for descriptor, _ in self._ready.poll():
                if descriptor == stdin:
                    self._end_programs()
                    return False
                if descriptor == self._listening.fileno():
                    self._accept()
                elif descriptor in self._ends:
                    self._tell_end(descriptor)
                elif self._fork_for(descriptor):
                    return True

    def _end_programs(self) -> None:
        """Those of a run that was broken off: nobody ends them any more."""
        for pid, _ in self._ends.values():
            os.kill(pid, signal.SIGTERM)

    def _accept(self) -> None:
        connection, _ = self._listening.accept()
        import_all()
        self._connections[connection.fileno()] = connection
        self._ready.register(connection, select.POLLIN)

    def _tell_end(self, end: int) -> None:
        pid, told = self._ends.pop(end)
        self._ready.unregister(end)
        os.close(end)
        _, status = os.waitpid(pid, 0)
        with suppress(BrokenPipeError):  # nobody waits for it any more
            os.write(told, NUMBER.pack(os.waitstatus_to_exitcode(status)))
        os.close(told)

    def _fork_for(self, descriptor: int) -> bool:
        asked, given, _, _ = socket.recv_fds(self._connections[descriptor], LARGEST, 4)
        if not asked:
            self._ready.unregister(descriptor)
            self._connections.pop(descriptor).close()
            return False
        *streams, told = given
        pid = os.fork()
        if pid == 0:
            self._listening.close()
            for connection in self._connections.values():
                connection.close()
            for inherited in (told, *self._ends, *(pipe for _, pipe in self._ends.values())):
                os.close(inherited)
            _become(json.loads(asked), streams)
            return True
        try:
            os.write(told, NUMBER.pack(pid))
        except BrokenPipeError:  # who asked for it has died: nobody would end it
            os.kill(pid, signal.SIGTERM)
        for stream in streams:
            os.close(stream)
        end = os.pidfd_open(pid)
        self._ends[end] = (pid, told)
        self._ready.register(end, select.POLLIN)
        return False


def _become(asked: dict[str, object], streams: list[int]) -> None:
    """All that a start hands to a program."""
    folder, environment, arguments = asked["folder"], asked["environment"], asked["arguments"]
    assert isinstance(folder, str)
    assert isinstance(environment, dict)
    assert isinstance(arguments, list)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    sys.argv = arguments


def _run() -> None:
    """The program, and what the interpreter does at its end, but for the taking apart of two thousand modules: that
    copies all the memory that a fork shares."""
    from daemon.cli import main

    code: object = None
    try:
        main()
    except SystemExit as ended:
        code = ended.code
    assert code is None or isinstance(code, int)
    threading._shutdown()  # type: ignore[attr-defined]  # the interpreter's own, as the next one
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code or 0)


if __name__ == "__main__":
    del sys.path[0]  # this file's folder, which no program has there
    with socket.socket(fileno=int(sys.argv[1])) as listening:
        forked = ForkServer(listening).run()
    if forked:
        _run()
