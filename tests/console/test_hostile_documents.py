"""Documents that parsers disagree on, in the editor: shown as they are, marked where wrong, sent as they are."""

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

import pytest

from tests.console.browsing import Report, go, letters, needs_browser, outcome, publish_to
from tests.console.documents import MAY_BE_TAKEN, MUST_BE_REFUSED, MUST_BE_TAKEN, NO_TEXT
from tests.support.daemons import DaemonProcess, eventually

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [pytest.mark.process, needs_browser]

T = TypeVar("T")
EDIT = "  "
DRAWN_WHOLE = 2_000


def batched(values: Iterable[T], size: int) -> Iterator[list[T]]:
    left = iter(values)
    while part := list(islice(left, size)):
        yield part


# The lines that stand in the document; a long one or many of them are drawn in part.
_LINES = """() => [...document.querySelector('.editor').shadowRoot.querySelectorAll('.cm-line')]
    .map((line) => line.textContent)"""


HIDDEN = re.compile(r"[\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\x80-\x9f]")
RULES = re.compile("stands here twice|lone surrogate|beyond 64 bits|not finite")
"""What the gate refuses although it is JSON."""


def visible(line: str) -> str:
    """As a line is shown: what is invisible by its picture or its number."""
    return HIDDEN.sub(lambda found: f"\u27e8U+{ord(found[0]):04X}\u27e9", line.translate(PICTURES))


PICTURES = {code: 0x2400 + code for code in range(0x20) if code != ord("\t")} | {0x7F: 0x2421}


def kept(daemon: DaemonProcess, body: bytes) -> str:
    """The id of the dead letter that a body has become."""
    before = newest(daemon)
    publish_to(daemon, "hg.ingest.session.usage", body)
    return eventually(lambda: newest(daemon) - before).pop()


def newest(daemon: DaemonProcess) -> set[str]:
    return {letter["dead_letter_id"] for letter in letters(daemon, limit=1)}


def faults(page: "Page") -> list[str]:
    """What strict JSON and the schema say, once they have."""
    page.locator(".verdicts").get_by_text(re.compile(r"schema: (no|\d)")).wait_for()
    return page.get_by_role("list", name="Faults").get_by_role("listitem").all_inner_texts()


def sent_by_check(page: "Page", report: Report) -> str | None:
    """The body that the gate was asked about; a command may hold no NUL, and that is told in its place."""
    page.get_by_role("button", name="Check").click()
    said = outcome(page).get_by_text("The gate says: refused")
    said.or_(page.get_by_role("alert").get_by_text("VALIDATION_ERROR")).first.wait_for()
    if said.count():
        page.get_by_role("button", name="Dismiss").click()
    return report.last_body("check")


CASES = [
    pytest.param(kind, dict(items), id=f"{name}-{number}")
    for kind, name, documents in (
        ("taken", "must-be-taken", MUST_BE_TAKEN),
        ("refused", "must-be-refused", MUST_BE_REFUSED),
        ("by-rule", "may-be-taken", MAY_BE_TAKEN),
    )
    for number, items in enumerate(batched(documents.items(), 17))
]


@pytest.mark.timeout(900)  # seventeen documents, each of them by hand
@pytest.mark.parametrize(("kind", "documents"), CASES)
def test_documents_are_shown_marked_and_sent_as_they_are_but_for_the_edit(
    page: "Page", daemon: DaemonProcess, report: Report, kind: str, documents: dict[str, str]
) -> None:
    for name, text in documents.items():
        go(page, f"dead/{kept(daemon, text.encode())}/edit")
        body = page.get_by_role("textbox", name="Body")
        body.wait_for()
        marked = faults(page)
        if kind == "refused":
            assert len(marked) == 1, (name, marked)
            assert "There is no schema" not in marked[0], name
        else:
            assert any(RULES.search(each) for each in marked) is (kind == "by-rule"), (name, marked)

        page.get_by_role("button", name="Raw").click()
        if len(text) < DRAWN_WHOLE:
            assert page.evaluate(_LINES) == [visible(line) for line in text.split("\n")], name
        body.click()
        page.keyboard.press("Control+Home")
        page.keyboard.insert_text(EDIT)
        assert sent_by_check(page, report) == EDIT + text, name
    assert report.said == []
    assert report.dialogs == []


def test_what_is_no_text_is_shown_byte_for_byte_and_is_not_edited(page: "Page", daemon: DaemonProcess) -> None:
    for name, body in NO_TEXT.items():
        go(page, f"dead/{kept(daemon, body)}")
        shown = page.get_by_label("Body as it came")
        shown.wait_for()
        codes = re.findall(r"^[0-9a-f]{6}  ((?:[0-9a-f]{2} ?)+)", shown.inner_text(), re.MULTILINE)
        assert bytes.fromhex("".join(codes)) == body, name
        assert page.get_by_role("button", name="Edit").is_disabled(), name
        with page.expect_download() as started:
            page.get_by_role("button", name="Download").click()
        assert started.value.path().read_bytes() == body, name
