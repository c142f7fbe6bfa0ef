"""The embedded nats-server: our own child, on loopback, with a store that never has two servers.

Life: lock the store (ending a left-over of a killed daemon) → write the configuration (0600) → spawn → wait for the
ports file and for JetStream to be healthy → ready. :meth:`EmbeddedServer.watch` starts it again, on the port of the
first start, whenever it ends on its own. With ``sync="always"`` an acknowledged publish is on disk.
"""

import asyncio
import itertools
import json
import os
import re
import secrets
import socket
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import structlog

from adapters.errors import EmbeddedServerError, PortTakenError, ServerFailedError, StoreUnusableError
from adapters.nats.server.server_configuration import LOOPBACK, OWNER, ServerConfiguration, Sync, WebsocketUser
from adapters.nats.server.server_process import ServerProcess, failure, server_binary
from adapters.nats.server.store_lock import StoreLock

Restarted = Callable[[], Awaitable[None]]

MAX_PAYLOAD_BYTES: Final = 8 * 1024 * 1024
_WEBSOCKET_PORT: Final = "nats-websocket-port"
_SECRET: Final = re.compile(r"[A-Za-z0-9_-]{16,256}")
_HIGHEST_PORT: Final = 65_535
_POLL_S = 0.01
_MONITORING_TIMEOUT_S = 2.0
_OK, _NOT_ASKED = 200, 0
_PORT_PATIENCE_S = 5.0
_RESTART_DELAYS_S: Final = (0.0, 0.1, 0.5, 1.0, 2.0, 5.0)

log = structlog.get_logger(__name__)


