"""The scanner's verdict: clean, refused, or none at all."""

from pathlib import Path

import pytest

from adapters.media.scanning import ScanFailedError, Verdict, scan
from tests.support.waiting import PATIENCE_S


async def verdict(tmp_path: Path, script: str, *, timeout_s: float = PATIENCE_S) -> Verdict:
    program = tmp_path / "scan.sh"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    file = tmp_path / "a file.png"
    file.write_bytes(b"x")
    return await scan([str(program)], file, timeout_s=timeout_s)


async def test_the_exit_code_is_the_verdict(tmp_path: Path) -> None:
    assert await verdict(tmp_path, 'test -f "$1"') is Verdict.CLEAN
    assert await verdict(tmp_path, "exit 1") is Verdict.REFUSED


def _runs(pid: str) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("script", ["kill -9 $$", "exit 127", "exit 126"])
async def test_a_scan_that_crashes_comes_to_no_verdict(tmp_path: Path, script: str) -> None:
    with pytest.raises(ScanFailedError):
        await verdict(tmp_path, script)


async def test_a_scan_that_hangs_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ScanFailedError, match="no end"):
        await verdict(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 600", timeout_s=3)
    assert not _runs((tmp_path / "pid").read_text().strip())


async def test_a_scanner_that_is_not_there_comes_to_no_verdict(tmp_path: Path) -> None:
    with pytest.raises(ScanFailedError, match="could not be started"):
        await scan([str(tmp_path / "nothing")], tmp_path, timeout_s=1)
