"""Child processes: started fresh for each measurement, looked at through /proc, ended for certain."""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import psutil

_TICKS_PER_S: Final = os.sysconf("SC_CLK_TCK")
_STOP_S: Final = 20.0


class Child:
    """A running child whose output goes to a file."""

    def __init__(self, process: "subprocess.Popen[bytes]", output: Path) -> None:
        self._process = process
        self._output = output

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def output(self) -> Path:
        return self._output

    def ended(self) -> bool:
        return self._process.poll() is not None

    def last_words(self) -> str:
        """The end of what it printed."""
        return self._output.read_bytes()[-2_000:].decode("utf-8", "replace").strip() or "(it printed nothing)"

    def cpu_s(self) -> float:
        """Processor time so far, user and system, of all its threads."""
        return self.cpu_s_of(self.pid)

    @staticmethod
    def cpu_s_of(pid: int) -> float:
        """The same of any process."""
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S

    def memory_mib(self) -> tuple[float, float]:
        """Resident memory now and at its highest (VmRSS, VmHWM)."""
        lines = Path(f"/proc/{self.pid}/status").read_text(encoding="utf-8").splitlines()
        status = dict(line.split(":", 1) for line in lines)
        return _mib(status["VmRSS"]), _mib(status["VmHWM"])

    async def stop(self) -> int:
        """SIGTERM, then SIGKILL where that does not help; answers the exit status."""
        if self._process.poll() is None:
            self._process.terminate()
        try:
            return await asyncio.to_thread(self._process.wait, _STOP_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return await asyncio.to_thread(self._process.wait)


class OthersWatch:
    """How much of the machine programs that are none of ours took since this was made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self._others = _busy_s() - _own_s()

    def share(self) -> float:
        """0 (we were alone) to 1 (nothing was left for us); ask while the children are alive."""
        available = (time.perf_counter() - self._started) * (psutil.cpu_count() or 1)
        return max(0.0, (_busy_s() - _own_s() - self._others) / available)


def _busy_s() -> float:
    """Processor time that the machine has spent on anything, the hypervisor's takings included."""
    times = psutil.cpu_times()
    return sum(times) - times.idle - times.iowait - times.guest - times.guest_nice


def _own_s() -> float:
    """Processor time of this process and its living children."""
    own = psutil.Process()
    family = [own, *own.children(recursive=True)]
    return sum(sum(member.cpu_times()[:2]) for member in family)


def _mib(value: str) -> float:
    return int(value.split(maxsplit=1)[0]) / 1024


@asynccontextmanager
async def child(command: Sequence[str | Path], output: Path) -> AsyncIterator[Child]:
    """Run *command* for the length of the block."""
    with output.open("wb") as file:
        process = subprocess.Popen(  # noqa: ASYNC220 - a fork of a few milliseconds, outside of anything timed
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=file, stderr=subprocess.STDOUT
        )
    running = Child(process, output)
    try:
        yield running
    finally:
        await running.stop()
