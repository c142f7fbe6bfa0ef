"""Trials from beginning to end: the server, the program where it is ours to start, the verdicts."""

import asyncio
import base64
import logging
import secrets
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import structlog

from contracts.values.work import WorkType
from daemon.conformance.producer_trial import ProducerTrial
from daemon.conformance.programs import Patience, own_server, started, stop
from daemon.conformance.rules import Verdict
from daemon.conformance.trial import trial


def try_worker(
    work_type: WorkType, command: Sequence[str], patience: Patience, announce: Callable[[str, str], None]
) -> list[Verdict]:
    """Try a worker; *command* starts it, where given, else *announce* is told where it is to connect.

    Raises :class:`adapters.errors.AdapterError` without a server, ``OSError`` where the command cannot be started.
    """
    return _in_a_folder(lambda folder: _try_worker(folder, work_type, command, patience, announce))


def try_producer(command: Sequence[str], patience: Patience, announce: Callable[[str], None]) -> list[Verdict]:
    """Try a producer, which *command* starts several times; otherwise as :func:`try_worker`."""
    return _in_a_folder(lambda folder: _try_producer(folder, command, patience, announce))


def _in_a_folder(a_trial: Callable[[Path], Coroutine[None, None, list[Verdict]]]) -> list[Verdict]:
    # What the server's side does on the way is not what is asked.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    with TemporaryDirectory(prefix="headgate-conformance-") as folder:
        return asyncio.run(a_trial(Path(folder)))


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
        variables = {"NATS_URL": running.url, "CALLBACK_SECRET": secret}
        process = await started(command, variables) if command else None
        try:
            return await running.run()
        finally:
            if process is not None:
                await stop(process)


async def _try_producer(
    folder: Path, command: Sequence[str], patience: Patience, announce: Callable[[str], None]
) -> list[Verdict]:
    async with own_server(folder) as (client, url):
        announce(url)

        async def start() -> asyncio.subprocess.Process | None:
            return await started(command, {"NATS_URL": url}) if command else None

        return await ProducerTrial(client, patience, start).run()
