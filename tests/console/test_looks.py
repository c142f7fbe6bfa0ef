"""How the page looks to people and to what reads it aloud: names, roles, both themes, a narrow screen."""

import re
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.console.browsing import (
    Report,
    data_rows,
    drafted_job,
    go,
    letters,
    needs_browser,
    ops,
    publish,
    settled,
    sign_in_link,
    usage,
)
from tests.support.daemons import DaemonProcess
from tests.support.waiting import PATIENCE_S, pauses

if TYPE_CHECKING:
    from axe_playwright_python.base import AxeResults
    from playwright.sync_api import BrowserContext, Page

VIEWS = {
    "now": "Now",
    "dead": "Dead letters",
    "runs": "Runs",
    "jobs": "Jobs",
    "story": "Story",
    "alerts": "Alerts",
    "cost": "Cost",
    "kpi": "KPIs",
    "agents": "Agents",
    "care": "Care",
}
GRIDS = {
    "dead": "Groups",
    "dead?view=list": "Dead letters",
    "runs": "Runs",
    "jobs": "Jobs",
    "alerts": "Alerts",
    "cost": "Sessions",
    "kpi": "Posts",
    "agents": "Agents",
}


@pytest.mark.process
@needs_browser
def test_every_view_has_its_name_its_landmarks_and_its_list(page: "Page", report: Report) -> None:
    navigation = page.get_by_role("navigation", name="Views")
    assert page.get_by_role("banner").count() == 1
    for route, name in VIEWS.items():
        go(page, route)
        page.get_by_role("main").get_by_role("heading", name=name, level=1, exact=True).wait_for()
        assert page.title() == f"headgate: {name}"
        assert navigation.get_by_role("link", name=name).get_attribute("aria-current") == "page"
        assert page.get_by_role("main").get_by_role("heading", level=1).count() == 1
    for route, name in GRIDS.items():
        go(page, route)
        page.get_by_role("grid", name=name, exact=True).wait_for()
    assert report.said == []


@pytest.mark.process
@pytest.mark.timeout(900)  # all views, each looked through by axe: on a busy machine five minutes are not enough
@needs_browser
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_view_has_a_serious_finding_of_axe(page: "Page", daemon: DaemonProcess, theme: str) -> None:
    from axe_playwright_python.sync_playwright import Axe

    publish(daemon, [usage(producer="seen", status="fine", input_tokens=-1)])
    (letter, *_) = letters(daemon, producers=["seen"])
    page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    routes = [*VIEWS, "dead?view=list", f"dead/{letter['dead_letter_id']}", f"dead/{letter['dead_letter_id']}/edit"]
    for route in [*routes, "alert/dead_letters_open"]:
        go(page, route)
        page.get_by_role("main").get_by_role("heading", level=1).wait_for()
        # What is still coming in may be found fault with; a fault that stays is one.
        faults: list[tuple[str, list[object]]] = []
        for _ in pauses(PATIENCE_S / 2):
            page.wait_for_timeout(300)
            if not (faults := serious(Axe().run(page))):
                break
        assert faults == [], route


