"""What is read from the page's sources without a browser: contrasts, and that no text becomes markup."""

import re
from pathlib import Path

import pytest

from daemon.http.console_build import HERE


def _tokens() -> dict[str, tuple[str, str]]:
    css = (HERE / "app.css").read_text(encoding="utf-8")
    pairs = re.findall(r"--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)", css)
    return {name: (light, dark) for name, light, dark in pairs}


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _contrast(one: str, other: str) -> float:
    low, high = sorted([_luminance(one), _luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_texts_stand_out_from_what_they_stand_on(theme: int) -> None:
    """WCAG 2.2 AA: 4.5 for texts, 3 for what is a control or the focus."""
    tokens = _tokens()
    texts = ["text", "soft", "link", "good", "busy", "warn", "bad", "quiet", "disabled"]
    grounds = ["page", "panel", "row-hover", "row-active", "select"]
    low = [
        (text, ground, round(_contrast(tokens[text][theme], tokens[ground][theme]), 2))
        for text in texts
        for ground in grounds
        if _contrast(tokens[text][theme], tokens[ground][theme]) < 4.5
    ]
    marks = [
        (mark, ground)
        for mark in ("control-line", "focus")
        for ground in ("page", "panel")
        if _contrast(tokens[mark][theme], tokens[ground][theme]) < 3
    ]
    buttons = [name for name in ("main", "danger") if _contrast(tokens[name][theme], "#ffffff") < 4.5]
    assert (low, marks, buttons) == ([], [], [])


def test_no_source_writes_markup_or_follows_a_text() -> None:
    """Texts become text nodes: nothing parses markup, nothing is evaluated."""
    forbidden = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|dangerouslySet|\beval\(|new Function"
    )
    sources = [path for path in HERE.rglob("*.ts*") if not {"node_modules", "static", "build"} & set(path.parts)]
    assert len(sources) > 40
    assert [path.name for path in sources if forbidden.search(Path(path).read_text(encoding="utf-8"))] == []
