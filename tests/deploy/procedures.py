"""The commands of the runbook, taken out of its pages and run as they stand; what is there before, and afterwards."""

import asyncio
import hashlib
import json
import os
import re
import shlex
import subprocess
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import nats
from nats.aio.client import Client
from nats.js import JetStreamContext

from tests.deploy.conftest import DEPLOY
from tests.support import files
from tests.support.command_line import headgate
from tests.support.commands import Json, ask, command
from tests.support.daemons import DaemonProcess, environment
from tests.support.records.usage_records import envelope, lines
from tests.support.starts.programs import HEADGATE
from tests.support.waiting import PATIENCE_S

DOCS: Final = DEPLOY.parent / "docs"
RECORDS: Final = [envelope(f"moved:{number}", number) for number in range(20)]
BAD: Final = envelope("moved:bad", status="perhaps")


def procedure(page: str, name: str) -> str:
    """The block of commands that a page has under a name."""
    found = re.findall(
        rf"^( *)```sh run={re.escape(name)}\n(.*?)^ *```$", (DOCS / page).read_text(), re.MULTILINE | re.DOTALL
    )
    ((_, block),) = found
    return textwrap.dedent(block)


class Machine(DaemonProcess):
    """A machine with the shipped settings, below a folder of its own. Of the page's commands ``systemctl`` is carried
    out here, users are left out, and paths lie below the folder; all others are run as they stand."""

    def __init__(self, folder: Path, more: str = "") -> None:
        shipped = (DEPLOY / "systemd" / "config.toml").read_text()
        own = re.sub(r"^((?:ws_)?port) = \d+", r"\1 = 0", shipped, flags=re.MULTILINE)
        if more:
            own = f"[daemon]\nstate_dir = '/var/lib/headgate'\n{more}"
        super().__init__(folder, own.replace("/var/lib/headgate", str(folder / "var")))

    def run(self, page: str, name: str, cwd: Path, **variables: str | Path) -> list[str]:
        """What each stretch of commands printed."""
        said, waiting = [], ""
        for line in (*procedure(page, name).splitlines(), ""):
            verb = re.match(r"systemctl (stop|start) headgate", line)
            if (verb or not line) and waiting:
                said.append(self._shell(waiting, cwd, variables))
                waiting = ""
            if verb and verb[1] == "stop":
                assert self.terminate() == 0
            elif verb:
                self.start()
            else:
                waiting += f"{line}\n"
        return said

    def _shell(self, commands: str, cwd: Path, variables: "dict[str, str | Path]") -> str:
        text = commands.replace("/etc/headgate/config.toml", shlex.quote(str(self.config)))
        text = text.replace("/var/lib/headgate", shlex.quote(str(self.state_dir)))
        text = (
            text.replace("sudo -u headgate ", "").replace(" -o headgate -g headgate", "").replace(" --same-owner", "")
        )
        given = {name: str(value) for name, value in variables.items()}
        path = f"{HEADGATE.parent}:{given.pop('PROGRAMS', '')}:{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", text],
            cwd=cwd,
            env=environment(**given, PATH=path, COLUMNS="300"),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}{done.stderr}"
        return done.stdout


def publish(daemon: DaemonProcess, *records: object) -> dict[str, object]:
    """How many of them were taken, known, refused."""
    done = headgate("publish", "--json", "--config", daemon.config, stdin=lines(*records))
    return {outcome: done.json[outcome] for outcome in ("accepted", "duplicate", "refused")}


@dataclass(frozen=True, slots=True)
class Left:
    """What was there when the daemon was stopped."""

    link: str
    job_id: str
    order: Json
    event_floor: int


async def _settled(js: JetStreamContext) -> int:
    """How far the listener has come, with everything acknowledged that there is."""
    listener = await js.pull_subscribe("hg.event.>", durable="listener", stream="HG_EVENT")
    for message in await listener.fetch(10, timeout=PATIENCE_S):
        await message.ack_sync()
    return int((await js.consumer_info("HG_EVENT", "listener")).ack_floor.stream_seq)


async def _asset(nc: Client) -> str:
    body = files.png(8, 8)
    announced = {"filename": "a.png", "media_type": "image/png", "size": len(body)}
    digest = {"sha256": hashlib.sha256(body).hexdigest()}
    upload = (await ask(nc, "hg.cmd.asset.begin-upload", {**announced, **digest})).result
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        assert (await http.put(upload["upload_url"], content=body)).status_code == 200
    asset = (await ask(nc, "hg.cmd.asset.confirm-upload", {"upload_id": upload["upload_id"]})).result
    link = urlsplit((await ask(nc, "hg.cmd.asset.get", {"asset_id": asset["asset_id"]})).result["url"])
    return f"{link.path}?{link.query}"


async def leave(daemon: DaemonProcess) -> Left:
    """Records, a dead letter, an asset, work in a worker's hands, a listener half way through the events."""
    assert publish(daemon, *RECORDS, BAD) == {"accepted": 20, "duplicate": 0, "refused": 1}
    nc = await nats.connect(daemon.nats_url)
    js = nc.jetstream()
    project = (await ask(nc, "hg.cmd.project.create", {"name": "moved"})).result
    wanted = {"project_id": project["project_id"], "title": "A film", "prompt": "A lighthouse"}
    job = (await ask(nc, "hg.cmd.job.create", wanted)).result
    await ask(nc, "hg.cmd.job.run", {"job_id": job["job_id"]})
    queue = await js.pull_subscribe_bind("headgate-work-job-process", "HG_WORK")
    (taken,) = await queue.fetch(1, timeout=PATIENCE_S)
    left = Left(await _asset(nc), job["job_id"], json.loads(taken.data)["payload"], await _settled(js))
    await nc.close()
    return left


async def expect_all(daemon: DaemonProcess, left: Left) -> None:
    """All of it is there, and goes on."""
    assert publish(daemon, *RECORDS, BAD) == {"accepted": 0, "duplicate": 20, "refused": 1}
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        assert (await http.get(daemon.http_url + left.link)).status_code == 200
    nc = await nats.connect(daemon.nats_url)
    js = nc.jetstream()
    letters = (await ask(nc, "hg.ops.dead-letters", {"action": "list"})).result["items"]
    assert [letter["message_id"] for letter in letters] == ["moved:bad"] * 2
    floor = (await js.consumer_info("HG_EVENT", "listener")).ack_floor
    assert floor is not None
    assert floor.stream_seq == left.event_floor
    assert (await js.stream_info("HG_WORK")).state.messages == 1
    said = {"event_id": "moved:1", "attempt": left.order["attempt"], "sequence": 1, "status": "TRANSCRIBING"}
    report = command("job.status", said, message_id="moved:1")
    await js.publish(left.order["callback_subject"], json.dumps(report).encode())
    async with asyncio.timeout(PATIENCE_S):
        wanted = {"job_id": left.job_id}
        while (job := (await ask(nc, "hg.cmd.job.get", wanted)).result)["status"] != "TRANSCRIBING":  # noqa: ASYNC110 - asked
            await asyncio.sleep(0.05)
    assert job["attempt"] == 1
    await nc.close()
