"""The programs that stand in the pages, as files; and Node's packages, where Node is there."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

import pytest

from tests.running.sharing import alone, folder_of_run

DOCS: Final = Path(__file__).parents[2] / "docs"
_HERE: Final = Path(__file__).parent


def program(page: str, name: str) -> str:
    """The program that a page has under a file's name."""
    text = (DOCS / page).read_text(encoding="utf-8")
    (found,) = re.findall(rf"^```\w+ file={re.escape(name)}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture(scope="session")
def compiled(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """The folder of the TypeScript programs, checked and compiled once in a run; skips where there is no Node or no
    registry."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("Node is not installed")
    assert pytestconfig.cache is not None
    folder = pytestconfig.cache.mkdir("node_programs")
    done = folder_of_run(tmp_path_factory, worker_id) / "node_programs.compiled"
    with alone(folder / ".lock"):
        if not done.exists():
            _compile(npm, folder)
            done.touch()
    return folder


def _compile(npm: str, folder: Path) -> None:
    for name in ("package.json", "tsconfig.json", "read-contracts.mjs"):
        shutil.copy(_HERE / name, folder / name)
    for page, name in (("workers.md", "worker.ts"), ("producers.md", "producer.ts")):
        (folder / name).write_text(program(page, name), encoding="utf-8")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefer-offline"]
    installed = subprocess.run(install, cwd=folder, capture_output=True, text=True, check=False, timeout=180)
    if installed.returncode != 0:
        pytest.skip(f"npm install: {installed.stderr[-300:]}")
    tsc = subprocess.run(["node_modules/.bin/tsc", "-p", "."], cwd=folder, capture_output=True, text=True, check=False)
    assert tsc.returncode == 0, tsc.stdout
