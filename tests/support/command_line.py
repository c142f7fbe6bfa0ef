"""The installed command, run as a user runs it."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO

from tests.support.daemons import environment
from tests.support.starts.programs import HEADGATE, start

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
    reads, writes = os.pipe()
    with TemporaryFile() as out, TemporaryFile() as err, ThreadPoolExecutor(1) as feeding:
        try:
            running = start(
                [*map(str, arguments)],
                folder=cwd or Path.cwd(),
                environment=environment(**{"COLUMNS": "1000", **(variables or {})}),
                streams=(reads, out.fileno(), err.fileno()),
            )
        finally:
            os.close(reads)
        feeding.submit(_feed, writes, stdin.encode() if isinstance(stdin, str) else stdin)
        try:
            code = running.wait(timeout_s)
        finally:
            running.kill()
        return Done(code, _text(out), _text(err))


def _feed(pipe: int, body: bytes) -> None:
    """All of it, unless the program ends before it has read it."""
    with suppress(BrokenPipeError), os.fdopen(pipe, "wb") as stream:
        stream.write(body)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode()


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
