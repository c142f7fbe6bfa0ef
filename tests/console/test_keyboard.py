"""All of it by the keyboard alone: no pointer, and no help by a script."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.console.browsing import data_rows, drafted_job, letters, needs_browser, outcome, publish, usage
from tests.support.daemons import DaemonProcess

if TYPE_CHECKING:
    from playwright.sync_api import Locator, Page

pytestmark = [pytest.mark.process, needs_browser]

MOST_STOPS = 80


def tab_to(page: "Page", wanted: "Locator") -> None:
    """Press Tab until *wanted* has the focus."""
    wanted.wait_for()
    for _ in range(MOST_STOPS):
        page.keyboard.press("Tab")
        if wanted.evaluate("(element) => element.getRootNode().activeElement === element"):
            return
    raise AssertionError(f"{wanted} cannot be reached")


def press(page: "Page", name: str) -> None:
    """Reach a button of the view or of its dialog, and press it."""
    dialog = page.get_by_role("dialog")
    place = dialog if dialog.count() else page.get_by_role("main")
    tab_to(page, place.get_by_role("button", name=name).first)
    page.keyboard.press("Enter")


def heading(page: "Page", name: str) -> None:
    page.get_by_role("main").get_by_role("heading", name=name, level=1).wait_for()


def narrowed_to(page: "Page", producer: str) -> None:
    page.keyboard.type("gd")
    heading(page, "Dead letters")
    page.keyboard.press("/")
    page.keyboard.type(f"producer:{producer}")
    page.keyboard.press("Enter")
    data_rows(page, "Groups").filter(has_text=producer).first.wait_for()
    page.keyboard.press("Escape")


def test_letters_are_found_replayed_edited_and_discarded(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="typed", status="fine") for _ in range(3)])
    heading(page, "Now")
    narrowed_to(page, "typed")
    page.keyboard.press("Enter")
    data_rows(page, "Dead letters").first.wait_for()

    page.keyboard.press("x")
    page.keyboard.press("r")
    dialog = page.get_by_role("dialog", name="Replay")
    dialog.get_by_text("1 would go").wait_for()
    press(page, "Replay 1")
    dialog.get_by_text("again refused 1").wait_for()
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")

    page.keyboard.press("j")
    page.keyboard.press("Enter")
    heading(page, "Dead letter session.usage")
    page.keyboard.press("e")
    body = page.get_by_role("textbox", name="Body")
    tab_to(page, body)
    page.keyboard.press("Control+End")
    page.keyboard.type("  ")
    page.keyboard.press("Control+Enter")
    outcome(page).get_by_text("The gate says: refused").wait_for()
    page.keyboard.press("Escape")
    press(page, "Replay edited")
    outcome(page).get_by_text("refused again").wait_for()

    page.keyboard.press("Escape")
    body.wait_for(state="detached")
    heading(page, "Dead letter session.usage")
    before = page.url
    page.keyboard.press("]")
    page.wait_for_url(lambda url: url != before)
    heading(page, "Dead letter session.usage")
    page.keyboard.press("[")
    page.wait_for_url(before)
    heading(page, "Dead letter session.usage")
    page.keyboard.press("d")
    dialog = page.get_by_role("dialog", name="Discard")
    dialog.get_by_text("1 would be discarded").wait_for()
    tab_to(page, dialog.get_by_role("textbox", name="Reason"))
    page.keyboard.type("typed by hand")
    page.keyboard.press("Enter")
    dialog.get_by_text("discarded 1").wait_for()
    assert len(letters(daemon, producers=["typed"], states=["discarded"])) == 1


@contextmanager
def halted(daemon: DaemonProcess) -> Iterator[None]:
    """No question is answered meanwhile."""
    daemon.signal(signal.SIGSTOP)
    try:
        yield
    finally:
        daemon.signal(signal.SIGCONT)


def slowed(page: "Page") -> None:
    """As on a machine that is slower by far than a person's fingers."""
    page.context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": 8})


def test_keys_that_come_before_their_view_reach_it(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="hasty", status="fine") for _ in range(3)])
    heading(page, "Now")
    slowed(page)

    page.keyboard.type("gd/producer:hasty")
    for key in ("Enter", "Escape", "Enter", "j", "Enter", "e"):
        page.keyboard.press(key)

    page.get_by_role("textbox", name="Body").wait_for()
    page.get_by_text("2 of 3").wait_for()
    for key in ("Escape", "]", "[", "[", "d"):
        page.keyboard.press(key)
    page.get_by_role("dialog", name="Discard").get_by_text("1 would be discarded").wait_for()
    page.get_by_text("1 of 3").wait_for()


