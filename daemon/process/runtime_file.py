"""``runtime.json``: how the command line finds the daemon of a state directory, and with which credentials."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from daemon.process.state_files import write_own
from daemon.process.state_lock import is_held

_NAME: Final = "runtime.json"


class NoDaemonError(Exception):
    """No daemon can be spoken to; the message is one line for the operator."""


@dataclass(frozen=True, slots=True)
class Runtime:
    """A daemon that is ready."""

    pid: int
    nats_url: str
    """Credentials included: the file is for its owner only."""
    http_url: str
    started_at: str
    """RFC 3339."""

    def __repr__(self) -> str:
        return f"Runtime(pid={self.pid}, http_url={self.http_url!r}, started_at={self.started_at!r})"


def write_runtime(state_dir: Path, runtime: Runtime) -> None:
    """Put the file in place in one step, readable by its owner alone from its first moment. Raises ``OSError``."""
    write_own(state_dir / _NAME, f"{json.dumps(asdict(runtime))}\n".encode())


def remove_runtime(state_dir: Path) -> None:
    """Take the file away; one that is not there is fine. Raises ``OSError``."""
    (state_dir / _NAME).unlink(missing_ok=True)


def find_daemon(state_dir: Path) -> Runtime:
    """The daemon that runs on *state_dir*. Raises :class:`NoDaemonError`.

    A file left by a daemon that was killed is known by the lock that nobody holds: process ids are used again.
    """
    if not _held(state_dir):
        raise NoDaemonError(f"no daemon is running on {state_dir} (start one: headgate serve)")
    try:
        found = json.loads((state_dir / _NAME).read_text(encoding="utf-8"))
        return Runtime(**found)
    except FileNotFoundError:
        raise NoDaemonError(f"the daemon on {state_dir} is not ready yet") from None
    except OSError as error:
        raise NoDaemonError(f"{state_dir / _NAME} cannot be read: {error.strerror}") from None
    except (ValueError, TypeError):
        raise NoDaemonError(f"{state_dir / _NAME} is not the file of this version's daemon") from None


def _held(state_dir: Path) -> bool:
    try:
        return is_held(state_dir)
    except OSError as error:
        raise NoDaemonError(f"{state_dir} cannot be read: {error.strerror}") from None
