"""What the tests with a browser share: letters to look at, the link to sign in by, and a record of what a page did."""

import asyncio
import json
import shutil
import uuid
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

import nats
import pytest
from nats.aio.client import Client

from daemon.http.console import STATIC
from daemon.http.console_build import is_current
from tests.support import command_line, commands
from tests.support.daemons import DaemonProcess, eventually
from tests.support.waiting import PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

T = TypeVar("T")

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def why_not() -> str:
    """Why there is nothing to test here; empty where there is."""
    if CHROMIUM is None:
        return "there is no chromium on the PATH (Debian: apt-get install chromium)"
    if not (STATIC / "index.html").is_file():
        return "the console's page is not built: make console"
    if not is_current():
        return "the console's page was built from other sources than these: make console"
    return ""


needs_browser = pytest.mark.skipif(bool(why_not()), reason=why_not())


@dataclass
class Report:
    """What a page said on its console or raised, the dialogs it opened, and whom it asked."""

    said: list[str] = field(default_factory=list)
    dialogs: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    sent: list[bytes] = field(default_factory=list)
    """What went over its WebSockets."""

    def watch(self, page: "Page") -> None:
        page.on("console", lambda message: self.said.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("dialog", lambda dialog: self.dialogs.append(dialog.message))
        page.on("request", lambda request: self.requests.append(request.url))
        page.on("websocket", lambda opened: opened.on("framesent", self._note))

    def _note(self, frame: str | bytes) -> None:
        self.sent.append(frame.encode() if isinstance(frame, str) else frame)

    def last_body(self, action: str) -> str | None:
        """The body in the newest command with *action*."""
        for part in reversed(b"".join(self.sent[-20:]).split(b"\r\n")):
            if part.startswith(b'{"envelope_version"') and f'"action":"{action}"'.encode() in part:
                return str(json.loads(part)["payload"]["body"])
        return None


def headgate(daemon: DaemonProcess, *arguments: str, stdin: str = "") -> str:
    return command_line.headgate(*arguments, "--config", daemon.config, stdin=stdin).out.strip()


def connected(daemon: DaemonProcess, talk: Callable[[Client], Awaitable[T]]) -> T:
    """What *talk* comes to on a connection to the daemon's server. The browser's driver runs a loop in the tests'
    thread, so it is done in another."""

    async def run() -> T:
        nc = await nats.connect(daemon.nats_url)
        try:
            return await talk(nc)
        finally:
            await nc.close()

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, run()).result()


def ops(daemon: DaemonProcess, command: str, payload: dict[str, Any]) -> dict[str, Any]:
    return ask(daemon, f"hg.ops.{command}", payload)


def ask(daemon: DaemonProcess, subject: str, payload: dict[str, Any]) -> dict[str, Any]:
    answer = connected(daemon, lambda nc: commands.ask(nc, subject, payload, timeout_s=PATIENCE_S))
    found: dict[str, Any] = answer.result
    return found


def printed_link(daemon: DaemonProcess) -> str:
    """What the command line prints to sign in by."""
    return headgate(daemon, "console", "--no-open")


def sign_in_link(daemon: DaemonProcess) -> str:
    """The same, asked for as the command line does: a process for each page would cost more than the page."""
    return str(ops(daemon, "console-link", {})["url"])


def usage(producer: str = "planner-7", **payload: object) -> str:
    """A line of session.usage; fields of the payload as given, wrong ones included."""
    now = datetime.now(UTC).isoformat()
    known = {"source": "provider_reported", "confidence": "high"}
    missing = {"source": "missing", "confidence": "unknown"}
    body: dict[str, object] = {"session_id": "s", "agent": "planner", "model": "m", "at": now, "status": "ok"}
    body |= {"input_tokens": 10, "output_tokens": 20, "runtime_ms": 5}
    body |= {"provenance": {"tokens": known, "runtime": known, "cost": missing}} | payload
    head: dict[str, object] = {"envelope_version": 2, "kind": "session.usage", "schema_version": "2.0"}
    head |= {"message_id": f"planner:{uuid.uuid4()}", "trace_id": str(uuid.uuid4()), "created_at": now}
    return json.dumps({**head, "producer": producer, "payload": body}, ensure_ascii=False)