def serious(answer: "AxeResults") -> list[tuple[str, list[object]]]:
    """The serious findings: rule, and where."""
    return [
        (each["id"], [node["target"] for node in each["nodes"]][:2])
        for each in answer.response["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


# What stands out of the window sideways, and rows that do not show all that they have.
_CUT = """() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (element) => {
        for (let above = element.parentElement; above; above = above.parentElement)
            if (getComputedStyle(above).overflowX !== 'visible') return true;
        return false;
    };
    const out = [...document.querySelectorAll('header *, main *, dialog *')].filter((element) => {
        const box = element.getBoundingClientRect();
        return box.width && box.height && (box.right > width + 1 || box.left < -1) && !scrolls(element);
    });
    const rows = [...document.querySelectorAll('[role=row]:not(.head)')];
    const cut = rows.filter((row) => row.scrollHeight > row.clientHeight + 1);
    const page = document.documentElement.scrollWidth > width ? [document.documentElement] : [];
    const said = (element) => `${element.tagName} ${element.textContent.slice(0, 60)}`;
    return [...page, ...out, ...cut].slice(0, 5).map(said);
}"""


def routes_of(daemon: DaemonProcess) -> list[str]:
    """Every view with something in it."""
    producer = "a-producer-with-a-long-name"
    publish(daemon, [usage(producer=producer, status="fine", session_id="a-session"), usage(session_id="a-session")])
    letter = letters(daemon, producers=[producer])[0]["dead_letter_id"]
    job = drafted_job(daemon)["job_id"]
    run = ops(daemon, "runs", {"limit": 1})["items"][0]["run_id"]
    things = [f"dead/{letter}", f"dead/{letter}/edit", f"job/{job}", f"run/{run}", f"story?id={letter}"]
    return [*VIEWS, "dead?view=list", *things, "session/a-session", "alert/dead_letters_open"]


# What a pointer has to hit: a box that has a label may be hit there too, and so may the cell of a row's box.
_SMALL = """() => {
    const places = 'a[href], button, input, select, textarea, summary, [role=tab], [tabindex="0"]';
    return [...document.querySelectorAll(places)].flatMap((element) => {
        const own = element.getBoundingClientRect();
        if (!own.width || !own.height || element.matches('.skip')) return [];
        const box = (element.closest('label, .choice') ?? element).getBoundingClientRect();
        if (box.width >= 24 && box.height >= 24) return [];
        return [`${element.tagName} ${element.textContent.slice(0, 40)} ${box.width} x ${box.height}`];
    });
}"""


_LINES = """element => {
    const range = document.createRange();
    range.selectNodeContents(element);
    return range.getClientRects().length;
}"""


@pytest.mark.process
@needs_browser
def test_on_a_narrow_screen_and_at_two_hundred_percent_nothing_is_cut_or_hard_to_hit(
    page: "Page", daemon: DaemonProcess
) -> None:
    routes = routes_of(daemon)
    # A page of 1280 by 800 at 200 % has 640 by 400 pixels of its own.
    for width, height in ((360, 740), (640, 400), (1280, 800)):
        page.set_viewport_size({"width": width, "height": height})
        for route in routes:
            go(page, route)
            page.get_by_role("main").get_by_role("heading", level=1).wait_for()
            settled(page)
            assert page.evaluate(_CUT) == [], (width, route)
            assert page.evaluate(_SMALL) == [], (width, route)
    go(page, "dead?view=list")
    data_rows(page, "Dead letters").first.get_by_role("checkbox").check()
    page.get_by_role("button", name="Replay…").click()
    page.get_by_role("dialog", name="Replay").get_by_text("would go").wait_for()
    assert page.evaluate(_SMALL) == []
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate(_CUT) == []
    assert page.evaluate(_SMALL) == []
    go(page, "care")
    page.get_by_role("button", name="Self-heal").click()
    table = page.get_by_role("dialog").get_by_role("table")
    table.wait_for()
    assert table.evaluate("element => element.scrollWidth <= element.clientWidth"), "no column is beyond its edge"
    lines = table.get_by_role("cell", name="publications", exact=True).evaluate(_LINES)
    assert lines == 1, "a word is not broken where there is room for it"


# Where the controls of the banner have been, by their names less what is told behind them; looked at with each frame.
_PLACES = """() => {
    const places = (window.places = {});
    const look = () => {
        for (const control of document.querySelectorAll('header :is(a, button, input)')) {
            const { x, y } = control.getBoundingClientRect();
            const name = (control.ariaLabel ?? control.textContent).replace(/[^a-z ]/gi, '').trim();
            (places[name] ??= []).includes(`${x}, ${y}`) || places[name].push(`${x}, ${y}`);
        }
        requestAnimationFrame(look);
    };
    requestAnimationFrame(look);
}"""


@pytest.mark.process
@needs_browser
def test_nothing_in_the_banner_moves_away_under_the_pointer_when_the_page_hears_more(
    context: "BrowserContext", daemon: DaemonProcess
) -> None:
    publish(daemon, [usage(producer="counted", status="fine")])
    page = context.new_page()
    page.add_init_script(f"({_PLACES})()")
    page.goto(sign_in_link(daemon))
    page.get_by_role("banner").get_by_text("local", exact=True).wait_for()
    page.get_by_role("navigation").get_by_role("link", name=re.compile(r"Dead letters \d")).wait_for()
    settled(page)
    places = page.evaluate("window.places")
    assert {"headgate", "Jobs", "Care", "Sign out"} <= places.keys()
    assert {name: found for name, found in places.items() if len(found) > 1} == {}


@pytest.mark.process
@needs_browser
def test_on_a_narrow_screen_the_view_that_one_is_at_is_in_sight_among_the_views(page: "Page") -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    for route in VIEWS:
        go(page, route)
        link = page.get_by_role("navigation", name="Views").locator("[aria-current=page]")
        link.wait_for()
        settled(page)
        box = link.bounding_box()
        assert box is not None
        assert box["x"] >= 0, route
        assert box["x"] + box["width"] <= 360, route


@pytest.mark.process
@needs_browser
def test_beside_the_box_of_a_row_a_click_selects_and_opens_nothing(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="chosen", status="fine") for _ in range(3)])
    go(page, "dead?producer=chosen&view=list")
    cells = data_rows(page, "Dead letters").locator(".choice")
    cells.nth(2).wait_for()
    cells.nth(0).click(position={"x": 26, "y": 2})
    cells.nth(2).click(position={"x": 1, "y": 26}, modifiers=["Shift"])
    page.get_by_role("group", name="Selection").get_by_text("3 letters selected").wait_for()
    page.get_by_role("main").get_by_role("heading", name="Dead letters", level=1, exact=True).wait_for()


_MARKS = """(selector) => [...document.querySelectorAll(selector)].map((element) => {
    const look = getComputedStyle(element);
    return look.outlineStyle === 'none' ? '' : look.outlineColor;
})"""


