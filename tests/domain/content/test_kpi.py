"""The KPI report on a few posts whose sums are computed by hand."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from domain.content.kpi import KpiReport, Period, PostDay, make_report, report_days
from domain.content.kpi_text import WIDTH, report_text, sparkline

DAY = 86_400_000_000
FIRST = 20_409  # Monday, 2025-11-17, counted from the epoch


def measured(day: int, post_id: str = "a", reach: int = 100, *, views: int = 10, **more: Any) -> PostDay:
    row = PostDay(day, day * DAY, post_id, "shorts", None, "reach", 2 * reach, reach, 1, 2, 3, 4, views, 0.5)
    return row._replace(**more)


@dataclass
class Reported:
    rows: list[PostDay] = field(default_factory=list)

    def report(self, since: int, until: int, period: Period = Period.DAILY) -> KpiReport:
        return make_report(period, report_days(period, since, until), self.rows)


def test_periods_have_the_latest_of_each_post_and_totals_count_each_post_once() -> None:
    rows = [
        measured(FIRST, "a", 100),
        measured(FIRST, "a", 120, at=FIRST * DAY + 5),
        measured(FIRST, "b", 10),
        measured(FIRST + 2, "a", 150),
    ]
    report = Reported(rows).report(FIRST, FIRST + 3)

    assert [(each.start, each.sums.posts, each.sums.counts["reach"]) for each in report.periods] == [
        (FIRST, 2, 130),
        (FIRST + 1, 0, 0),
        (FIRST + 2, 1, 150),
    ]
    assert (report.totals.posts, report.totals.counts["reach"]) == (2, 160)
    assert [post.latest.post_id for post in report.posts] == ["a", "b"]
    assert report.posts[0].trend == (120, None, 150)


def test_a_week_begins_on_monday_and_a_window_is_of_whole_weeks() -> None:
    rows = [measured(FIRST - 1, reach=1), measured(FIRST, reach=2), measured(FIRST + 6, reach=3)]
    report = Reported(rows).report(FIRST + 3, FIRST + 4, Period.WEEKLY)

    assert (report.since, report.until) == (FIRST, FIRST + 7)
    assert [(each.start, each.sums.counts["reach"]) for each in report.periods] == [(FIRST, 3)]
    assert report.before.counts["reach"] == 1


def test_change_is_against_the_time_before_of_the_same_length() -> None:
    rows = [measured(FIRST - 1, reach=80), measured(FIRST, reach=100), measured(FIRST - 2, "old", reach=900)]
    report = Reported(rows).report(FIRST, FIRST + 1)

    assert report.change["reach"] == pytest.approx(0.25)
    assert report.change["likes"] == 0.0
    assert Reported([measured(FIRST)]).report(FIRST, FIRST + 1).change["reach"] is None


def test_watch_through_is_weighted_by_views_and_unknown_without_any() -> None:
    rows = [
        measured(FIRST, "a", views=30, watch_through=0.2),
        measured(FIRST, "b", views=10, watch_through=1.0),
        measured(FIRST, "c", views=0, watch_through=0.9),
    ]
    assert Reported(rows).report(FIRST, FIRST + 1).totals.watch_through == pytest.approx(0.4)
    assert Reported([rows[2]]).report(FIRST, FIRST + 1).totals.watch_through is None


def test_a_post_is_judged_by_its_objective_among_peers_of_its_platform() -> None:
    peers = [measured(FIRST, f"p{number}", saves=10 + number) for number in range(9)]
    peers = [row._replace(objective="saves") for row in peers]
    odd = measured(FIRST, "odd", saves=500, objective="saves")
    elsewhere = odd._replace(post_id="elsewhere", platform="radio")
    other_aim = odd._replace(post_id="other", objective="shares")
    report = Reported([*peers, odd, elsewhere, other_aim]).report(FIRST, FIRST + 1)

    posts = {post.latest.post_id: post for post in report.posts}
    assert posts["odd"].anomaly
    assert posts["odd"].objective_value == 500
    assert [name for name, post in posts.items() if post.anomaly] == ["odd"]
    assert posts["elsewhere"].z is None
    assert posts["other"].z is None


def test_without_an_objective_there_is_no_value_and_reach_judges() -> None:
    rows = [measured(FIRST, f"p{number}", 100 + number, objective=None) for number in range(9)]
    report = Reported([*rows, measured(FIRST, "odd", 9_000, objective=None)]).report(FIRST, FIRST + 1)

    assert report.posts[0].latest.post_id == "odd"
    assert (report.posts[0].objective_value, report.posts[0].anomaly) == (None, True)


def test_history_before_the_window_counts() -> None:
    peers = [measured(FIRST, f"p{number}", 90 + 5 * number) for number in range(9)]
    fallen = [measured(FIRST, "fallen", 110), *(measured(FIRST - day, "fallen", 1_000 + day) for day in range(1, 12))]

    fresh = Reported([*peers, fallen[0]]).report(FIRST, FIRST + 1)
    known = Reported([*peers, *fallen]).report(FIRST, FIRST + 1)

    assert [post.anomaly for report in (fresh, known) for post in report.posts if post.latest.post_id == "fallen"] == [
        False,
        True,
    ]


def test_nothing_measured_is_a_report_of_zeros() -> None:
    report = Reported().report(FIRST, FIRST + 2)

    assert (report.posts, report.totals.posts, len(report.periods)) == ((), 0, 2)
    assert "No post was measured" in report_text(report)


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0, 1, 2, 3, 4, 5, 6, 7], "▁▂▃▄▅▆▇█"),
        ([5, 5, 5], "▄▄▄"),
        ([0, 0], "▁▁"),
        ([1, None, 2], "▁ █"),
        ([None, None], "  "),
        ([], ""),
        ([9, 1, 2], "▁█"),
    ],
)
def test_sparklines(values: list[float | None], shown: str) -> None:
    assert sparkline(values, 2 if values[:1] == [9] else 10) == shown


def test_the_text_fits_eighty_columns_whatever_the_names_and_numbers() -> None:
    rows = [
        measured(FIRST + day, f"post-{'x' * (180 if number else 3)}-{number}", 10**number, platform="p" * 200)
        for number in range(14)
        for day in range(40)
    ]
    rows = [row._replace(objective="watch_through", watch_through=1.0) for row in rows]
    text = report_text(Reported(rows).report(FIRST, FIRST + 40))

    assert max(map(len, text.splitlines())) <= WIDTH
    assert "watch_through" in text
