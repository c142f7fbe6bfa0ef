"""Totals over any window, exact: whole days from the totals of days, the rest from hours and single records.

A window may begin and end at any instant. It is cut into the whole days in its middle, the whole hours on both sides of
them, and the records of the two hours that it only touches::

      from                                                        to
       |--rows--|--hours--|------------ days ------------|--hours--|--rows--|

So a year costs little more to read than a day, and no total is rounded to what happens to be summed up already.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from domain.ledger.ledger import DAY_MICROS, HOUR_MICROS, HOURS_PER_DAY
from domain.ledger.saturation import within_64_bits


class Stretch(NamedTuple):
    """From ``since`` on, before ``until``, in the unit of what is read."""

    since: int
    until: int


class Window(NamedTuple):
    """A window in parts that do not overlap: ``rows`` in microseconds, hours and days counted from the epoch."""

    rows: tuple[Stretch, ...]
    hours: tuple[Stretch, ...]
    days: tuple[Stretch, ...]


class UsageTotals(NamedTuple):
    """What a group of requests came to; tokens as input + output, money in micro-dollars."""

    requests: int
    errors: int
    input_tokens: int
    output_tokens: int
    runtime_ms: int
    cost_usd_micros: int
    tokens_reported: int
    tokens_derived: int
    tokens_missing_count: int
    runtime_ms_reported: int
    runtime_ms_derived: int
    runtime_missing_count: int
    cost_usd_micros_reported: int
    cost_usd_micros_derived: int
    cost_missing_count: int


def add(one: UsageTotals, other: UsageTotals) -> UsageTotals:
    return sum_up((one, other))


def sum_up(totals: Iterable[UsageTotals]) -> UsageTotals:
    """All of *totals* as one; none are zeros."""
    figures = [sum(figure) for figure in zip(*totals, strict=True)]
    return saturated(figures) if figures else _NOTHING


def saturated(figures: Iterable[int]) -> UsageTotals:
    """Totals of *figures*, each of which stays at the largest that can be told."""
    return UsageTotals(*within_64_bits(figures))


def cut(since: int, until: int, *, by_hour: bool = False) -> Window:
    """A window in microseconds as its parts; with ``by_hour`` whole days are read by the hour too."""
    rows, hours = _middle(Stretch(since, until), HOUR_MICROS)
    if hours is None or by_hour:
        return Window(rows, _some(hours), ())
    sides, days = _middle(hours, HOURS_PER_DAY)
    return Window(rows, sides, _some(days))


class DayWindow(NamedTuple):
    """A window as whole days, and the records that are to be added to them and taken off again, in microseconds."""

    days: tuple[Stretch, ...]
    added: tuple[Stretch, ...]
    taken_off: tuple[Stretch, ...]


def cut_days(since: int, until: int) -> DayWindow:
    """A window as whole days and records, as few as possible: a day of which most is inside is read whole, and the
    records of the rest are taken off."""
    if since >= until:
        return DayWindow((), (), ())
    first, last = since // DAY_MICROS, -(-until // DAY_MICROS)
    edges = sorted({first, last - 1})
    added: list[Stretch] = []
    taken_off: list[Stretch] = []
    for day in edges:
        start, end = day * DAY_MICROS, (day + 1) * DAY_MICROS
        inside = Stretch(max(since, start), min(until, end))
        if inside.until - inside.since > DAY_MICROS // 2:
            taken_off += [*_some(Stretch(start, inside.since)), *_some(Stretch(inside.until, end))]
            continue
        added.append(inside)
        first, last = first + (day == first), last - (day == last - 1)
    return DayWindow(_some(Stretch(first, last)), tuple(added), tuple(taken_off))


def _middle(whole: Stretch, size: int) -> tuple[tuple[Stretch, ...], Stretch | None]:
    """What of a stretch lies outside of whole multiples of *size*, and those multiples."""
    first, last = -(-whole.since // size), whole.until // size
    if first >= last:
        return _some(whole), None
    return (*_some(Stretch(whole.since, first * size)), *_some(Stretch(last * size, whole.until))), Stretch(first, last)


def _some(stretch: Stretch | None) -> tuple[Stretch, ...]:
    return () if stretch is None or stretch.since >= stretch.until else (stretch,)


_NOTHING: Final = UsageTotals(*[0] * len(UsageTotals._fields))
