"""Hostile content: what producers send is shown as text, harms nothing, and comes back as it was but for the edit."""

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.console.browsing import (
    Report,
    data_rows,
    go,
    letters,
    needs_browser,
    ops,
    outcome,
    publish,
    publish_to,
    usage,
)
from tests.support.daemons import DaemonProcess, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.process, needs_browser]

NAUGHTY = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><svg onload=alert(1)>',
    "javascript:alert(1)",
    "{{constructor.constructor('alert(1)')()}}",
    "${alert(1)}",
    "' OR 1=1 --",
    "\u202etxt.exe",
    "\u2066isolate\u2069",
    "zero\u200bwidth",
    "Ṱ̺̺̕o͞ ̷i̲̬n̝̗v̟̜o̘",
    "\U0001d518\U0001d52b\U0001d526 📦",
    "__proto__",
    "constructor",
    "a" * 3_000,
]


def test_scripts_in_every_field_are_text_and_nothing_runs(page: "Page", daemon: DaemonProcess, report: Report) -> None:
    publish(daemon, [usage(producer="hostile", agent=text, session_id=text, model=text) for text in NAUGHTY])
    publish(daemon, [usage(producer=text[:90], status="fine") for text in NAUGHTY if text.isprintable()])
    for route in ("now", "dead", "dead?view=list", "dead?view=list&producer=hostile"):
        go(page, route)
        page.wait_for_timeout(500)
    for letter in letters(daemon, producers=["hostile"])[:6]:
        go(page, f"dead/{letter['dead_letter_id']}")
        page.get_by_label("Body as it came").wait_for()
    go(page, "dead")
    first = data_rows(page, "Groups").filter(has_text="<script>alert(1)</script>").first
    assert "<script>alert(1)</script>" in first.inner_text()

    assert report.dialogs == []
    assert report.said == [], "a content security policy that is broken is said on the console"
    allowed = {urlsplit(daemon.http_url).netloc}
    assert {urlsplit(url).netloc for url in report.requests} <= allowed
    assert page.locator("main script, main img, main iframe, main a[href^='javascript']").count() == 0


def test_what_turns_text_round_is_shown_by_its_number(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="turned", status="\u202efine\u001b[31m")])
    (letter,) = letters(daemon, producers=["turned"])
    go(page, f"dead/{letter['dead_letter_id']}")
    body = page.get_by_label("Body as it came")
    body.wait_for()
    assert "⟨U+202E⟩fine" in body.inner_text()
    assert "\u202e" not in body.inner_text()


def test_an_edit_changes_the_edit_alone(page: "Page", daemon: DaemonProcess) -> None:
    """Numbers beyond 2^53, spellings of strings and the order of keys come back byte for byte."""
    line = usage(producer="exact", status="fine")
    exact = line.replace('"output_tokens": 20', '"output_tokens":  9007199254740993').replace(
        '"agent": "planner"', '"agent": "pl\\u0061nner"'
    )
    assert exact != line
    publish(daemon, [exact])
    (letter,) = letters(daemon, producers=["exact"])
    go(page, f"dead/{letter['dead_letter_id']}/edit")
    body = page.get_by_role("textbox", name="Body")
    body.wait_for()
    page.get_by_role("button", name="Raw").click()
    body.click()
    page.keyboard.press("Control+Home")
    page.keyboard.insert_text("  ")
    page.get_by_role("button", name="Replay edited").click()
    outcome(page).get_by_text("refused again").wait_for()

    shown = ops(daemon, "dead-letters", {"action": "show", "dead_letter_id": letter["dead_letter_id"]})
    assert shown["replays"][-1]["body"] == "  " + shown["body"]
    assert shown["body"] == exact


def test_a_double_key_and_a_lone_surrogate_are_marked_before_the_gate_is_asked(
    page: "Page", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="strict", status="fine")])
    (letter,) = letters(daemon, producers=["strict"])
    go(page, f"dead/{letter['dead_letter_id']}/edit")
    body = page.get_by_role("textbox", name="Body")
    body.click()
    page.keyboard.press("Control+a")
    page.keyboard.insert_text('{"kind": 1, "kind": "\\ud800", "n": 18446744073709551616}')
    faults = page.get_by_role("list", name="Faults")
    faults.get_by_text("stands here twice").wait_for()
    faults.get_by_text("lone surrogate").wait_for()
    faults.get_by_text("beyond 64 bits").wait_for()


def test_bytes_that_are_no_text_are_shown_as_hex_and_cannot_be_edited(page: "Page", daemon: DaemonProcess) -> None:
    raw = b"\xff\xfe\x00not text"
    publish_to(daemon, "hg.ingest.session.usage", raw)
    (letter,) = eventually(lambda: [each for each in letters(daemon) if each["bytes"] == len(raw)])
    go(page, f"dead/{letter['dead_letter_id']}")
    body = page.get_by_label("Body as it came")
    body.wait_for()
    assert "ff fe 00 6e" in body.inner_text()
    assert page.get_by_role("button", name="Edit").is_disabled()


def test_a_large_body_is_shown_in_part_and_downloaded_whole(page: "Page", daemon: DaemonProcess) -> None:
    raw = json.dumps({"padding": "x" * 5_000_000}).encode()
    publish_to(daemon, "hg.ingest.session.usage", raw)
    (letter,) = eventually(lambda: [each for each in letters(daemon) if each["bytes"] == len(raw)])
    go(page, f"dead/{letter['dead_letter_id']}")
    page.get_by_text("The first 64.0 KiB of 4.8 MiB are shown").wait_for()
    with page.expect_download() as started:
        page.get_by_role("button", name="Download").click()
    assert started.value.path().read_bytes() == raw


_FORBIDDEN = (
    "PUB hg.ingest.session.usage 2\r\n{}\r\nPUB $JS.API.STREAM.LIST 2\r\n{}\r\nPUB hg.callback.job.x 2\r\n{}\r\n"
    "SUB hg.dead.> 1\r\nSUB hg.ingest.> 2\r\nSUB > 3\r\nPING\r\n"
)
_BY_HAND = """async (forbidden) => {
    const { ws_url } = await (await fetch('config.json')).json();
    const { user, password } = JSON.parse(sessionStorage.getItem('headgate.session'));
    const socket = new WebSocket(ws_url);
    socket.binaryType = 'arraybuffer';
    let heard = '';
    socket.onmessage = ({ data }) => { heard += new TextDecoder().decode(data); };
    await new Promise((resolve) => { socket.onopen = resolve; });
    const send = (text) => socket.send(new TextEncoder().encode(text));
    send(`CONNECT ${JSON.stringify({ user, pass: password, verbose: false, headers: true })}\\r\\n`);
    send(forbidden);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    socket.close();
    return heard;
}"""


def test_what_the_session_may_not_do_is_refused_by_the_server(page: "Page", daemon: DaemonProcess) -> None:
    """A stolen session reaches no stream, no consumer and no ingest: tried from the page's own origin, by hand."""
    heard = page.evaluate(_BY_HAND, _FORBIDDEN)
    for subject in ("hg.ingest.session.usage", "$JS.API.STREAM.LIST", "hg.callback.job.x", "hg.dead.>", "hg.ingest.>"):
        assert f'"{subject}"' in heard, subject
    assert heard.lower().count("permissions violation") == 6
