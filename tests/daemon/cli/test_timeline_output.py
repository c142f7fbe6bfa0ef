"""What the command line tells of a story: what is so now is not told as what was so then."""

import io

from rich.console import Console

from contracts.errors import JsonObject
from daemon.cli.output.timeline import timeline


def shown(*items: JsonObject) -> list[str]:
    console = Console(file=io.StringIO(), width=80)
    for part in timeline("explain", {"items": [*items]}):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def row(**details: str | int) -> JsonObject:
    return {"at": "2026-11-29T02:03:40.430679Z", "what": "row", "id": "p1", "by": "ada", "details": {**details}}


def test_the_state_of_a_row_is_told_as_that_of_now() -> None:
    assert shown(row(table="publications", platform="reels", status="cancelled")) == [
        "2026-11-29 UTC",
        "02:03:40.430  row          publications p1 (reels, cancelled now)  by ada",
    ]
    assert "(m, ok)" in shown(row(table="session_usage", model="m", status="ok"))[1]


def test_a_measurement_tells_its_figures() -> None:
    assert "(impressions 100, reach 50)" in shown(row(table="post_measurements", impressions=100, reach=50))[1]
