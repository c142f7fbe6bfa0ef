"""What a start loads: libraries that are of no use to a daemon cost neither its time nor its memory."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from tests.support.daemons import DaemonProcess, environment
from tests.support.starts.programs import HEADGATE

pytestmark = [pytest.mark.process, pytest.mark.fresh]

TRACED: Final = (sys.executable, "-X", "importtime", str(HEADGATE))
IMPORTED: Final = re.compile(r"import time:.*\| +(\S+)$")

OF_NO_USE: Final = {"alembic", "asyncpg", "genai_prices", "httpx", "rich.console", "sqlalchemy.orm", "typer"}
OF_NO_USE_TO_A_VERSION: Final = {"asyncio", "httpx", "nats", "pydantic", "rich.console", "sqlalchemy"}


def imported(lines: list[str]) -> set[str]:
    return {found[1] for line in lines if (found := IMPORTED.match(line))}


def test_a_daemon_on_sqlite_loads_neither_migrations_nor_drivers_nor_clients_that_it_has_no_use_for(
    tmp_path: Path,
) -> None:
    daemon = DaemonProcess(tmp_path / "home", program=TRACED)
    try:
        daemon.start()
    finally:
        daemon.end()

    loaded = imported([str(line.get("text", "")) for line in daemon.logs])

    assert "sqlalchemy" in loaded
    assert loaded & OF_NO_USE == set()
    assert [name for name in loaded if name.startswith("sqlalchemy.dialects.postgresql")] == []


def test_the_version_is_told_without_what_commands_need() -> None:
    ran = subprocess.run([*TRACED, "--version"], capture_output=True, text=True, env=environment(), check=True)

    loaded = imported(ran.stderr.splitlines())

    assert "typer" in loaded
    assert loaded & OF_NO_USE_TO_A_VERSION == set()