def test_keys_that_come_while_the_page_goes_back_reach_what_it_goes_back_to(
    page: "Page", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="returning", status="fine") for _ in range(3)])
    heading(page, "Now")
    narrowed_to(page, "returning")
    page.keyboard.press("Enter")
    data_rows(page, "Dead letters").first.wait_for()
    page.keyboard.press("Enter")
    heading(page, "Dead letter session.usage")
    slowed(page)

    page.keyboard.press("Escape")
    page.keyboard.type("/state:replaying")
    page.keyboard.press("Enter")

    page.get_by_role("button", name="Remove filter state replaying").wait_for()
    page.get_by_role("button", name="Remove filter producer returning").wait_for()


def test_keys_wait_for_an_answer_in_their_order_unless_the_person_turns_elsewhere(
    page: "Page", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="awaited", status="fine") for _ in range(3)])
    heading(page, "Now")
    with halted(daemon):
        page.keyboard.type("gd")
        heading(page, "Dead letters")
        page.keyboard.type("xr")
        page.keyboard.press("Escape")
        page.keyboard.type("aa")
        page.get_by_role("heading", name="Dead letters", level=1).click()
        page.keyboard.press("Enter")
        page.keyboard.type("xr")
    page.get_by_role("dialog", name="Replay").get_by_text("1 would go").wait_for()
    page.keyboard.press("Escape")
    assert "view=list" in page.url, "the one that was asked for by Enter"


_EACH_VIEW_TAKES_SIX_SECONDS = """() => {
    const now = Date.now;
    let later = 0;
    Date.now = () => now() + later;
    addEventListener('hashchange', () => { later += 6_000; });
}"""


def test_a_key_waits_for_its_own_view_however_long_those_before_it_waited_for_theirs(
    page: "Page", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="patient", status="fine")])
    heading(page, "Now")
    page.evaluate(_EACH_VIEW_TAKES_SIX_SECONDS)
    with halted(daemon):
        page.keyboard.type("gd")
        heading(page, "Dead letters")
        for key in ("Enter", "Enter", "e"):
            page.keyboard.press(key)
    page.get_by_role("textbox", name="Body").wait_for()


def test_a_draft_is_approved_and_each_view_is_reached(page: "Page", daemon: DaemonProcess) -> None:
    drafted_job(daemon)
    for keys, name in (
        ("gr", "Runs"),
        ("gs", "Story"),
        ("ga", "Alerts"),
        ("gc", "Cost"),
        ("gk", "KPIs"),
        ("gn", "Now"),
    ):
        page.keyboard.type(keys)
        heading(page, name)
    page.keyboard.type("gj")
    heading(page, "Jobs")
    data_rows(page, "Jobs").first.wait_for()
    page.keyboard.press("Enter")
    heading(page, "Job")
    press(page, "Approve v1…")
    page.get_by_role("dialog", name="Approve").get_by_text("the first draft").wait_for()
    press(page, "Approve v1")
    outcome(page).get_by_text("Approved version 1").wait_for()

    tab_to(page, page.get_by_role("tab", name="Instruction"))
    page.keyboard.press("ArrowRight")
    page.get_by_role("tab", name="Transcript", selected=True).wait_for()
    page.keyboard.press("Escape")

    status = page.get_by_role("status", name="Connection")
    page.keyboard.press(".")
    status.get_by_text("paused").wait_for()
    page.keyboard.press(".")
    status.get_by_text("live").wait_for()
    page.keyboard.press("z")
    page.get_by_role("button", name="Time zone UTC").wait_for()


_CLOSED_AT_ONCE = """async () => {
    document.querySelector('dialog button[aria-label=Close]').click();
    await null;
    return document.querySelector('dialog') === null;
}"""


def test_a_dialog_that_is_closed_is_gone_before_anything_else_happens(page: "Page") -> None:
    heading(page, "Now")
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard").wait_for()
    assert page.evaluate(_CLOSED_AT_ONCE)
    page.keyboard.press("?")
    page.get_by_role("dialog", name="Keyboard").wait_for()
    page.keyboard.press("Escape")
    page.keyboard.press("z")
    page.get_by_role("button", name="Time zone UTC").wait_for()
    assert page.get_by_role("dialog").count() == 0


def test_single_keys_can_be_switched_off_and_do_nothing_then(page: "Page") -> None:
    heading(page, "Now")
    page.keyboard.press("?")
    dialog = page.get_by_role("dialog", name="Keyboard")
    dialog.get_by_text("go to Dead letters").wait_for()
    tab_to(page, dialog.get_by_role("checkbox", name="single keys"))
    page.keyboard.press("Space")
    page.keyboard.press("Escape")
    dialog.wait_for(state="detached")

    page.keyboard.type("gd?z")

    heading(page, "Now")
    assert page.get_by_role("dialog").count() == 0
    page.get_by_role("button", name="Time zone local").wait_for()
    tab_to(page, page.get_by_role("navigation", name="Views").get_by_role("link", name="Dead letters"))
    page.keyboard.press("Enter")
    heading(page, "Dead letters")
