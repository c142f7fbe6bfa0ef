"""A daemon or its server that is killed while somebody works: nothing is lost, and no act is done twice."""

import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.console.browsing import (
    data_rows,
    go,
    letters,
    needs_browser,
    ops,
    outcome,
    publish,
    sign_in_link,
    usage,
)
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.ports import free_port

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page

pytestmark = [pytest.mark.process, pytest.mark.kills, needs_browser]

MANY, LATER = 5_000, 100


def opened(context: "BrowserContext", daemon: DaemonProcess) -> "Page":
    page = context.new_page()
    page.goto(sign_in_link(daemon))
    connection(page, "live")
    return page


def connection(page: "Page", word: str) -> None:
    page.get_by_role("status", name="Connection").get_by_text(word).wait_for()


def settings() -> str:
    return f'[nats]\nsync = "interval"\n[http]\nport = {free_port()}\n'


def counts(daemon: DaemonProcess, producer: str) -> dict[int, int]:
    """How many letters went how often."""
    found: dict[int, int] = {}
    cursor: str | None = None
    while True:
        payload = {"action": "list", "limit": 500, "producers": [producer], **({"cursor": cursor} if cursor else {})}
        page = ops(daemon, "dead-letters", payload)
        for letter in page["items"]:
            found[letter["replay_number"]] = found.get(letter["replay_number"], 0) + 1
        cursor = page["next_cursor"]
        if cursor is None:
            return found


@pytest.mark.timeout(1_200)  # on a busy machine five minutes are not enough
def test_a_group_of_five_thousand_goes_in_growing_steps_through_a_restart_and_later_ones_do_not_join(
    tmp_path: Path, context: "BrowserContext"
) -> None:
    with running_daemon(tmp_path, settings()) as daemon:
        publish(daemon, [usage(producer="many", status="fine") for _ in range(MANY)])
        page, other = opened(context, daemon), opened(context, daemon)
        run = begin(page, MANY, pace="")
        go(other, run)
        other.get_by_text("of 5,000").wait_for()
        daemon.kill9()
        connection(page, "offline")
        daemon.start()
        publish(daemon, [usage(producer="many", status="fine") for _ in range(LATER)])

        dialog = page.get_by_role("dialog", name="Replay")
        dialog.get_by_text("sent 5,000 of 5,000").wait_for(timeout=600_000)
        other.get_by_text("sent 5,000 of 5,000").wait_for()
        dialog.get_by_text("100 new letters").wait_for()
        assert eventually(lambda: counts(daemon, "many")) == {0: LATER, 1: MANY}, "each went once, later ones did not"

        dialog.get_by_role("button", name="Close").click()
        run = begin(page, MANY + LATER, pace="50")
        go(other, run)
        other.get_by_text("of 5,100").wait_for()
        dialog.get_by_role("button", name="Abort").click()
        dialog.get_by_text("aborted").first.wait_for()
        other.get_by_text("aborted").first.wait_for()
        (row,) = ops(daemon, "runs", {"run_id": run.rpartition("/")[2]})["items"]
        assert row["status"] == "aborted"
        assert 2 not in counts(daemon, "many") or counts(daemon, "many")[2] < MANY


def begin(page: "Page", number: int, *, pace: str) -> str:
    """Replay the group by its filter; the route of its run."""
    said = f"{number:,}"
    go(page, "dead?producer=many")
    data_rows(page, "Groups").filter(has_text=said).get_by_role("checkbox").check()
    page.get_by_role("button", name="Replay…").click()
    dialog = page.get_by_role("dialog", name="Replay")
    dialog.get_by_text(f"{said} would go").wait_for()
    dialog.get_by_role("textbox", name="Count to confirm").fill(str(number))
    dialog.get_by_label("Stop above percent").fill("")
    if pace:
        dialog.get_by_label("Letters a second").fill(pace)
    dialog.get_by_role("button", name=f"Replay {said}").click()
    href = dialog.get_by_role("link", name="Run ").get_attribute("href")
    assert href is not None
    return href.removeprefix("#/")


@pytest.mark.parametrize("killed", ["server", "daemon"])
def test_an_edit_that_is_under_way_when_all_dies_is_done_once(
    tmp_path: Path, context: "BrowserContext", killed: str
) -> None:
    with running_daemon(tmp_path, settings()) as daemon:
        publish(daemon, [usage(producer="hurried", status="fine")])
        (letter,) = letters(daemon, producers=["hurried"])
        page = opened(context, daemon)
        go(page, f"dead/{letter['dead_letter_id']}/edit")
        page.get_by_role("textbox", name="Body").click()
        page.keyboard.press("Control+End")
        page.keyboard.insert_text("  ")
        page.get_by_role("button", name="Replay edited").click(no_wait_after=True)

        if killed == "server":
            daemon.kill_nats_server()
        else:
            daemon.kill9()
            connection(page, "offline")
            assert page.get_by_role("textbox", name="Body").inner_text().rstrip("\n").endswith("}  ")
            daemon.start()

        outcome(page).get_by_text("refused again").wait_for(timeout=200_000)
        connection(page, "live")
        (after,) = letters(daemon, producers=["hurried"])
        assert (after["replay_number"], after["state"]) == (1, "open")
        shown = ops(daemon, "dead-letters", {"action": "show", "dead_letter_id": letter["dead_letter_id"]})
        assert [replay["edited"] for replay in shown["replays"]] == [True]


def has_heard(page: "Page", frames: list[bytes], pulses: int) -> bool:
    page.wait_for_timeout(100)  # what the browser tells comes meanwhile
    return b"".join(frames).count(b"MSG hg.pulse.") >= pulses


def bytes_of(frame: str | bytes) -> bytes:
    return frame.encode() if isinstance(frame, str) else frame


def test_a_daemon_that_says_nothing_any_more_is_not_called_healthy(tmp_path: Path, context: "BrowserContext") -> None:
    with running_daemon(tmp_path, settings() + "[console]\npulse_s = 0.2\n") as daemon:
        page, heard = context.new_page(), list[bytes]()
        page.on("websocket", lambda opened: opened.on("framereceived", lambda frame: heard.append(bytes_of(frame))))
        page.goto(sign_in_link(daemon))
        main = page.get_by_role("main")
        main.get_by_text("1 daemon", exact=True).wait_for()
        # One pulse alone says nothing of when the next is due.
        eventually(lambda: has_heard(page, heard, 4))

        daemon.signal(signal.SIGSTOP)
        try:
            page.get_by_text("no daemon is heard: the figures are as of").wait_for()
            main.get_by_text("no daemon is heard", exact=True).wait_for()
            assert main.get_by_text("1 daemon", exact=True).count() == 0
            assert main.get_by_text("healthy").count() == 0
            connection(page, "live")
        finally:
            daemon.signal(signal.SIGCONT)

        main.get_by_text("1 daemon", exact=True).wait_for()
        assert page.get_by_text("no daemon is heard").count() == 0
