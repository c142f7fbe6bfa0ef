"""Another program's verdict on a file: a virus scanner, called with the path."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Final

from adapters.errors import AdapterError

_NOT_RUN: Final = frozenset({126, 127})
"""What a shell answers for a program that cannot be started: wrappers do likewise."""


class ScanFailedError(AdapterError):
    """The scan came to no verdict: it could not be started, crashed, or took too long."""


class Verdict(StrEnum):
    CLEAN = "clean"
    REFUSED = "refused"


async def scan(command: Sequence[str], file: Path, *, timeout_s: float) -> Verdict:
    """Run *command* on *file*: exit code 0 is clean, another one refuses. Raises :class:`ScanFailedError`."""
    try:
        process = await asyncio.create_subprocess_exec(
            *command,
            str(file),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise ScanFailedError(f"the scan could not be started: {error.strerror}") from error
    try:
        async with asyncio.timeout(timeout_s):
            code = await process.wait()
    except TimeoutError:
        raise ScanFailedError(f"the scan came to no end within {timeout_s:g} s") from None
    finally:
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if code < 0 or code in _NOT_RUN:
        raise ScanFailedError(f"the scan ended with {code}")
    return Verdict.CLEAN if code == 0 else Verdict.REFUSED
