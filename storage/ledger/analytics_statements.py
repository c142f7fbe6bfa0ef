"""The statements of analytics: one for each source and each choice of keys and filters, made once."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, Select, Table, and_, bindparam, case, func, literal_column, or_, select

from contracts.payloads.ingest.session import Source as Provenance
from contracts.payloads.ingest.session import UsageStatus
from contracts.values.times import day_text
from domain.ledger.analytics import UsageTotals
from domain.ledger.ledger import DAY_MICROS, HOUR_MICROS, HOURS_PER_DAY
from storage.engine.answers import Answer, ColumnarAnswer
from storage.tables.base import Int
from storage.tables.usage import daily_usage_agg, hourly_usage_agg, model_perf_agg, session_usage

MOST_GROUPS: Final = 20_000
"""More groups than anybody can be told are not read: the caller learns of one more than this at most."""

GroupKey: TypeAlias = tuple[str, ...]
_Number: TypeAlias = ColumnElement[int]
_Write: TypeAlias = Callable[[Any], str]


class Source(Enum):
    """What sums are read from."""

    RECORDS = "records"
    HOURS = "hours"
    DAYS = "days"


def _hour_text(number: int) -> str:
    """``YYYY-MM-DDTHH`` of an hour counted from the epoch."""
    days, hour = divmod(number, HOURS_PER_DAY)
    return f"{day_text(days)}T{hour:02d}"


def _floor(number: _Number, size: int) -> _Number:
    """How many whole *size* there are, rounded down also below zero, where both databases round towards zero."""
    by: _Number = literal_column(str(size), Int)
    return (number - (number % by + by) % by) // by


@dataclass(frozen=True, slots=True)
class _Place:
    """A table, the column that says when, and how the keys that hang on it are computed and written."""

    table: Table
    when: str
    keys: Mapping[str, Callable[[_Number], _Number]]
    writers: Mapping[str, _Write]

    def group(self, name: str) -> ColumnElement[Any]:
        expression = self.keys.get(name)
        return self.table.c[name] if expression is None else expression(self.table.c[self.when])

    def key_of(self, keys: Sequence[str]) -> Callable[[Sequence[Any]], GroupKey]:
        """Reads the key that a row begins with."""
        writers = [self.writers.get(name, str) for name in keys]
        return lambda row: tuple(write(value) for write, value in zip(writers, row, strict=False))


_NUMBERED: Final[Mapping[str, _Write]] = {"hour": _hour_text, "day": day_text}
_PLACES: Final[Mapping[Source, _Place]] = {
    Source.RECORDS: _Place(
        session_usage,
        "at",
        {"hour": lambda at: _floor(at, HOUR_MICROS), "day": lambda at: _floor(at, DAY_MICROS)},
        _NUMBERED,
    ),
    Source.HOURS: _Place(hourly_usage_agg, "hour", {"day": lambda hour: _floor(hour, HOURS_PER_DAY)}, _NUMBERED),
    Source.DAYS: _Place(daily_usage_agg, "day", {}, {}),
}
_CLASSES: Final = _Place(model_perf_agg, "day", {}, {})


@dataclass(frozen=True, slots=True)
class UsageQuery:
    """A question whose rows begin with their key."""

    source: Source
    answer: Answer
    key: Callable[[Sequence[Any]], GroupKey]


@dataclass(frozen=True, slots=True)
class RecordQuery:
    """A question that is answered column by column, those of the key first."""

    answer: ColumnarAnswer
    key: Callable[[Sequence[Any]], GroupKey]


@cache
def usage_query(
    dialect: str, source: Source, keys: tuple[str, ...], named: tuple[str, ...], *, in_halves: bool = False
) -> UsageQuery:
    """The totals of each group; with *in_halves* each figure as two columns (:func:`whole_of_halves`)."""
    place = _PLACES[source]
    figures = _record_figures() if source is Source.RECORDS else {name: place.table.c[name] for name in _FIGURES}
    sums = [func.sum(figure).label(name) for name, figure in figures.items()]
    if in_halves:
        half: _Number = literal_column(str(_HALF), Int)
        parts = [(name, part) for name, figure in figures.items() for part in (figure // half, figure % half)]
        sums = [func.sum(part).label(f"{name}_{at}") for at, (name, part) in enumerate(parts)]
    groups = [place.group(name) for name in keys]
    statement = _within(place, groups, sums, named).group_by(*groups).limit(literal_column(str(MOST_GROUPS + 1)))
    return UsageQuery(source, Answer(dialect, statement), place.key_of(keys))


@cache
def class_query(dialect: str, keys: tuple[str, ...], named: tuple[str, ...]) -> UsageQuery:
    """How many requests of each group were in each class of runtime on whole days."""
    groups = [_CLASSES.group(name) for name in keys]
    bucket, requests = model_perf_agg.c.bucket, func.sum(model_perf_agg.c.requests).label("requests")
    statement = _within(_CLASSES, groups, [bucket, requests], named).group_by(*groups, bucket)
    return UsageQuery(Source.DAYS, Answer(dialect, statement), _CLASSES.key_of(keys))


@cache
def runtime_query(dialect: str, keys: tuple[str, ...], named: tuple[str, ...]) -> RecordQuery:
    """The runtime of each record, after its key. They are counted by the caller: sorting them costs more."""
    place, runtime = _PLACES[Source.RECORDS], session_usage.c.runtime_ms
    groups = [place.group(name) for name in keys]
    statement = _within(place, groups, [runtime], named).where(runtime.is_not(None))
    return RecordQuery(ColumnarAnswer(dialect, statement), place.key_of(keys))


def record_sums(names: Sequence[str]) -> tuple[_Number, list[_Number]]:
    """The hour of a record, and the sums of *names* over records, each in halves: none passes 64 bits."""
    half: _Number = literal_column(str(_HALF), Int)
    figures = {**_record_figures(), "unpriced": _unpriced()}
    parts = [(name, part) for name in names for part in (figures[name] // half, figures[name] % half)]
    hour = _PLACES[Source.RECORDS].group("hour")
    return hour.label("hour"), [func.sum(part).label(f"{name}_{at}") for at, (name, part) in enumerate(parts)]


def _unpriced() -> _Number:
    """As :attr:`domain.ledger.usage.UsageRecord.price_unknown` has it."""
    record = session_usage.c
    has_tokens = or_(record.input_tokens.is_not(None), record.output_tokens.is_not(None))
    no_price = and_(record.cost_usd_micros.is_(None), record.input_price_usd_micros_per_mtok.is_(None))
    return _one_if(and_(no_price, has_tokens))


def whole_of_halves(halves: Sequence[int]) -> Iterator[int]:
    """The sums whose upper and lower halves were summed up apart."""
    return (high * _HALF + low for high, low in zip(halves[::2], halves[1::2], strict=True))


def _within(
    place: _Place, groups: Sequence[ColumnElement[Any]], columns: Sequence[ColumnElement[Any]], named: Sequence[str]
) -> Select[*tuple[Any, ...]]:
    when = place.table.c[place.when]
    return select(*(group.label(f"key_{at}") for at, group in enumerate(groups)), *columns).where(
        when >= bindparam("since"),
        when < bindparam("until"),
        *(place.table.c[name] == bindparam(name) for name in named),
    )


def _record_figures() -> Mapping[str, _Number]:
    """The figures of one record, as they are summed up."""
    record = session_usage.c
    tokens = _known(record.input_tokens) + _known(record.output_tokens)
    runtime, cost = _known(record.runtime_ms), _known(record.cost_usd_micros)
    cost_derived = _says(record.cost_source, Provenance.DERIVED)
    runtime_derived = _says(record.runtime_source, Provenance.DERIVED)
    return {
        "requests": literal_column("1", Int),
        "errors": _one_if(_says(record.status, UsageStatus.ERROR)),
        "input_tokens": _known(record.input_tokens),
        "output_tokens": _known(record.output_tokens),
        "runtime_ms": runtime,
        "cost_usd_micros": cost,
        "tokens_reported": _if(_says(record.tokens_source, Provenance.PROVIDER_REPORTED), tokens),
        "tokens_derived": _if(_says(record.tokens_source, Provenance.DERIVED), tokens),
        "tokens_missing_count": _one_if(_says(record.tokens_source, Provenance.MISSING)),
        "runtime_ms_reported": _if(~runtime_derived, runtime),
        "runtime_ms_derived": _if(runtime_derived, runtime),
        "runtime_missing_count": _one_if(record.runtime_ms.is_(None)),
        "cost_usd_micros_reported": _if(~cost_derived, cost),
        "cost_usd_micros_derived": _if(cost_derived, cost),
        "cost_missing_count": _one_if(record.cost_usd_micros.is_(None)),
    }


def _known(figure: _Number) -> _Number:
    return func.coalesce(figure, literal_column("0", Int))


def _says(column: ColumnElement[str], word: str) -> ColumnElement[bool]:
    return column == literal_column(f"'{word}'")


def _if(condition: ColumnElement[bool], figure: _Number) -> _Number:
    return case((condition, figure), else_=literal_column("0", Int))


def _one_if(condition: ColumnElement[bool]) -> _Number:
    return _if(condition, literal_column("1", Int))


_FIGURES: Final = UsageTotals._fields
_HALF: Final = 2**32
