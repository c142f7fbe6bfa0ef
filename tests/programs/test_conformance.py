"""``headgate conformance worker``: the worker of the page keeps every rule, and one that breaks some is told which."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.programs.conftest import program
from tests.support.daemons import HEADGATE

pytestmark = [pytest.mark.process, pytest.mark.slow]

SPOILED = (
    ('"attempt": self.order["attempt"]', '"attempt": 1'),
    ("raise Stop(code)", "pass"),
    ("        task.cancel()", "        pass"),
    ("await message.term()", "await message.nak(delay=1)"),
)


def tried(file: Path) -> tuple[int, dict[str, Any]]:
    command = [str(HEADGATE), "conformance", "worker", "--subject", "hg.work.job.process", "--json"]
    done = subprocess.run(
        [*command, "--work-s", "20", "--exec", f"{sys.executable} {file}"],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    return done.returncode, json.loads(done.stdout)


def test_the_worker_of_the_page_keeps_every_rule(tmp_path: Path) -> None:
    file = tmp_path / "worker.py"
    file.write_text(program("workers.md", "worker.py"))
    code, told = tried(file)
    assert (code, told["broken"]) == (0, 0), told
    assert all(verdict["outcome"] == "kept" for verdict in told["verdicts"])


def test_a_worker_that_breaks_rules_is_told_which(tmp_path: Path) -> None:
    text = program("workers.md", "worker.py")
    for right, wrong in SPOILED:
        assert right in text
        text = text.replace(right, wrong)
    file = tmp_path / "worker.py"
    file.write_text(text.replace('"0.2"', '"2"'))
    code, told = tried(file)
    broken = {verdict["rule"].split(":")[0] for verdict in told["verdicts"] if verdict["outcome"] == "broken"}
    assert code == 1
    assert broken == {"malformed work", "again, attempt", "cancellation"}, told


def test_a_subject_that_is_none_of_work_is_told(tmp_path: Path) -> None:
    command = [str(HEADGATE), "conformance", "worker", "--subject", "hg.ingest.session.usage"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 4
    assert "no subject of work" in done.stderr
