"""Each command that needs a daemon does its work as users start it: most other tests fork their programs."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command_line import headgate
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.records.usage_records import envelope, lines

pytestmark = [pytest.mark.process, pytest.mark.fresh]


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """With a dead letter."""
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        refused = headgate("publish", "--config", running.config, stdin=lines(envelope("bad", status="x")))
        assert refused.code == 1, refused.err
        yield running


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (("ops", "health-check"), "headgate is healthy"),
        (("ask", "hg.cmd.project.list", "{}"), "nothing found"),
        (("dead-letters", "list"), "VALIDATION_ERROR"),
        (("console", "--no-open"), "http://127.0.0.1"),
        (("publish",), "1  accepted"),
    ],
    ids=lambda command: " ".join(command) if isinstance(command, tuple) else "",
)
def test_a_command_does_its_work(daemon: DaemonProcess, command: tuple[str, ...], told: str) -> None:
    done = headgate(*command, "--config", daemon.config, stdin=lines(envelope("good")))
    assert done.code == 0, done.err
    assert told in done.out


def test_what_is_asked_for_as_json_is_json(daemon: DaemonProcess) -> None:
    done = headgate("ops", "health-check", "--json", "--config", daemon.config)
    assert json.loads(done.out)["status"] == "healthy"


def test_without_a_daemon_it_is_exit_code_3(tmp_path: Path) -> None:
    assert headgate("ops", "health-check", cwd=tmp_path).code == 3
