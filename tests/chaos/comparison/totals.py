"""The totals, computed again from the rows that they are totals of."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final, TypeAlias

from tests.chaos.comparison.evidence import Row
from tests.chaos.comparison.findings import Findings

Key: TypeAlias = tuple[object, ...]
Sums: TypeAlias = defaultdict[str, int]

_HOUR_MICROS: Final = 3_600_000_000
_DAY_MICROS: Final = 24 * _HOUR_MICROS
_STATUS: Final = {"completed": "completed", "failed": "failed", "killed": "killed"}
_RUNNING: Final = "running"


def check_totals(tables: Mapping[str, Sequence[Row]], findings: Findings) -> None:
    """Ledger, totals of hours and days, and classes of runtimes against ``session_usage`` and ``session_events``."""
    usage, events = tables["session_usage"], tables["session_events"]
    _compare("session_ledger", ("session_id",), tables["session_ledger"], _sessions(usage, events), findings)
    _compare("daily_usage_agg", ("day", "agent", "model"), tables["daily_usage_agg"], _totals(usage, _day), findings)
    _compare(
        "hourly_usage_agg", ("hour", "agent", "model"), tables["hourly_usage_agg"], _totals(usage, _hour), findings
    )
    keys = ("day", "agent", "model", "bucket")
    _compare("model_perf_agg", keys, tables["model_perf_agg"], _runtimes(usage), findings)
    _check_newest(tables["session_ledger"], usage, events, findings)


def _compare(
    table: str, keys: Sequence[str], rows: Sequence[Row], expected: Mapping[Key, Mapping[str, int]], findings: Findings
) -> None:
    found = {tuple(row[key] for key in keys): row for row in rows}
    for key, sums in expected.items():
        row = found.get(key)
        if row is None:
            findings.add(f"{table} lacks a row", key)
        elif differing := {name: (value, row[name]) for name, value in sums.items() if row[name] != value}:
            findings.add(f"{table} is not the sum of its rows (computed, stored)", (key, differing))
    for key in found.keys() - expected.keys():
        findings.add(f"{table} has a row of nothing", key)


def _number(row: Row, name: str) -> int:
    value = row[name]
    return value if isinstance(value, int) else 0


def _sessions(usage: Sequence[Row], events: Sequence[Row]) -> dict[Key, Sums]:
    sums: defaultdict[Key, Sums] = defaultdict(lambda: defaultdict(int))
    for row in usage:
        session = sums[row["session_id"],]
        session["requests"] += 1
        session["errors"] += row["status"] == "error"
        session["events"] += 0
        for name in ("input_tokens", "output_tokens", "cost_usd_micros"):
            session[name] += _number(row, name)
        tokens = _number(row, "input_tokens") + _number(row, "output_tokens")
        session["tokens_derived"] += tokens if row["tokens_source"] == "derived" else 0
        session["tokens_missing_count"] += row["tokens_source"] == "missing"
        session["cost_usd_micros_derived"] += _number(row, "cost_usd_micros") if row["cost_source"] == "derived" else 0
        session["cost_missing_count"] += row["cost_usd_micros"] is None
    for row in events:
        sums[row["session_id"],]["events"] += 1
        sums[row["session_id"],]["requests"] += 0
    times: defaultdict[Key, list[int]] = defaultdict(list)
    for row in (*usage, *events):
        times[row["session_id"],].append(_number(row, "at"))
    for key, ats in times.items():
        sums[key] |= {"started_at": min(ats), "last_at": max(ats)}
    return sums


def _day(row: Row) -> str:
    return datetime.fromtimestamp(_number(row, "at") // _DAY_MICROS * 86_400, UTC).date().isoformat()


def _hour(row: Row) -> int:
    return _number(row, "at") // _HOUR_MICROS


def _totals(usage: Sequence[Row], when: Callable[[Row], int | str]) -> dict[Key, Sums]:
    sums: defaultdict[Key, Sums] = defaultdict(lambda: defaultdict(int))
    for row in usage:
        day = sums[when(row), row["agent"], row["model"]]
        tokens = _number(row, "input_tokens") + _number(row, "output_tokens")
        day["requests"] += 1
        day["errors"] += row["status"] == "error"
        for name in ("input_tokens", "output_tokens", "runtime_ms", "cost_usd_micros"):
            day[name] += _number(row, name)
        _add_figure(day, "tokens", "tokens", row["tokens_source"], tokens)
        _add_figure(day, "runtime_ms", "runtime", row["runtime_source"], _number(row, "runtime_ms"))
        _add_figure(day, "cost_usd_micros", "cost", row["cost_source"], _number(row, "cost_usd_micros"))
        has_tokens = row["input_tokens"] is not None or row["output_tokens"] is not None
        is_unpriced = row["cost_usd_micros"] is None and row["input_price_usd_micros_per_mtok"] is None and has_tokens
        day["unpriced"] += is_unpriced
    return sums


def _add_figure(day: Sums, figure: str, name: str, source: object, amount: int) -> None:
    day[f"{figure}_reported"] += amount if source == "provider_reported" else 0
    day[f"{figure}_derived"] += amount if source == "derived" else 0
    day[f"{name}_missing_count"] += source == "missing"


def _borders() -> list[int]:
    """Where the classes of runtimes begin: each is a tenth wide, the first ones a millisecond."""
    borders = [0]
    while borders[-1] <= 2**53:
        borders.append(borders[-1] + 2 * (borders[-1] // 20) + 1)
    return borders


_BORDERS: Final = _borders()


def _runtimes(usage: Sequence[Row]) -> dict[Key, Sums]:
    sums: defaultdict[Key, Sums] = defaultdict(lambda: defaultdict(int))
    for row in usage:
        bucket = -1 if row["runtime_ms"] is None else bisect_right(_BORDERS, _number(row, "runtime_ms")) - 1
        counts = sums[_day(row), row["agent"], row["model"], bucket]
        counts["requests"] += 1
        counts["errors"] += row["status"] == "error"
    return sums


def _check_newest(ledger: Sequence[Row], usage: Sequence[Row], events: Sequence[Row], findings: Findings) -> None:
    """Agent, model and status are those of the newest record that tells of them. No two records are of one instant."""
    agents: dict[object, tuple[int, object]] = {}
    models: dict[object, tuple[int, object]] = {}
    statuses: dict[object, tuple[int, object]] = {}
    for row in (*usage, *events):
        session, at = row["session_id"], _number(row, "at")
        _newer(agents, session, at, row["agent"])
        if row["model"] is not None:
            _newer(models, session, at, row["model"])
        if "type" in row:
            _newer(statuses, session, at, _STATUS.get(str(row["type"]), _RUNNING))
    for row in ledger:
        session = row["session_id"]
        expected = {
            "agent": agents.get(session, (0, None))[1],
            "model": models.get(session, (0, None))[1],
            "status": statuses.get(session, (0, _RUNNING))[1],
        }
        if differing := {name: (value, row[name]) for name, value in expected.items() if row[name] != value}:
            findings.add("session_ledger does not tell the newest (computed, stored)", (session, differing))


def _newer(newest: dict[object, tuple[int, object]], session: object, at: int, said: object) -> None:
    if session not in newest or newest[session][0] < at:
        newest[session] = (at, said)