@pytest.mark.process
@needs_browser
def test_with_forced_colours_and_without_motion_it_is_seen_where_one_is(page: "Page", daemon: DaemonProcess) -> None:
    """Grounds and shadows are gone then: what marks a place is a line."""
    routes = routes_of(daemon)
    page.emulate_media(forced_colors="active", reduced_motion="reduce")
    for route in routes:
        go(page, route)
        page.get_by_role("main").get_by_role("heading", level=1).wait_for()
        settled(page)
        places = "nav a[aria-current], [role=tab][aria-selected=true], [role=row].active"
        marks = page.evaluate(_MARKS, places)
        assert marks, route
        assert all(marks), route
        assert page.evaluate("document.getAnimations().length") == 0, route


@pytest.mark.process
@needs_browser
def test_shares_of_a_cost_are_of_its_dollars_and_its_chart_says_what_its_axes_are_of(
    page: "Page", daemon: DaemonProcess
) -> None:
    known = {"source": "provider_reported", "confidence": "high"}
    origin = {"tokens": known, "runtime": known, "cost": known}
    priced = usage(agent="shared", cost_usd="0.30", pricing_version="2026-11", provenance=origin)
    publish(daemon, [priced, usage(agent="shared"), usage(agent="shared")])

    go(page, "cost?agent=shared")

    main = page.get_by_role("main")
    main.get_by_text("of these dollars reported 100 %, derived 0 %").wait_for()
    main.get_by_text("3 requests").wait_for()
    main.get_by_text("no price: 2 of them, not counted as $0").wait_for()
    chart = page.get_by_role("figure")
    chart.get_by_text("US dollars a day, UTC").wait_for()
    assert chart.locator(".axis.up span").all_inner_texts() == ["$0.30", "$0.15", "$0"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", chart.locator(".axis.along span").first.inner_text())


@pytest.mark.process
@needs_browser
def test_the_days_below_a_chart_end_where_it_ends_on_a_narrow_screen(page: "Page", daemon: DaemonProcess) -> None:
    today = datetime.now(UTC)
    page.set_viewport_size({"width": 360, "height": 740})
    for days in (15, 13, 9):
        agent = f"of-{days}-days"
        publish(daemon, [usage(agent=agent, at=(today - timedelta(days=back)).isoformat()) for back in range(days)])
        go(page, f"cost?agent={agent}")
        page.get_by_role("main").get_by_text(f"{days} requests").wait_for()
        names = page.locator(".axis.along span").evaluate_all(_TEXTS_IN_SIGHT)
        ends = [right for _, right in names]
        assert len(names) >= 2, days
        assert ends[-1] <= 360, days
        assert all(left > end for (left, _), end in zip(names[1:], ends, strict=False)), (days, names)


# From where to where each text reaches that is seen; it may be wider than what it is in.
_TEXTS_IN_SIGHT = """elements => elements.flatMap(element => {
    if (getComputedStyle(element).visibility === 'hidden') return [];
    const range = document.createRange();
    range.selectNodeContents(element);
    const { left, right } = range.getBoundingClientRect();
    return [[left, right]];
})"""


@pytest.mark.process
@needs_browser
def test_who_keeps_an_alert_quiet_until_when_and_why_is_read_in_the_list(page: "Page", daemon: DaemonProcess) -> None:
    until = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
    ops(daemon, "alerts", {"action": "suppress", "rule": "stuck_jobs", "until": until, "reason": "provider down"})
    # Room for the date too, where that is tomorrow in the zone of the page.
    page.set_viewport_size({"width": 1440, "height": 900})
    go(page, "alerts")
    row = data_rows(page, "Alerts").filter(has_text="stuck_jobs")

    words = row.get_by_text(re.compile(r"^until .* by local: provider down$"))

    words.wait_for()
    assert words.evaluate("element => element.scrollWidth <= element.clientWidth"), "nothing of it is cut"
    # All of it is in its row, and so is what takes it back.
    inside = row.get_by_role("button", name="Lift").bounding_box()
    around = row.bounding_box()
    assert inside is not None
    assert around is not None
    assert inside["y"] >= around["y"]
    assert inside["y"] + inside["height"] <= around["y"] + around["height"]


@pytest.mark.process
@needs_browser
def test_theme_and_time_zone_are_kept_and_nothing_else_is(page: "Page", daemon: DaemonProcess) -> None:
    publish(daemon, [usage(producer="timed", status="fine")])
    go(page, "dead?producer=timed&view=list")
    local = data_rows(page, "Dead letters").first.locator("time").first.inner_text()
    assert page.get_by_role("button", name="Time zone local +05:30").count() == 1

    page.get_by_role("button", name="Time zone").click()
    page.get_by_role("button", name="Theme").click()
    page.reload()

    page.get_by_role("button", name="Time zone UTC").wait_for()
    page.get_by_role("button", name="Theme light").wait_for()
    data_rows(page, "Dead letters").first.wait_for()
    assert data_rows(page, "Dead letters").first.locator("time").first.inner_text() != local
    assert page.evaluate("Object.keys(localStorage).sort()") == ["headgate.theme", "headgate.zone"]
