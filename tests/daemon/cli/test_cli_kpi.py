"""``headgate ops kpi-report``: as text, as a page, as a picture; and the tables of the ledger at 80 columns."""

import html
import json
import struct
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Final

import pytest

from contracts.errors import JsonObject, JsonValue
from daemon.cli.kpi.page import page
from daemon.cli.kpi.plot import PlottingMissing, plot
from daemon.cli.kpi.report import METRICS, read_report
from tests.support.command_line import Done, headgate
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.records.usage_records import lines, many

pytestmark = pytest.mark.process

ODD = "post-9"
LATELY: Final = {
    "from": (datetime.now(UTC) - timedelta(days=14)).isoformat(),
    "to": (datetime.now(UTC) + timedelta(days=1)).isoformat(),
}

Json = JsonObject


def measured(post_id: str, reach: int) -> Json:
    at = (datetime.now(UTC) - timedelta(seconds=1)).isoformat()
    counts = {"impressions": 2 * reach, "reach": reach, "likes": 1, "comments": 1, "saves": 1, "shares": 1, "views": 9}
    return {"post_id": post_id, "platform": "shorts", "at": at, **counts, "watch_through": 0.5}


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that knows ten posts, one of which stands out, and some sessions."""
    folder = tmp_path_factory.mktemp("daemon")
    with running_daemon(folder) as running:
        posts = folder / "posts.jsonl"
        posts.write_text(lines(*(measured(f"post-{n}", 9_000 if n == 9 else 100 + n) for n in range(10))))
        for arguments in (("--wrap", "content.performance", posts), (many(folder / "usage.jsonl", 30, "u"),)):
            done = headgate("publish", *arguments, "--config", running.config)
            assert done.code == 0, done.err
        yield running


def report(daemon: DaemonProcess, *arguments: str | Path, columns: int = 80) -> Done:
    variables = {"COLUMNS": str(columns)}
    return headgate("ops", "kpi-report", *arguments, "--config", daemon.config, variables=variables)


def test_a_report_is_text_that_fits_a_terminal(daemon: DaemonProcess) -> None:
    done = report(daemon)

    assert done.code == 0, done.err
    assert done.out.startswith("KPI report, daily")
    assert max(map(len, done.out.splitlines())) <= 80
    assert [line.split()[1] for line in done.out.splitlines() if line.startswith("! ")] == [ODD]


def test_in_json_it_is_the_report(daemon: DaemonProcess) -> None:
    found = report(daemon, "--json", "-p", "period=weekly").json

    assert found["period"] == "weekly"
    assert isinstance(found["posts"], list)
    odd = [post["post_id"] for post in found["posts"] if isinstance(post, dict) and post["anomaly"]]
    assert odd == [ODD]


def test_a_page_and_a_picture_are_written(daemon: DaemonProcess, tmp_path: Path) -> None:
    page_file, picture = tmp_path / "report.html", tmp_path / "report.png"
    done = report(daemon, "--html", page_file, "--plot", picture)

    assert done.code == 0, done.err
    assert ODD in page_file.read_text(encoding="utf-8")
    signature, width = picture.read_bytes()[:8], struct.unpack(">I", picture.read_bytes()[16:20])[0]
    assert signature == b"\x89PNG\r\n\x1a\n"
    assert width > 1_000


def test_what_cannot_be_written_is_one_line(daemon: DaemonProcess, tmp_path: Path) -> None:
    done = report(daemon, "--html", tmp_path / "no folder" / "report.html")

    assert done.code == 1
    assert len(done.err.splitlines()) == 1


def test_only_a_report_is_drawn(daemon: DaemonProcess, tmp_path: Path) -> None:
    done = headgate("ops", "runs", "--html", tmp_path / "r.html", "--config", daemon.config)

    assert done.code == 4
    assert "kpi-report" in done.err


@pytest.mark.parametrize(
    ("subject", "payload"),
    [
        ("hg.cmd.ledger.list", {"limit": 5}),
        ("hg.cmd.analytics.usage", {"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "group_by": "day"}),
        ("hg.cmd.analytics.performance", LATELY),
        ("hg.cmd.item.list", {}),
        ("hg.cmd.publication.list", {}),
    ],
)
def test_answers_are_tables_of_eighty_columns(daemon: DaemonProcess, subject: str, payload: Json) -> None:
    done = headgate("ask", subject, json.dumps(payload), "--config", daemon.config, variables={"COLUMNS": "80"})

    assert done.code == 0, done.err
    assert max(map(len, done.out.splitlines())) <= 80
    assert "{" not in done.out


class Tags(HTMLParser):
    """What a page consists of."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.sources: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.sources += [value or "" for name, value in attrs if name in ("src", "href", "srcset")]


def an_answer(**post: JsonValue) -> Json:
    sums: Json = {"posts": 1, **dict.fromkeys(METRICS, 3), "watch_through": None}
    shown = {"post_id": "p", "platform": "s", "topic": None, "objective": None, "objective_value": None, "reach": 3}
    return {
        "period": "daily",
        "from": "2026-11-19T00:00:00.000000Z",
        "to": "2026-11-21T00:00:00.000000Z",
        "posts": [{**shown, "z": None, "anomaly": False, **post}],
        "periods": [{"start": "2026-11-19", **sums}, {"start": "2026-11-20", **sums}],
        "totals": sums,
        "change": dict.fromkeys(METRICS, None),
    }


def test_a_page_needs_nothing_else_and_takes_no_text_for_markup() -> None:
    evil = '<script>alert("x")</script><img src=x>'
    text = page(read_report(an_answer(topic=evil)))

    tags = Tags()
    tags.feed(text)
    assert {"script", "img", "link", "iframe"}.isdisjoint(tags.names)
    assert tags.sources == []
    assert html.escape(evil) in text
    assert "2026-11-19 to 2026-11-20" in text


def test_without_the_library_a_picture_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)

    with pytest.raises(PlottingMissing, match=r"headgate\[plot\]"):
        plot(read_report(an_answer()), tmp_path / "r.png")
