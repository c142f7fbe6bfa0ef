"""From settings to what a bridge does: which work, with which model and price, and on which server."""

import asyncio
from typing import Final

from adapters.providers import Provider
from adapters.providers.replicate import Replicate
from contracts.values.money import parse_usd
from contracts.values.work import WorkType
from daemon.bridge.reports import REPORTS
from daemon.bridge.tools import Plan
from daemon.errors import StartError
from daemon.process.runtime_file import NoDaemonError, find_daemon
from daemon.settings.model import Settings

_LOOK_S: Final = 0.25


def plans_of(settings: Settings) -> dict[WorkType, Plan]:
    """How each type of work is done. Raises :class:`StartError` with one line for each reason why it cannot be."""
    bridge_settings = settings.bridge.replicate
    known = ", ".join(REPORTS)
    faults = [
        f"bridge.replicate.work: {name} is nothing that a bridge can do, only {known}"
        for name in bridge_settings.work
        if name not in REPORTS
    ]
    if not bridge_settings.work:
        faults.append(f"bridge.replicate.work: must name the types of work to take, of {known}")
    if not bridge_settings.token.get_secret_value():
        faults.append("bridge.replicate.token: must be set")
    if faults:
        raise StartError(*faults)
    return {WorkType(name): _plan(settings, WorkType(name)) for name in bridge_settings.work}


def _plan(settings: Settings, work_type: WorkType) -> Plan:
    bridge_settings = settings.bridge.replicate
    model = bridge_settings.models[work_type]
    limits_s = {"image": bridge_settings.image_timeout_s, "video": bridge_settings.video_timeout_s}
    return Plan(
        report=REPORTS[work_type],
        model=model.model,
        inputs=model.inputs,
        limit_s=limits_s[model.media],
        retries=bridge_settings.retries,
        per_second_usd_micros=parse_usd(model.usd_per_second) if model.usd_per_second else None,
        per_run_usd_micros=parse_usd(model.usd_per_run) if model.usd_per_run else None,
    )


def provider_of(settings: Settings, *, read_timeout_s: float) -> Provider:
    bridge_settings = settings.bridge.replicate
    token = bridge_settings.token.get_secret_value()
    return Replicate(bridge_settings.base_url, token, read_timeout_s=read_timeout_s)


async def nats_url(settings: Settings) -> str:
    """Where the server is: the settings say so, or for an embedded one the daemon that runs here."""
    if settings.nats.mode == "external":
        return settings.nats.url
    try:
        async with asyncio.timeout(settings.nats.connect_timeout_s):
            while (url := daemon_url(settings)) is None:  # noqa: ASYNC110 - the file is another process's
                await asyncio.sleep(_LOOK_S)
            return url
    except TimeoutError:
        raise StartError(f"bridge: no daemon is running on {settings.daemon.state_dir}") from None


def daemon_url(settings: Settings) -> str | None:
    """The server of the daemon that runs on the state directory; None where there is none, or it is not embedded."""
    if settings.nats.mode == "external":
        return None
    try:
        return find_daemon(settings.daemon.state_dir).nats_url
    except NoDaemonError:
        return None