class EmbeddedServer:
    """A nats-server with JetStream in ``store_dir``; its configuration, secrets and log live in ``state_dir``.

    ``port`` 0 takes any free port; ``websocket`` is the user for pages, where there is one.
    Raises :class:`EmbeddedServerError` (one line) where it cannot be had.
    """

    def __init__(
        self,
        store_dir: Path,
        state_dir: Path,
        *,
        port: int = 0,
        sync: Sync = "always",
        start_timeout_s: float = 30.0,
        stop_timeout_s: float = 10.0,
        max_payload: int = MAX_PAYLOAD_BYTES,
        websocket: WebsocketUser | None = None,
    ) -> None:
        self._store_dir = store_dir.absolute()
        self._state_dir = state_dir.absolute()
        self._port = port
        self._sync = sync
        self._start_timeout_s = start_timeout_s
        self._stop_timeout_s = stop_timeout_s
        self._max_payload = max_payload
        self._binary = server_binary()
        self._lock = StoreLock(self._store_dir, self._binary.name)
        self._process: ServerProcess | None = None
        self._secret = ""
        self._websocket = websocket
        self._websocket_secret = ""
        self._websocket_port = websocket.port if websocket is not None else 0
        self._monitoring_port = 0
        self._stopping = False
        self._change = asyncio.Lock()  # one launch or stop at a time
        self.restarts = 0

    @property
    def url(self) -> str:
        """Where clients connect, user and password included. It stays the same over restarts."""
        if not self._secret or not self._port:
            raise EmbeddedServerError("the embedded server has not been started")
        return f"nats://{OWNER}:{self._secret}@{LOOPBACK}:{self._port}"

    @property
    def websocket_url(self) -> str:
        """Where pages connect; empty where there is no user for them, or no server yet."""
        return f"ws://{LOOPBACK}:{self._websocket_port}" if self._websocket is not None and self._port else ""

    @property
    def websocket_secret(self) -> str:
        """The password of the user for pages."""
        return self._websocket_secret

    @property
    def port(self) -> int:
        """The port; 0 until the first start where any free one was asked for."""
        return self._port

    @property
    def pid(self) -> int | None:
        """The process id of the living server."""
        return self._process.pid if self._process is not None and self._process.returncode is None else None

    @property
    def store_dir(self) -> Path:
        return self._store_dir

    @property
    def log_file(self) -> Path:
        return self._state_dir / "nats-server.log"

    async def start(self) -> None:
        """Start the server and return when it takes publishes."""
        self._stopping = False
        _make_folder(self._state_dir)
        _make_folder(self._store_dir)
        self._secret = _secret(self._state_dir / "nats-token")
        if self._websocket is not None:
            self._websocket_secret = _secret(self._state_dir / f"nats-{self._websocket.name}-password")
            self._websocket_port = self._websocket_port or _last_port(self._state_dir / _WEBSOCKET_PORT)
        ended = await self._lock.acquire()
        for pid in ended:
            log.warning("left_over_nats_server_ended", pid=pid, store_dir=str(self._store_dir))
        try:
            async with self._change:
                await self._launch()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """End the server and free the store; stopping what never started, or twice, is fine."""
        self._stopping = True
        async with self._change:
            await self._end_process()
            self._process = None
            self._lock.release()

    async def restart(self) -> None:
        """End the running server, for :meth:`watch` to start it again: the cure of one that takes no publish."""
        await self._end_process()

    async def trouble(self) -> str:
        """What the server says is wrong with it; empty where it is well, or where it could not be asked: it is not ill
        because this process lacks a descriptor.

        After a failed write (a full disk) a stream answers no publish until the server is restarted, while other
        streams and every ping go on as if nothing were; only this tells.
        """
        status, answer = await _get(self._monitoring_port, "/healthz")
        if status in (_OK, _NOT_ASKED):
            return ""
        try:
            return str(json.loads(answer)["error"])
        except (ValueError, KeyError, TypeError):
            return f"the server's health check answered {status}"

    async def watch(self, restarted: Restarted) -> None:
        """Keep the server alive until :meth:`stop`; ``restarted`` is awaited after each new start.

        Raises :class:`PortTakenError` where another program has taken the port, for clients could not find the server
        again. Any other failure to start is tried again, more slowly each time.
        """
        while self._process is not None:
            returncode = await self._process.wait()
            if self._stopping:
                return
            log.error("nats_server_ended", returncode=returncode, pid=self._process.pid)
            if not await self._relaunch():
                return
            self.restarts += 1
            log.warning("nats_server_restarted", pid=self.pid, port=self._port)
            await restarted()

    async def _relaunch(self) -> bool:
        """Try until the server runs again (true) or is told to stop meanwhile (false)."""
        for attempt in itertools.count():
            await asyncio.sleep(_RESTART_DELAYS_S[min(attempt, len(_RESTART_DELAYS_S) - 1)])
            async with self._change:
                if self._stopping:
                    break
                try:
                    await self._launch()
                except PortTakenError:
                    raise
                except (EmbeddedServerError, OSError, RuntimeError, MemoryError) as error:
                    # A lack of descriptors, memory or threads passes like any other.
                    log.warning("nats_server_restart_failed", reason=str(error), attempt=attempt + 1)
                    await self._end_process()
                else:
                    return True
        return False

    async def _end_process(self) -> None:
        if self._process is not None:
            await self._process.end(self._stop_timeout_s)

    async def _launch(self) -> None:
        for port in filter(None, (self._port, self._websocket_port)):
            await _wait_until_free(port)
        for stale in self._state_dir.glob("nats-server_*.ports"):
            stale.unlink(missing_ok=True)
        config = self._state_dir / "nats-server.conf"
        _write_private(config, self._configuration())
        output = self._state_dir / "nats-server.out"
        self.log_file.touch(mode=0o600)  # the server would have others of the group read it
        deadline = time.monotonic() + self._start_timeout_s
        command = [str(self._binary), "-c", str(config)]
        self._process = ServerProcess.spawn(command, inherit=self._lock.fd, output=output)
        ports = await self._ports(self._process, deadline)
        await self._healthy(self._process, ports.monitoring, deadline)
        self._port, self._monitoring_port = ports.nats, ports.monitoring
        if ports.websocket:
            # Pages that are open find the server again after the daemon was started anew.
            self._websocket_port = ports.websocket
            _write_private(self._state_dir / _WEBSOCKET_PORT, str(ports.websocket))

    def _configuration(self) -> str:
        return ServerConfiguration(
            state_dir=self._state_dir,
            store_dir=self._store_dir,
            log_file=self.log_file,
            port=self._port,
            sync=self._sync,
            max_payload=self._max_payload,
            secret=self._secret,
            websocket=self._websocket,
            websocket_port=self._websocket_port,
            websocket_secret=self._websocket_secret,
        ).text()

    async def _ports(self, process: ServerProcess, deadline: float) -> "_Ports":
        """The ports, from the file that the server writes when it listens."""
        path = self._state_dir / f"{self._binary.name}_{process.pid}.ports"
        while True:
            listed = _read_ports(path, websocket=self._websocket is not None)
            if listed is not None:
                return listed
            await self._still_starting(process, deadline)

    async def _healthy(self, process: ServerProcess, monitoring_port: int, deadline: float) -> None:
        # Only that JetStream is up: a stream that is in trouble must not keep the server from starting.
        while (await _get(monitoring_port, "/healthz?js-enabled-only=true"))[0] != _OK:
            await self._still_starting(process, deadline)

    async def _still_starting(self, process: ServerProcess, deadline: float) -> None:
        returncode = process.returncode
        if returncode is not None:
            raise failure(self._state_dir / "nats-server.out", self.log_file, returncode)
        if time.monotonic() > deadline:
            waited = f"{self._start_timeout_s:g} s"
            raise ServerFailedError(f"nats-server was not ready within {waited}; see {self.log_file}")
        await asyncio.sleep(_POLL_S)


