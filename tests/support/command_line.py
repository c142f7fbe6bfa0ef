"""The installed command, run as a user runs it."""

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.daemons import HEADGATE, environment

Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Done:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Json:
        """What it said on standard output, as one JSON object."""
        found = json.loads(self.out)
        assert isinstance(found, dict)
        return found


def headgate(
    *arguments: str | Path,
    stdin: str | bytes = b"",
    cwd: Path | None = None,
    variables: Mapping[str, str] | None = None,
    timeout_s: float = 180,
) -> Done:
    """Run ``headgate`` to its end; wide enough that no table folds."""
    done = subprocess.run(
        [str(HEADGATE), *map(str, arguments)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        cwd=cwd,
        env=environment(**{"COLUMNS": "1000", **(variables or {})}),
        capture_output=True,
        timeout=timeout_s,
        check=False,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextmanager
def started(*arguments: str | Path, variables: Mapping[str, str] | None = None) -> "Iterator[subprocess.Popen[str]]":
    """``headgate`` left running for the block, with pipes to and from it; gone after the block."""
    with subprocess.Popen(
        [str(HEADGATE), *map(str, arguments)],
        env=environment(**{"COLUMNS": "1000", **(variables or {})}),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()
