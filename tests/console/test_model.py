"""The console's pure part and its types, run by Node where `make console` has fetched the libraries."""

import shutil
import subprocess

import pytest

from daemon.http.console_build import HERE, has_node

pytestmark = [
    pytest.mark.process,
    pytest.mark.skipif(not has_node(), reason="there is no Node on the PATH"),
    pytest.mark.skipif(not (HERE / "node_modules").is_dir(), reason="no libraries: make console"),
]


def _npm(script: str) -> "subprocess.CompletedProcess[str]":
    npm = shutil.which("npm")
    assert npm is not None
    return subprocess.run(
        [npm, "run", "--silent", script], cwd=HERE, capture_output=True, text=True, check=False, timeout=240
    )


def test_the_model_keeps_its_promises() -> None:
    done = _npm("test")
    assert done.returncode == 0, done.stdout[-4_000:]


def test_the_types_of_the_page_hold() -> None:
    done = _npm("check")
    assert done.returncode == 0, done.stdout[-4_000:]