class _Ports(NamedTuple):
    nats: int
    monitoring: int
    websocket: int


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnusableError(f"cannot make the folder {folder}: {error.strerror}") from error
    probe = folder / f".write-{os.getpid()}"
    try:
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise StoreUnusableError(f"cannot write in {folder}: {error.strerror}") from error


def _secret(path: Path) -> str:
    """A user's password: made once and kept, so that a restart does not lock workers out. What is none is replaced."""
    try:
        kept = path.read_bytes().strip().decode("ascii", "replace") if path.exists() else ""
        if _SECRET.fullmatch(kept):
            path.chmod(0o600)
            return kept
    except OSError as error:
        raise StoreUnusableError(f"cannot keep the server's secret in {path}: {error.strerror}") from error
    if kept:
        log.warning("secret_unreadable", file=str(path))
    made = secrets.token_hex(32)
    _write_private(path, made)
    return made


def _write_private(path: Path, text: str) -> None:
    """Write a file that only we may read; it is never readable by others, not even for a moment."""
    try:
        path.unlink(missing_ok=True)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise StoreUnusableError(f"cannot write {path}: {error.strerror}") from error


async def _wait_until_free(port: int) -> None:
    """A port of our own last server, or a client's reconnect attempt from that very port, is free again in moments."""
    deadline = time.monotonic() + _PORT_PATIENCE_S
    while not _is_free(port):
        if time.monotonic() > deadline:
            raise PortTakenError(f"port {port} on {LOOPBACK} is taken by another program")
        await asyncio.sleep(0.1)


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except PermissionError as error:
            raise EmbeddedServerError(f"port {port} may not be used: {error.strerror}") from error
        except OSError:
            return False
        return True


def _last_port(path: Path) -> int:
    """The port that pages know from the last start; 0 where there was none or something else has it now."""
    try:
        port = int(path.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 0 < port <= _HIGHEST_PORT and _is_free(port) else 0


def _read_ports(path: Path, *, websocket: bool) -> _Ports | None:
    try:
        listed = json.loads(path.read_bytes())
        pages = _port_of(listed["websocket"][0]) if websocket else 0
        return _Ports(_port_of(listed["nats"][0]), _port_of(listed["monitoring"][0]), pages)
    except (OSError, ValueError, KeyError, IndexError):
        return None  # not written yet, or half written


def _port_of(url: str) -> int:
    port = urlsplit(url).port
    if port is None:
        raise ValueError(f"no port in {url}")
    return port


async def _get(monitoring_port: int, path: str) -> tuple[int, bytes]:
    """Ask the monitoring port; status 0 where there is no answer, whosever fault that is."""
    try:
        async with asyncio.timeout(_MONITORING_TIMEOUT_S):
            reader, writer = await asyncio.open_connection(LOOPBACK, monitoring_port)
            try:
                writer.write(f"GET {path} HTTP/1.0\r\nHost: {LOOPBACK}\r\n\r\n".encode())
                head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
            finally:
                writer.close()
        return int(head.split(b" ", 2)[1]), body
    except (OSError, TimeoutError, IndexError, ValueError):
        return _NOT_ASKED, b""
