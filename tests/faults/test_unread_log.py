"""Nobody reads the log: lines are lost and counted, and the daemon works on."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.daemon.operations.operating import operating, wrong
from tests.support.commands import metric
from tests.support.daemons import DaemonProcess, eventually

pytestmark = pytest.mark.process


@pytest.fixture
def unread(tmp_path: Path) -> Iterator[DaemonProcess]:
    """A daemon whose log goes to a pipe of one page that nobody empties."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4_096)
    daemon = DaemonProcess(tmp_path)
    try:
        daemon.start(output=writer)
        yield daemon
    finally:
        daemon.end()
        os.close(writer)
        os.close(reader)


async def test_an_unread_log_costs_lines_and_nothing_else(unread: DaemonProcess) -> None:
    async with operating(unread) as operator:
        for number in range(100):
            await operator.publish(wrong(number))
        await operator.letters(100)
        health = await operator.result("health-check")

    assert health["status"] in ("healthy", "degraded")
    eventually(lambda: metric(unread.http_url, "headgate_log_lines_dropped_total") > 0)
    assert unread.terminate() == 0
