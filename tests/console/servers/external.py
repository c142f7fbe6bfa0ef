"""A daemon on a server of somebody else's, which has users for pages."""

import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from adapters.nats.server.server_process import server_binary
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.ports import free_port
from tests.support.waiting import PATIENCE_S


@dataclass
class ExternalServer:
    """``users`` is what its configuration says of who may connect; ``page_port`` is where the page comes from."""

    folder: Path
    users: str
    websocket: str = ""
    page_port: int = field(default_factory=free_port)
    nats_port: int = field(default_factory=free_port)
    ws_port: int = field(default_factory=free_port)

    def start(self) -> None:
        config = self.folder / "nats.conf"
        config.write_text(
            f"""
            host: 127.0.0.1
            port: {self.nats_port}
            jetstream {{ store_dir: {json.dumps(str(self.folder / "store"))} }}
            websocket {{
              host: 127.0.0.1, port: {self.ws_port}, no_tls: true
              allowed_origins: ["http://127.0.0.1:{self.page_port}"]
              {self.websocket}
            }}
            {self.users}
            """
        )
        self._process = subprocess.Popen([str(server_binary()), "-c", str(config)], stderr=subprocess.DEVNULL)

    @contextmanager
    def halted(self) -> Iterator[None]:
        """It answers nothing meanwhile, and its connections stay open."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(PATIENCE_S)

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE_S)


@contextmanager
def daemon_on(server: ExternalServer, nats: str, more: str) -> Iterator[DaemonProcess]:
    """A running *server* and a daemon on it; *nats* is how the daemon signs in, *more* other settings."""
    server.start()
    try:
        settings = f'[nats]\nmode = "external"\n{nats}\n{more}\n'
        with running_daemon(server.folder / "daemon", settings) as process:
            yield process
    finally:
        server.stop()
