"""What the data that ``genai-prices`` ships with say, laid out as schedules of integers.

Its rules decide (names, dates, times of day, tiers by the length of the request). The daemon keeps unit prices of input
and output tokens, hence prices the package knows and these cannot say count as unknown: models that charge for each
request beside the tokens, and models that charge for output other than text only.

Its data are large: they are loaded when the first price is asked for.
"""

import re
from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from genai_prices.data import providers
from genai_prices.data_snapshot import find_provider_by_id
from genai_prices.types import (
    ModelInfo,
    ModelPrice,
    Provider,
    StartDateConstraint,
    TieredPrices,
    TimeOfDateConstraint,
)

from adapters.prices.price_lists import package_version
from contracts.values.prices import UnitPrices

_VERSION: Final = package_version()
_DAY_MICROS: Final = 86_400_000_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_PREFIX: Final = re.compile(r"([^/:]+)([/:])(.+)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Tiers:
    """Prices by the length of the request: ``prices[0]``, and ``prices[n]`` for more than ``above[n - 1]`` tokens."""

    above: tuple[int, ...]
    prices: tuple[UnitPrices, ...]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Prices over days and times of day: ``cells[day][time]`` holds from ``days[day - 1]`` and ``times[time]`` on."""

    days: tuple[int, ...]
    times: tuple[int, ...]
    cells: tuple[tuple[_Tiers | None, ...], ...]

    def find(self, at: int, input_tokens: int) -> UnitPrices | None:
        row = self.cells[bisect_right(self.days, at)]
        tiers = row[bisect_right(self.times, at % _DAY_MICROS) - 1] if len(row) > 1 else row[0]
        if tiers is None:
            return None
        # A tier begins above its threshold, not at it.
        return tiers.prices[bisect_right(tiers.above, input_tokens - 1)] if tiers.above else tiers.prices[0]


def own_names(name: str) -> tuple[str, ...]:
    """The names under which an own list may know a model, most exact first."""
    split = _PREFIX.fullmatch(name)
    if split is None or find_provider_by_id(providers, split[1]) is None:
        return (name,)
    return tuple(dict.fromkeys((name, f"{split[1]}/{split[3]}", split[3])))


def package_model(name: str) -> ModelInfo | None:
    """The package's model of a name in lower case, by the package's own matching.

    Its snapshot object would do the same and remember every unknown name for ever; names come from messages here.
    """
    split = _PREFIX.fullmatch(name)
    if split is not None:
        provider = find_provider_by_id(providers, split[1])
        if provider is not None:
            model = provider.find_model(split[3], all_providers=providers)
            # A colon may belong to the name itself (`anthropic.claude-v2:1`), a slash after a provider does not.
            if model is not None or split[2] == "/":
                return model
    owner = _provider_of(name)
    return None if owner is None else owner.find_model(name, all_providers=providers)


def _provider_of(name: str) -> Provider | None:
    for provider in providers:
        if provider.model_match is not None and provider.model_match.is_match(name):
            return provider
    return None


def schedule(model: ModelInfo) -> Schedule | None:
    """All prices of a model, past and announced, or ``None`` where none of them can be said by the token."""
    constraints = [] if isinstance(model.prices, ModelPrice) else [price.constraint for price in model.prices]
    days = sorted({_day_start(each.start_date) for each in constraints if isinstance(each, StartDateConstraint)})
    ends = [(each.start_time, each.end_time) for each in constraints if isinstance(each, TimeOfDateConstraint)]
    times = sorted({0} | {_time_of_day(end) for pair in ends for end in pair})
    first = days[0] - _DAY_MICROS if days else 0
    cells = tuple(
        tuple(_tiers(model.get_prices(_EPOCH + _MICROSECOND * (day + start))) for start in times)
        for day in (first, *days)
    )
    if all(tiers is None for row in cells for tiers in row):
        return None
    return Schedule(tuple(days), tuple(times), cells)


def _day_start(day: date) -> int:
    return (day.toordinal() - _EPOCH.toordinal()) * _DAY_MICROS


def _time_of_day(value: time) -> int:
    """Microseconds into the UTC day; a time without a zone is UTC."""
    zoned = value if value.tzinfo is not None else value.replace(tzinfo=UTC)
    moment = datetime.combine(_EPOCH.date(), zoned) - _EPOCH
    return (moment // _MICROSECOND) % _DAY_MICROS


def _tiers(prices: ModelPrice) -> _Tiers | None:
    """What unit prices can say of a price of the package."""
    input_price, output_price = prices.input_mtok, prices.output_mtok
    named = {key for key, value in vars(prices).items() if value is not None}
    if input_price is None or "requests_kcount" in named:
        return None
    if output_price is None:
        if any(key.startswith("output_") for key in named):
            return None
        output_price = Decimal(0)  # embeddings: no output to pay for
    both = (input_price, output_price)
    above = sorted({tier.start for price in both if isinstance(price, TieredPrices) for tier in price.tiers})
    return _Tiers(
        tuple(above),
        tuple(
            UnitPrices(_micros(input_price, tokens), _micros(output_price, tokens), _VERSION)
            for tokens in (0, *(start + 1 for start in above))
        ),
    )


def _micros(price: Decimal | TieredPrices, input_tokens: int) -> int:
    """The price in micro-dollars for all tokens of a request of *input_tokens*: that of the highest tier below them."""
    amount = price.base if isinstance(price, TieredPrices) else price
    if isinstance(price, TieredPrices):
        for tier in price.tiers:
            if input_tokens > tier.start:
                amount = tier.price
    return int((amount * 1_000_000).to_integral_value(rounding=ROUND_HALF_EVEN))
