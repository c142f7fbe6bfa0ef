"""A real browser on the real daemon: Debian's Chromium, signed in by the link that the command line prints."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import pytest

from tests.console.browsing import CHROMIUM, Report, sign_in_link
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page


_NOT_WANTED: Final = (
    "MediaRouter",
    "OptimizationHints",
    "PaintHolding",
    "Translate",
    # Of these two the list under the address bar is made, a page of its own for each window: more work than ours.
    "WebUIOmniboxAimPopup",
    "WebUIOmniboxPopup",
)
_FRUGAL: Final = ("--js-flags=--no-opt", "--renderer-process-limit=1", f"--disable-features={','.join(_NOT_WANTED)}")
"""What costs more processor time than it saves in pages that live for a few seconds."""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("console"), '[nats]\nsync = "interval"\n') as process:
        yield process


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    # Imported here: without a browser these tests are skipped, and its driver is not needed.
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-background-networking", "--disable-gpu", "--no-first-run", *_FRUGAL],
        )
        yield started
        started.close()


@pytest.fixture
def context(browser: "Browser") -> "Iterator[BrowserContext]":
    made = _fresh(browser)
    yield made
    made.close()


@pytest.fixture
def other_context(browser: "Browser") -> "Iterator[BrowserContext]":
    """A browser of somebody else: nothing of what the first one keeps is in it."""
    made = _fresh(browser)
    yield made
    made.close()


def _fresh(browser: "Browser") -> "BrowserContext":
    made = browser.new_context(viewport={"width": 1280, "height": 800}, timezone_id="Asia/Kolkata")
    made.set_default_timeout(PATIENCE_S * 1_000)
    return made


@pytest.fixture
def report() -> Report:
    return Report()


@pytest.fixture
def page(context: "BrowserContext", daemon: DaemonProcess, report: Report) -> "Page":
    return signed_in(context, daemon, report)


def signed_in(context: "BrowserContext", daemon: DaemonProcess, report: Report | None = None) -> "Page":
    """A new page of its own session."""
    made = context.new_page()
    (report or Report()).watch(made)
    made.goto(sign_in_link(daemon))
    made.get_by_role("status", name="Connection").get_by_text("live").wait_for()
    return made
