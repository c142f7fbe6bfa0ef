"""Reading a daemon's HTTP endpoints at an interval, also over its restarts."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

from contracts.errors import JsonObject
from contracts.values.times import format_micros
from daemon.cli.watch.watch_figures import Figures, Metrics, figures
from daemon.process.runtime_file import NoDaemonError, find_daemon

_TIMEOUT_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at the daemon: its figures, or the reason why there are none."""

    at: str
    address: str
    figures: Figures | None
    reason: str = ""

    def as_json(self) -> JsonObject:
        if self.figures is None:
            return {"at": self.at, "ready": False, "error": self.reason}
        return self.figures.as_json()


def readings(state_dir: Path, interval_s: float) -> Iterator[Reading]:
    """One reading now, and one each interval for ever. What is counted by the second begins with the second one."""
    earlier: tuple[int, Metrics] | None = None
    due = time.monotonic()
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=False) as client:
        while True:
            at = format_micros(time.time_ns() // 1_000)
            address = ""
            try:
                # Asked anew each time: a daemon that was started again listens elsewhere, and counts from nothing.
                runtime = find_daemon(state_dir)
                address = runtime.http_url
                now, readiness = _read(client, address)
                before = earlier[1] if earlier and earlier[0] == runtime.pid else None
                earlier = runtime.pid, now
                yield Reading(at, address, figures(now, before, readiness, at))
            except (NoDaemonError, ValueError) as error:
                yield Reading(at, address, None, str(error))
            except httpx.HTTPError as error:
                yield Reading(at, address, None, f"no answer from {address}: {str(error) or type(error).__name__}")
            due = max(due + interval_s, time.monotonic())
            time.sleep(max(0.0, due - time.monotonic()))


def _read(client: httpx.Client, address: str) -> tuple[Metrics, JsonObject]:
    """Raises ``httpx.HTTPError``, or ``ValueError`` or :class:`NoDaemonError` where something else answers."""
    answer = client.get(f"{address}/metrics").raise_for_status()
    metrics = Metrics(answer.text, time.monotonic())
    readiness = client.get(f"{address}/readyz").json()  # 503 while it is not ready, with the same body
    if not isinstance(readiness, dict):
        raise NoDaemonError(f"what answers at {address} is no headgate")
    return metrics, readiness
