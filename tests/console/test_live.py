"""What the page hears by itself: who began what goes on, alerts by their events, jobs by their keys."""

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from nats.aio.client import Client

from tests.console.browsing import (
    ask,
    connected,
    data_rows,
    drafted_job,
    go,
    needs_browser,
    ops,
    outcome,
    publish,
    sign_in_link,
    usage,
)
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.waiting import PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.process, needs_browser]


def test_now_says_who_began_what_goes_on_and_ends_it(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="slow", status="fine") for _ in range(400)])
    run = ops(daemon, "replay-failed", {"producers": ["slow"], "rate_per_second": 1})["run_id"]

    line = page.get_by_role("main").get_by_role("listitem").filter(has_text=run[:13])
    line.get_by_text("by local").wait_for()
    line.get_by_text("of 400").wait_for()
    line.get_by_role("button", name="Abort").click()
    outcome(page).get_by_text("Aborted").wait_for()
    line.wait_for(state="detached")


LASTED = re.compile(r"\d (ms|s|min|h|d)$")
RAISED = "dead_letters_open"


def test_an_alert_is_dropped_by_its_event_though_pulses_go_on_telling_of_it_and_its_row_stays(
    tmp_path: Path, context: "BrowserContext"
) -> None:
    """A daemon that looks at its rules once an hour tells in its pulses until then what it saw last."""
    often = '[nats]\nsync = "interval"\n[alerts]\ninterval_s = 1\n'
    with running_daemon(tmp_path, often) as daemon:
        publish(daemon, [usage(producer="raising", status="fine") for _ in range(20)])
        eventually(lambda: severity(daemon) == "warning")
        daemon.terminate()
        daemon.config.write_text(often.replace("interval_s = 1", "interval_s = 3600"), encoding="utf-8")
        daemon.start()

        listed, now = (signed_in(context, daemon) for _ in range(2))
        go(listed, "alerts")
        row = data_rows(listed, "Alerts").filter(has_text=RAISED)
        row.get_by_text(re.compile("warning$")).wait_for()
        order = rules_in(listed)
        raised = now.get_by_role("main").get_by_role("link", name=RAISED)
        raised.wait_for()

        row.get_by_role("button", name="Resolve").click()

        raised.wait_for(state="detached")
        listed.get_by_role("button", name=re.compile(r"\d newer")).wait_for()
        row.get_by_text(re.compile("ok$")).wait_for()
        assert rules_in(listed) == order
        assert [pulse["alerts"][RAISED] for pulse in next_pulses(daemon, 2)] == ["warning", "warning"]
        assert raised.count() == 0


def rules_in(page: "Page") -> list[str]:
    return data_rows(page, "Alerts").locator("[data-name=rule]").all_inner_texts()


def severity(daemon: DaemonProcess) -> str:
    found = ask(daemon, "hg.cmd.alert.list", {})["items"]
    return next((str(alert["severity"]) for alert in found if alert["rule"] == RAISED), "")


def next_pulses(daemon: DaemonProcess, many: int) -> list[dict[str, Any]]:
    async def hear(nc: Client) -> list[dict[str, Any]]:
        pulses = await nc.subscribe("hg.pulse.>")
        return [json.loads((await pulses.next_msg(timeout=PATIENCE_S)).data)["payload"] for _ in range(many)]

    return connected(daemon, hear)


def signed_in(context: "BrowserContext", daemon: DaemonProcess) -> "Page":
    page = context.new_page()
    page.goto(sign_in_link(daemon))
    page.get_by_role("status", name="Connection").get_by_text("live").wait_for()
    return page


def test_care_follows_what_it_begins_and_its_page_asks_no_replay_about_it(page: "Page", daemon: DaemonProcess) -> None:
    go(page, "care")
    page.get_by_role("button", name="Backup").click()
    begun = page.get_by_role("list", name="Begun here").get_by_role("listitem")
    begun.get_by_text("succeeded").wait_for()
    begun.get_by_role("link").click()
    page.get_by_role("heading", name="Run ", level=1).wait_for()
    page.get_by_role("main").get_by_text("succeeded").wait_for()
    page.get_by_role("definition").get_by_text("local", exact=True).wait_for()
    # A question that is refused has its row in the audit: here that would be the page's own noise.
    assert ops(daemon, "runs", {"operation": "replay-status", "status": "failed"})["items"] == []


def test_a_job_in_a_list_moves_on_where_it_is_and_is_approved_there(page: "Page", daemon: DaemonProcess) -> None:
    job = drafted_job(daemon)
    go(page, f"jobs?project={job['project_id']}")
    row = data_rows(page, "Jobs").filter(has_text=job["job_id"][:13])
    row.get_by_role("button", name="Approve…").click()
    dialog = page.get_by_role("dialog", name="Approve")
    dialog.get_by_text("the first draft").wait_for()
    dialog.get_by_role("button", name="Approve v1").click()
    row.get_by_text("approved").wait_for()

    ask(daemon, "hg.cmd.job.render", {"job_id": job["job_id"]})
    row.get_by_text("RENDERING").wait_for()


def test_the_way_of_a_job_tells_how_long_each_step_took(page: "Page", daemon: DaemonProcess) -> None:
    job = drafted_job(daemon)
    go(page, f"job/{job['job_id']}?tab=history")
    way = page.get_by_role("list", name="The way of the job").get_by_role("listitem")
    for state in ("CREATED", "QUEUED", "TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL"):
        way.filter(has_text=state).get_by_text(LASTED).wait_for()
    assert way.filter(has_text="RENDERING").get_by_text(LASTED).count() == 0
    steps = page.get_by_role("region", name="History").get_by_role("listitem")
    steps.filter(has_text="TRANSCRIBING → DRAFTING").get_by_text("lasted").wait_for()
    steps.filter(has_text="→ AWAITING_APPROVAL").get_by_text("for", exact=False).first.wait_for()
