"""deploy/compose.yaml, its services run without containers: healthy by its own checks, scraped, and alerting."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.daemons import environment

UNSHARE = ("unshare", "--mount", "--net", "--fork", "--kill-child")


def may_have_namespaces() -> bool:
    """Whether this user may make a network and a mount namespace."""
    if os.geteuid() or not shutil.which("unshare"):
        return False
    return subprocess.run(["unshare", "--mount", "--net", "true"], capture_output=True, check=False).returncode == 0


needed = ("prometheus", "prometheus-alertmanager", "wget")
pytestmark = [
    pytest.mark.process,
    pytest.mark.postgres,
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.skipif(not may_have_namespaces(), reason="namespaces cannot be made here"),
    pytest.mark.skipif(
        not all(map(shutil.which, needed)), reason=f"{', '.join(needed)} are needed, from Debian's packages"
    ),
]


def test_the_composition_is_healthy_scraped_and_tells_its_alerts(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    done = subprocess.run(
        [*UNSHARE, sys.executable, "-m", "tests.deploy.composition", str(folder), "HeadgateUsageUnpriced"],
        cwd=Path(__file__).parents[2],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=380,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert (seen["published"], seen["alerts"]) == (1, ["HeadgateUsageUnpriced"])
    assert seen["targets"] == {"headgate": "up", "headgate-bridge": "up"}
    # The server of the tests need not survive a crash, and the daemon says so.
    assert list(seen["unwell"]) == ["database"]
    assert "fsync is off" in seen["unwell"]["database"]
