"""A trial from beginning to end: the server, the worker's process where it is ours to start, the verdicts."""

import asyncio
import base64
import logging
import os
import secrets
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import structlog

from contracts.values.work import WorkType
from daemon.conformance.rules import Verdict
from daemon.conformance.trial import Patience, trial

_STOP_S: Final = 10.0


def try_worker(
    work_type: WorkType, command: Sequence[str], patience: Patience, announce: Callable[[str, str], None]
) -> list[Verdict]:
    """Try a worker; *command* starts it, where given, else *announce* is told where it is to connect.

    Raises :class:`adapters.errors.AdapterError` without a server, ``OSError`` where the command cannot be started.
    """
    # What the server's side does on the way is not what is asked.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with TemporaryDirectory(prefix="headgate-conformance-") as folder:
        return asyncio.run(_try_worker(Path(folder), work_type, command, patience, announce))


async def _try_worker(
    folder: Path,
    work_type: WorkType,
    command: Sequence[str],
    patience: Patience,
    announce: Callable[[str, str], None],
) -> list[Verdict]:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    async with trial(folder, work_type, secret, patience) as running:
        announce(running.url, secret)
        variables = os.environ | {"NATS_URL": running.url, "CALLBACK_SECRET": secret}
        process = None
        if command:
            process = await asyncio.create_subprocess_exec(
                *command, env=variables, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
            )
        try:
            return await running.run()
        finally:
            if process is not None and process.returncode is None:
                process.terminate()
                try:
                    await asyncio.wait_for(process.wait(), _STOP_S)
                except TimeoutError:
                    process.kill()
                    await process.wait()
