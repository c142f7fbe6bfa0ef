"""What NATS does not permit is told by its subject, at once, and never as published."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from adapters.nats.server.server_process import server_binary
from tests.support.command_line import headgate
from tests.support.daemons import eventually
from tests.support.records.usage_records import envelope

pytestmark = pytest.mark.process

CONFIGURATION = """
listen: "127.0.0.1:-1"
ports_file_dir: "{folder}"
jetstream {{ store_dir: "{folder}/store" }}
authorization {{ users: [
  {{ user: all, password: pw }}
  {{ user: mute, password: pw, permissions {{ publish: {{ allow: ["other.>"] }}, subscribe: {{ allow: [">"] }} }} }}
  {{ user: deaf, password: pw, permissions {{ publish: {{ allow: [">"] }}, subscribe: {{ allow: ["other.>"] }} }} }}
] }}
"""
_PATIENCE = ("--timeout", "600")
"""Longer than a test waits for the program: what is told is told because of the refusal."""


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A server on which two users may do less than they try."""
    folder = tmp_path / "nats"
    folder.mkdir()
    (folder / "server.conf").write_text(CONFIGURATION.format(folder=folder))
    with subprocess.Popen([server_binary(), "-c", folder / "server.conf"], stderr=subprocess.DEVNULL) as server:
        try:
            ports = eventually(lambda: next(folder.glob("*.ports"), None))
            assert ports is not None
            [url] = json.loads(ports.read_text())["nats"]
            yield url.removeprefix("nats://")
        finally:
            server.kill()


def test_publishing_without_the_right_to_is_told_and_not_counted(address: str, tmp_path: Path) -> None:
    command = ("publish", "--nats-url", f"nats://mute:pw@{address}", "--json", *_PATIENCE)
    done = headgate(*command, stdin=json.dumps(envelope("a:1")), cwd=tmp_path)
    assert done.code == 1
    assert "refuses permission to publish to hg.ingest.session.usage" in done.out
    assert done.json["published"] == 0


def test_a_command_without_the_right_to_ask_is_told(address: str, tmp_path: Path) -> None:
    done = headgate("ops", "health-check", "--nats-url", f"nats://mute:pw@{address}", *_PATIENCE, cwd=tmp_path)
    assert (done.code, done.err) == (3, "NATS refuses permission to publish to hg.ops.health-check\n")


def test_a_command_without_the_right_to_hear_the_answer_is_told(address: str, tmp_path: Path) -> None:
    done = headgate("ask", "hg.cmd.job.get", "--nats-url", f"nats://deaf:pw@{address}", *_PATIENCE, cwd=tmp_path)
    assert done.code == 3
    assert done.err.startswith("NATS refuses permission to listen to _inbox.")