def publish(daemon: DaemonProcess, lines: Sequence[str]) -> None:
    """Publish lines of session.usage, and wait until the daemon has decided each."""

    async def send(nc: Client) -> None:
        inbox = nc.new_inbox()
        receipts = await nc.subscribe(inbox, max_msgs=len(lines))
        for line in lines:
            await nc.jetstream(timeout=PATIENCE_S).publish(
                "hg.ingest.session.usage", line.encode(), headers={"Headgate-Receipt": inbox}
            )
        for _ in lines:
            await receipts.next_msg(timeout=PATIENCE_S)

    connected(daemon, send)


def letters(daemon: DaemonProcess, **filters: object) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ops(daemon, "dead-letters", {"action": "list", "limit": 500, **filters})["items"]
    return found


def go(page: "Page", route: str) -> None:
    """To a view by its address, as a link from elsewhere leads there."""
    page.goto(page.url.partition("#")[0] + "#/" + route)


_SETTLED = """() => new Promise((resolve) => {
    let timer = 0;
    const again = () => { clearTimeout(timer); timer = setTimeout(resolve, 300); };
    const all = { subtree: true, childList: true, attributes: true };
    new MutationObserver(again).observe(document.querySelector('main'), all);
    again();
})"""


def settled(page: "Page") -> None:
    """Until the view has drawn what it asked for: nothing in it changes for a moment."""
    page.evaluate(_SETTLED)


def data_rows(page: "Page", grid: str) -> "Locator":
    return page.get_by_role("grid", name=grid).get_by_role("row").filter(has=page.get_by_role("gridcell"))


def outcome(page: "Page") -> "Locator":
    return page.get_by_role("status", name="Outcome")


def envelope(kind: str, payload: dict[str, Any]) -> bytes:
    head = {"envelope_version": 2, "kind": kind, "schema_version": "1.0", "message_id": str(uuid.uuid4())}
    head |= {"trace_id": str(uuid.uuid4()), "created_at": datetime.now(UTC).isoformat(), "producer": "a-test"}
    return json.dumps({**head, "payload": payload}).encode()


def publish_to(daemon: DaemonProcess, subject: str, body: bytes) -> None:
    """Publish bytes as they are."""
    headers = {"webhook-id": "unsigned"} if ".callback." in subject else None
    connected(daemon, lambda nc: nc.jetstream(timeout=PATIENCE_S).publish(subject, body, headers=headers))


def drafted_job(daemon: DaemonProcess) -> dict[str, Any]:
    """A job that awaits approval: its draft is reported as a worker would."""
    project = ask(daemon, "hg.cmd.project.create", {"name": "Films"})
    wanted = {"project_id": project["project_id"], "title": "Teaser", "prompt": "ten seconds"}
    job_id = ask(daemon, "hg.cmd.job.create", wanted)["job_id"]
    ask(daemon, "hg.cmd.job.run", {"job_id": job_id})
    blocks = [{"block_id": "step-1", "type": "step", "text": "the first draft"}]
    steps: list[tuple[str, dict[str, Any]]] = [
        ("TRANSCRIBING", {}),
        ("DRAFTING", {"artifacts": {"transcript": [{"start_ms": 0, "end_ms": 900, "text": "said"}]}}),
        ("AWAITING_APPROVAL", {"artifacts": {"instruction": {"blocks": blocks}}, "cost_usd": "0.31"}),
    ]
    for sequence, (status, more) in enumerate(steps, 1):
        payload = {"event_id": f"{job_id}:{sequence}", "sequence": sequence, "status": status, **more}
        publish_to(daemon, f"hg.callback.job.{job_id}", envelope("job.status", payload))
    return eventually(lambda: awaiting(daemon, job_id))


def awaiting(daemon: DaemonProcess, job_id: str) -> dict[str, Any]:
    job = ask(daemon, "hg.cmd.job.get", {"job_id": job_id})
    return job if job["status"] == "AWAITING_APPROVAL" else {}
