"""The exported contracts, read by what other languages read them with."""

import subprocess
from pathlib import Path

from contracts.schemas.export import export
from daemon.version import VERSION


def test_ajv_compiles_every_schema_strictly_and_the_official_parser_reads_asyncapi(
    compiled: Path, tmp_path: Path
) -> None:
    export(tmp_path, version=VERSION)
    command = ["node", "read-contracts.mjs", str(tmp_path)]
    done = subprocess.run(command, cwd=compiled, capture_output=True, text=True, check=False, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
