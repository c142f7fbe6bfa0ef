"""The real daemon as a process of its own, in a home of its own, for tests of every kind.

``with running_daemon(tmp_path) as daemon:`` is ready when the block begins, and whatever became of it in the block,
none of its processes outlives it. What blocks here blocks a test's event loop too: a start takes a second.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from tests.support.starts.programs import PROGRAM, Running, start
from tests.support.waiting import PATIENCE_S, never_true, pauses

T = TypeVar("T")


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without settings of a headgate, and with these instead."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("HEADGATE_")}
    return inherited | settings


def eventually(fact: Callable[[], T], *, within_s: float = PATIENCE_S) -> T:
    """The first true value of ``fact``; fails when there is none within the deadline."""
    for pause_s in pauses(within_s):
        if value := fact():
            return value
        time.sleep(pause_s)
    raise never_true(within_s)


class DaemonProcess:
    """``headgate serve`` on the folder *home*. ``settings`` is TOML that goes into its ``config.toml``; what is not in
    it has its default (embedded server, SQLite, all files below *home*). *program* stands in for ``headgate``.
    """

    def __init__(
        self,
        home: Path,
        settings: str = "",
        *,
        variables: Mapping[str, str] | None = None,
        program: Sequence[str] = PROGRAM,
    ) -> None:
        self._program = program
        self.home = home
        self.config = home / "config.toml"
        self._variables = dict(variables or {})
        self._process: Running | None = None
        home.mkdir(parents=True, exist_ok=True)
        self.config.write_text(settings, encoding="utf-8")
        self.config.chmod(0o600)

    # -- what is known of it

    @property
    def pid(self) -> int:
        return self._running().pid

    @property
    def state_dir(self) -> Path:
        return self.home / "var"

    @property
    def database(self) -> Path:
        return self.state_dir / "headgate.db"

    @property
    def runtime(self) -> dict[str, str]:
        """``runtime.json``; raises ``FileNotFoundError`` where the daemon is not ready."""
        found = json.loads((self.state_dir / "runtime.json").read_text(encoding="utf-8"))
        return {name: str(value) for name, value in found.items()}

    @property
    def nats_url(self) -> str:
        return self.runtime["nats_url"]

    @property
    def http_url(self) -> str:
        return self.runtime["http_url"]

    @property
    def logs(self) -> list[dict[str, object]]:
        """Every line that it logged, over all its lives; lines that are no JSON stand under ``text``."""
        path = self.home / "daemon.log"
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []
        return [_read(line) for line in lines]

    def events(self, name: str) -> list[dict[str, object]]:
        """The log lines of one event."""
        return [line for line in self.logs if line.get("event") == name]

    # -- what is done to it

    def start(self, *, wait: bool = True, output: int | None = None) -> None:
        """Start it, for the first time or again on what is left of it; ready after that, unless told otherwise. Its log
        goes to a file, or to the descriptor *output*."""
        assert self._process is None or self._process.poll() is not None, "it is running"
        (self.state_dir / "runtime.json").unlink(missing_ok=True)
        with (self.home / "daemon.log").open("ab") as log, Path(os.devnull).open("rb") as nothing:
            said = log.fileno() if output is None else output
            self._process = start(
                ["serve", "--config", str(self.config), "--json"],
                program=self._program,
                folder=self.home,
                environment=environment(**self._variables),
                streams=(nothing.fileno(), said, said),
            )
        if wait:
            self.wait_ready()

    def wait_ready(self, within_s: float = PATIENCE_S) -> None:
        """Until it has written its runtime file."""

        def ready() -> bool:
            process = self._running()
            assert process.poll() is None, f"the daemon ended with {process.poll()}: {self.logs[-5:]}"
            try:
                return self.runtime["pid"] == str(process.pid)
            except (FileNotFoundError, ValueError):
                return False

        eventually(ready, within_s=within_s)

    def signal(self, number: signal.Signals) -> None:
        self._running().send_signal(number)

    def kill9(self) -> None:
        """SIGKILL: it gets no chance to end anything."""
        process = self._running()
        process.kill()
        process.wait(PATIENCE_S)

    def kill_nats_server(self) -> None:
        """SIGKILL for its embedded server, which it starts again."""
        pid = self.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split()
        (server,) = [int(child) for child in children if Path(f"/proc/{child}/comm").read_text() == "nats-server\n"]
        os.kill(server, signal.SIGKILL)

    def terminate(self) -> int:
        """SIGTERM, and its exit code once it has ended."""
        process = self._running()
        process.terminate()
        return process.wait(PATIENCE_S)

    def wait_end(self, within_s: float = PATIENCE_S) -> int:
        """The exit code of a daemon that ends by itself."""
        return self._running().wait(within_s)

    def end(self) -> None:
        """Whatever its state: it is gone afterwards."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.terminate()
        process.send_signal(signal.SIGCONT)  # a test may have stopped it
        try:
            process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(PATIENCE_S)

    def _running(self) -> Running:
        assert self._process is not None, "it was never started"
        return self._process


@contextmanager
def running_daemon(
    home: Path, settings: str = "", *, variables: Mapping[str, str] | None = None
) -> Iterator[DaemonProcess]:
    """A daemon that is ready, ended with the block. *variables* are added to its environment."""
    daemon = DaemonProcess(home, settings, variables=variables)
    try:
        daemon.start()
        yield daemon
    finally:
        daemon.end()


def _read(line: str) -> dict[str, object]:
    try:
        found = json.loads(line)
    except ValueError:
        return {"text": line}
    return found if isinstance(found, dict) else {"text": line}
