"""What operators do, from the printed link to what became of it."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import httpx
import pytest

from tests.console.browsing import (
    Report,
    ask,
    data_rows,
    drafted_job,
    go,
    letters,
    needs_browser,
    ops,
    outcome,
    printed_link,
    publish,
    usage,
)
from tests.console.conftest import signed_in
from tests.support.daemons import DaemonProcess, eventually

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.process, needs_browser]


def test_a_letter_is_mended_from_the_groups_to_resolved(page: "Page", daemon: DaemonProcess, report: Report) -> None:
    publish(daemon, [usage(producer="mended", status="fine", input_tokens=-1)])
    page.get_by_role("navigation", name="Views").get_by_role("link", name="Dead letters").click()
    row = data_rows(page, "Groups").filter(has_text="mended")
    assert "VALIDATION_ERROR" in row.inner_text()

    row.click()
    data_rows(page, "Dead letters").first.click()
    page.get_by_role("button", name="Edit").click()
    body = page.get_by_role("textbox", name="Body")
    body.wait_for()
    page.get_by_role("list", name="Faults").get_by_text("payload.status").wait_for()
    page.get_by_role("button", name="Check").click()
    outcome(page).get_by_text("refused").wait_for()

    mended = body.inner_text().replace('"fine"', '"ok"').replace('"input_tokens": -1', '"input_tokens": 1')
    body.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(mended)
    page.get_by_text("schema: no fault").wait_for()
    page.get_by_role("button", name="Check").click()
    outcome(page).get_by_text("accepted").wait_for()
    page.get_by_role("textbox", name="Reason").fill("old enum of the producer")
    page.get_by_role("button", name="Replay edited").click()

    outcome(page).get_by_text("resolved").wait_for()
    (letter,) = letters(daemon, producers=["mended"], states=["resolved"])
    assert letter["replay_number"] == 1
    assert report.said == []


def test_a_replay_that_is_refused_again_keeps_the_text(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="stubborn", status="fine")])
    (letter,) = letters(daemon, producers=["stubborn"])
    go(page, f"dead/{letter['dead_letter_id']}/edit")
    body = page.get_by_role("textbox", name="Body")
    text = body.inner_text().replace('"fine"', '"good"')
    body.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(text)

    page.get_by_role("button", name="Replay edited").click()

    outcome(page).get_by_text("refused again").wait_for()
    assert '"good"' in body.inner_text()
    page.get_by_text("#1").wait_for()
    page.reload()
    page.get_by_role("textbox", name="Body").get_by_text('"good"').wait_for()


def test_a_group_is_replayed_by_its_filter_and_what_fails_later_does_not_join(
    page: "Page", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="bulk", status="fine") for _ in range(150)])
    publish(daemon, [usage(producer="neighbour", status="fine")])
    go(page, "dead")
    page.get_by_role("textbox", name="Filter").fill("producer:bulk")
    page.keyboard.press("Enter")
    data_rows(page, "Groups").filter(has_text="150").get_by_role("checkbox").check()
    page.get_by_role("button", name="Replay…").click()

    dialog = page.get_by_role("dialog", name="Replay")
    dialog.get_by_text("150 would go").wait_for()
    publish(daemon, [usage(producer="bulk", status="fine")])
    start = dialog.get_by_role("button", name="Replay 150")
    assert start.is_disabled()
    dialog.get_by_role("textbox", name="Count to confirm").fill("150")
    dialog.get_by_label("Stop above percent").fill("")
    start.click()

    dialog.get_by_text("sent 150 of 150").wait_for()
    dialog.get_by_text("again refused 150").wait_for()
    dialog.get_by_text("1 new letters").wait_for()
    run_id = dialog.get_by_role("link", name="Run ").get_attribute("href")
    assert run_id is not None
    dialog.get_by_role("button", name="Close").click()
    go(page, run_id.removeprefix("#/"))
    page.get_by_role("heading", name="Run ", level=1).wait_for()
    assert {letter["replay_number"] for letter in letters(daemon, producers=["neighbour"])} == {0}


def test_a_running_replay_is_aborted_and_seen_by_another_browser(
    page: "Page", other_context: "BrowserContext", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="slow", status="fine") for _ in range(60)])
    go(page, "dead?producer=slow")
    data_rows(page, "Groups").first.wait_for()
    page.keyboard.press("a")
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog", name="Replay")
    dialog.get_by_text("60 would go").wait_for()
    dialog.get_by_label("Letters a second").fill("0.5")
    dialog.get_by_role("button", name="Replay 60").click()
    href = dialog.get_by_role("link", name="Run ").get_attribute("href")
    assert href is not None

    other = signed_in(other_context, daemon)
    go(other, href.removeprefix("#/"))
    other.get_by_text("of 60").wait_for()
    go(other, "now")
    other.get_by_role("main").get_by_role("button", name="Abort").click()

    dialog.get_by_text("aborted").first.wait_for()
    outcome(page).get_by_text(re.compile("run aborted, replayed 0, again refused [1-9]")).wait_for()
    dialog.get_by_text(re.compile(r"sent [1-5]?\d of 60")).wait_for()
    go(other, href.removeprefix("#/"))
    other.get_by_text("aborted").first.wait_for()
    go(page, "runs")
    rows = data_rows(page, "Runs").filter(has_text="replay-failed")
    rows.filter(has_text="aborted").first.wait_for()
    assert rows.filter(has_text="dry_run").count() == 0, "a dry run is no act"
    run = ops(daemon, "runs", {"run_id": href.rpartition("/")[2]})["items"][0]
    assert run["status"] == "aborted"


def test_letters_are_discarded_with_a_reason(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="unwanted", status="fine") for _ in range(3)])
    go(page, "dead?producer=unwanted&view=list")
    data_rows(page, "Dead letters").nth(0).get_by_role("checkbox").check()
    data_rows(page, "Dead letters").nth(1).get_by_role("checkbox").check()
    page.get_by_role("button", name="Discard…").click()
    dialog = page.get_by_role("dialog", name="Discard")
    dialog.get_by_text("2 would be discarded").wait_for()
    act = dialog.get_by_role("button", name="Discard 2")
    assert act.is_disabled()
    dialog.get_by_role("textbox", name="Reason").fill("a producer that is no more")
    act.click()

    dialog.get_by_text("discarded 2").wait_for()
    assert len(letters(daemon, producers=["unwanted"], states=["discarded"])) == 2


def test_a_jump_to_a_time_moves_the_list_and_not_what_is_acted_on(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="lasting", status="fine") for _ in range(3)])
    (earlier, *_) = letters(daemon, producers=["lasting"])
    publish(daemon, [usage(producer="lasting", status="fine") for _ in range(2)])
    go(page, "dead?producer=lasting&view=list")
    rows = data_rows(page, "Dead letters")
    rows.nth(4).wait_for()
    page.keyboard.press("t")
    page.keyboard.type("yesterday")
    page.keyboard.press("Enter")
    page.get_by_role("alert").get_by_text("write 09:12").wait_for()

    page.get_by_role("textbox", name="Jump to a time").fill(earlier["received_at"])
    page.keyboard.press("Enter")

    rows.first.get_by_text(earlier["message_id"]).wait_for()
    page.keyboard.press("a")
    page.get_by_role("group", name="Selection").get_by_text("5 letters selected").wait_for()
    page.reload()
    rows.first.get_by_text(earlier["message_id"]).wait_for()
    rows.nth(2).wait_for()
    assert rows.count() == 3
    page.get_by_role("button", name="To the newest").click()
    rows.nth(4).wait_for()


def test_above_a_time_that_was_jumped_to_the_list_goes_on_up_to_the_newest(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="upward", status="fine") for _ in range(60)])
    (middle, *_) = letters(daemon, producers=["upward"])
    publish(daemon, [usage(producer="upward", status="fine") for _ in range(700)])
    (newest, *_) = letters(daemon, producers=["upward"])
    go(page, "dead?producer=upward&view=list")
    rows = data_rows(page, "Dead letters")
    rows.filter(has_text=newest["message_id"]).wait_for()
    page.get_by_role("textbox", name="Jump to a time").fill(middle["received_at"])
    page.keyboard.press("Enter")
    rows.first.get_by_text(middle["message_id"]).wait_for()
    before = rows.first.bounding_box()

    page.keyboard.press("k")

    grid = page.get_by_role("grid", name="Dead letters")
    eventually(lambda: grid.evaluate("(grid) => grid.scrollTop > 28 * 100"))
    # What is in sight stays where it is, once the longer list is drawn.
    eventually(lambda: rows.filter(has_text=middle["message_id"]).bounding_box() == before)
    page.keyboard.press("k")
    grid.locator(".active").filter(has_not_text=middle["message_id"]).wait_for()

    def at_the_newest() -> bool:
        grid.press("Home")
        return rows.first.get_by_text(newest["message_id"]).count() == 1

    eventually(at_the_newest)
    page.get_by_text("760 letters: ").wait_for()

    def whole() -> bool:
        grid.press("End")
        return grid.get_attribute("aria-rowcount") == str(60 + 700 + 1)

    eventually(whole)
    assert page.get_by_role("button", name="Later ones").count() == 0
    assert page.get_by_text("the list begins before").count() == 0


def test_a_time_that_goes_with_the_clock_is_of_now_when_the_list_is_asked_for_again(
    page: "Page", daemon: DaemonProcess, report: Report
) -> None:
    publish(daemon, [usage(producer="passing", status="fine") for _ in range(2)])
    go(page, "dead?producer=passing&since=1h&view=list")
    data_rows(page, "Dead letters").nth(1).wait_for()

    def later() -> bool:
        page.get_by_role("button", name=re.compile("Refresh|newer")).click()
        data_rows(page, "Dead letters").nth(1).wait_for()
        listed = [frame for frame in report.sent if b'"action":"list"' in frame]
        return len({found for frame in listed for found in re.findall(rb'"since":"([^"]+)"', frame)}) > 1

    assert eventually(later)


def test_an_edit_on_a_stale_letter_is_refused_and_the_text_stays(
    page: "Page", other_context: "BrowserContext", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="contested", status="fine")])
    (letter,) = letters(daemon, producers=["contested"])
    go(page, f"dead/{letter['dead_letter_id']}/edit")
    page.get_by_role("textbox", name="Body").wait_for()
    other = signed_in(other_context, daemon)
    go(other, f"dead/{letter['dead_letter_id']}/edit")
    other.get_by_role("button", name="Replay edited").click()
    outcome(other).get_by_text("refused again").wait_for()

    page.get_by_role("button", name="Replay edited").click()

    outcome(page).get_by_text("VERSION_CONFLICT").wait_for()
    assert '"fine"' in page.get_by_role("textbox", name="Body").inner_text()


_NOTE_CONNECTION = """() => {
    const status = document.querySelector('[role=status][aria-label=Connection]');
    window.noted = [];
    new MutationObserver(() => requestAnimationFrame(() => window.noted.push({
        word: status.textContent,
        acts: [...document.querySelectorAll('button.main')].some((button) => !button.disabled),
    }))).observe(status, { childList: true, characterData: true, subtree: true });
}"""


def test_a_dead_server_is_a_bar_that_goes_again_and_the_text_in_the_editor_stays(
    page: "Page", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="unlucky", status="fine")])
    (letter,) = letters(daemon, producers=["unlucky"])
    go(page, f"dead/{letter['dead_letter_id']}/edit")
    body = page.get_by_role("textbox", name="Body")
    body.click()
    page.keyboard.press("Control+End")
    page.keyboard.insert_text("   ")
    page.evaluate(_NOTE_CONNECTION)

    daemon.kill_nats_server()

    # The server is back within a moment: what the page showed meanwhile is noted in the page.
    eventually(lambda: page.evaluate("() => window.noted.some((each) => each.word === 'live')"), within_s=60)
    offline = [each["acts"] for each in page.evaluate("() => window.noted") if each["word"] == "offline"]
    assert set(offline) == {False}, "it was said, and acts were disabled meanwhile"
    assert body.inner_text().rstrip("\n").endswith("}   ")
    # The page and the daemon find the server each by itself: whoever asks too early is told so.
    eventually(lambda: httpx.get(f"{daemon.http_url}/readyz", trust_env=False).status_code == 200)
    page.get_by_role("button", name="Check").click()
    outcome(page).get_by_text("refused").wait_for()


def test_the_story_of_a_letter_is_told_from_any_of_its_ids(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="told", status="fine")])
    (letter,) = letters(daemon, producers=["told"])
    page.get_by_role("textbox", name="Find any id").fill(letter["message_id"])
    page.keyboard.press("Enter")

    page.get_by_role("heading", name="Story", level=1).wait_for()
    steps = page.get_by_role("list", name="Steps")
    steps.get_by_text("refused").first.wait_for()
    steps.get_by_text("dead_letter").first.wait_for()
    assert re.search(r"#/story\?id=", page.url)


def test_signing_out_forgets_everything_and_a_used_link_says_so(
    context: "BrowserContext", daemon: DaemonProcess
) -> None:
    link = printed_link(daemon)
    page = context.new_page()
    page.goto(link)
    page.get_by_role("status", name="Connection").get_by_text("live").wait_for()
    # Once the caller's name stands in the banner, nothing in it moves any more under the pointer.
    page.get_by_role("banner").get_by_text("local", exact=True).wait_for()
    password = (daemon.state_dir / "nats-console-password").read_text()

    assert link.partition("#in=")[2] not in page.url
    assert page.evaluate("history.length") <= 2
    assert password not in json.dumps(page.evaluate("({...localStorage})"))
    assert password in json.dumps(page.evaluate("({...sessionStorage})"))
    assert page.context.cookies() == []
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("heading", name="Sign in").wait_for()
    assert page.evaluate("({...sessionStorage})") == {}

    page.goto("about:blank")
    page.goto(link)
    page.get_by_role("alert").get_by_text("used or is too old").wait_for()


def test_an_idle_page_asks_nothing(page: "Page", daemon: DaemonProcess) -> None:
    page.get_by_role("heading", name="Now", level=1).wait_for()
    page.get_by_text("healthy").first.wait_for()

    def commands() -> int:
        text = httpx.get(f"{daemon.http_url}/metrics", trust_env=False).text
        return sum(
            int(float(count)) for count in re.findall(r"headgate_command_duration_seconds_count\{.*\} (\S+)", text)
        )

    def asks_nothing() -> bool:
        before = commands()
        page.wait_for_timeout(6_000)
        return commands() == before

    eventually(asks_nothing)


def test_the_list_of_alerts_says_what_is_too_much_and_who_keeps_it_quiet_until_when(
    page: "Page", daemon: DaemonProcess
) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).isoformat()
    eventually(lambda: ask(daemon, "hg.cmd.alert.list", {})["items"])
    wanted = {"action": "suppress", "rule": "dead_letters_open", "until": until, "reason": "a provider is down"}
    ops(daemon, "alerts", wanted)

    go(page, "alerts")

    row = data_rows(page, "Alerts").filter(has_text="dead_letters_open")
    row.get_by_text("warning 10, critical 100").wait_for()
    row.get_by_text(re.compile(r"until .*\((2 h|1 h 59 min)\) by local: a provider is down")).wait_for()


def test_an_approval_of_a_draft_that_was_overtaken_is_refused_and_shows_the_newest_each_time(
    page: "Page", daemon: DaemonProcess
) -> None:
    job = drafted_job(daemon)
    go(page, f"job/{job['job_id']}")
    page.get_by_role("button", name="Approve v1…").click()
    dialog = page.get_by_role("dialog", name="Approve")
    dialog.get_by_text("the first draft").wait_for()
    for version, text in enumerate(["the second draft", "the third draft", "the fourth draft"], 1):
        edited = [{"block_id": "step-1", "type": "step", "text": text}]
        put = {"instruction_id": job["instruction_id"], "base_version": version, "blocks": edited}
        ask(daemon, "hg.cmd.instruction.put", put)
        # Each is read in the dialog before the next one comes: what was overtaken is never approved.
        dialog.get_by_role("button", name=f"Approve v{version}").click()
        dialog.get_by_text("VERSION_CONFLICT").wait_for()
        assert dialog.get_by_role("button", name=f"Approve v{version}").is_disabled()
        dialog.get_by_role("button", name="Show the newest version").click()
        dialog.get_by_text(text).wait_for()
        assert dialog.get_by_text("VERSION_CONFLICT").count() == 0
    assert not ask(daemon, "hg.cmd.job.get", {"job_id": job["job_id"]})["approved"]

    dialog.get_by_role("button", name="Approve v4").click()
    outcome(page).get_by_text("Approved version 4").wait_for()
    assert ask(daemon, "hg.cmd.job.get", {"job_id": job["job_id"]})["approved"]
    page.get_by_role("button", name="Render").click()
    page.get_by_text("RENDERING").first.wait_for()
