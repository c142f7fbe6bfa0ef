"""Prices over time, by the package's own rules, with lists of one's own layered over them."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import pytest
from genai_prices.data import providers
from genai_prices.types import (
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
    calc_unit_price,
)

from adapters.prices.price_lists import PriceListError, package_version
from adapters.prices.prices import KNOWN_NAMES, LayeredPrices, load_price_book
from contracts.values.prices import UnitPrices

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
WriteList = Callable[..., Path]


def micros(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return micros(datetime(year, month, day, hour, minute, tzinfo=UTC))


NOW = at(2026, 11, 20, 10)


@pytest.fixture(scope="module")
def package() -> LayeredPrices:
    return load_price_book([])


@pytest.fixture
def write_list(tmp_path: Path) -> WriteList:
    """Writes a price list and gives its path."""

    def write(*models: str, version: str = "own-1", head: str = 'currency = "USD"') -> Path:
        path = tmp_path / f"{version}.toml"
        tables = "".join(f"\n[[models]]\n{model}\n" for model in models)
        path.write_text(f'version = "{version}"\n{head}\n{tables}', encoding="utf-8")
        return path

    return write


def entry(match: str, price: str = "1", *more: str) -> str:
    return "\n".join(
        [f'match = "{match}"', f'input_usd_per_mtok = "{price}"', f'output_usd_per_mtok = "{price}"', *more]
    )


def price_in(book: LayeredPrices, model: str, moment: int = NOW) -> int | None:
    found = book.find(model, moment, 1_000)
    return None if found is None else found.input_usd_micros_per_mtok


def test_a_price_names_the_package_and_its_version(package: LayeredPrices) -> None:
    found = package.find("gpt-4o", NOW, 1_000)
    assert found == UnitPrices(2_500_000, 10_000_000, package_version())
    assert package_version().startswith("genai-prices:")


@pytest.mark.parametrize("model", ["openai/gpt-4o", "openai:gpt-4o", "GPT-4o", "OpenAI/GPT-4o", "azure/gpt-4o"])
def test_a_model_may_be_named_with_its_provider(package: LayeredPrices, model: str) -> None:
    assert package.find(model, NOW, 1_000) == package.find("gpt-4o", NOW, 1_000)


@pytest.mark.parametrize("model", ["unheard-of", "acme/gpt-4o", "openai/unheard-of", "openai/", ":", "x" * 200])
def test_an_unknown_model_has_no_price(package: LayeredPrices, model: str) -> None:
    assert package.find(model, NOW, 1_000) is None


def test_a_model_that_charges_for_each_request_has_no_price_by_the_token(package: LayeredPrices) -> None:
    assert package.find("perplexity/sonar", NOW, 1_000) is None


def test_an_embedding_has_no_output_to_pay_for(package: LayeredPrices) -> None:
    found = package.find("openai/text-embedding-3-small", NOW, 1_000)
    assert found is not None
    assert found.input_usd_micros_per_mtok > 0
    assert found.output_usd_micros_per_mtok == 0


def test_a_price_by_the_time_of_day_changes_at_its_minute(package: LayeredPrices) -> None:
    def price(hour: int, minute: int) -> int | None:
        return price_in(package, "deepseek/deepseek-chat", at(2025, 6, 1, hour, minute))

    assert price(0, 29) == price(16, 30) == price(23, 59) == 135_000
    assert price(0, 30) == price(16, 29) == 270_000


def test_the_length_of_a_request_chooses_the_tier_and_a_later_price_has_none(package: LayeredPrices) -> None:
    def price(moment: int, input_tokens: int) -> tuple[int, int] | None:
        found = package.find("claude-opus-4-6", moment, input_tokens)
        return None if found is None else (found.input_usd_micros_per_mtok, found.output_usd_micros_per_mtok)

    (change,) = change_days("anthropic", "claude-opus-4-6")
    assert price(change - 1, 200_000) == (5_000_000, 25_000_000)
    assert price(change - 1, 200_001) == (10_000_000, 37_500_000)
    assert price(change, 200_001) == (5_000_000, 25_000_000)


def change_days(provider_id: str, model_id: str) -> list[int]:
    (model,) = (
        model
        for provider in providers
        if provider.id == provider_id
        for model in provider.models
        if model.id == model_id
    )
    return [
        micros(datetime.combine(price.constraint.start_date, datetime.min.time(), UTC))
        for price in conditional_prices(model)
        if isinstance(price.constraint, StartDateConstraint)
    ]


def conditional_prices(model: ModelInfo) -> list[ConditionalPrice]:
    return [] if isinstance(model.prices, ModelPrice) else model.prices


def moments(model: ModelInfo) -> Iterator[datetime]:
    """A time long ago, one far ahead, and those around every change of the model's price."""
    yield datetime(2020, 2, 29, 12, tzinfo=UTC)
    yield datetime(2035, 1, 1, tzinfo=UTC)
    for price in conditional_prices(model):
        constraint = price.constraint
        if constraint is None:
            continue
        if isinstance(constraint, StartDateConstraint):
            edges = [datetime.combine(constraint.start_date, datetime.min.time(), UTC)]
        else:
            ends = (constraint.start_time, constraint.end_time)
            edges = [datetime.combine(datetime(2026, 10, 1, tzinfo=UTC).date(), end) for end in ends]
        for edge in edges:
            yield edge
            yield edge - timedelta(microseconds=1)


def lengths(model: ModelInfo) -> set[int]:
    """Lengths of requests around every tier."""
    prices = [model.prices] if isinstance(model.prices, ModelPrice) else [each.prices for each in model.prices]
    tiered = [
        price for each in prices for price in (each.input_mtok, each.output_mtok) if isinstance(price, TieredPrices)
    ]
    return {0, 1_000} | {tier.start + more for price in tiered for tier in price.tiers for more in (0, 1)}


def test_every_model_of_the_package_costs_at_every_time_what_the_package_says(package: LayeredPrices) -> None:
    compared = 0
    for provider in providers:
        for model in provider.models:
            name = f"{provider.id}/{model.id}"
            if provider.find_model(model.id) is not model:  # a model before it answers to the name
                continue
            for moment in moments(model):
                theirs = model.get_prices(moment)
                for tokens in lengths(model):
                    ours = package.find(name, micros(moment), tokens)
                    if ours is None:
                        assert cannot_be_said_by_the_token(theirs), name
                        continue
                    million = [
                        calc_unit_price(price, 10**6, tokens, 10**6)
                        for price in (theirs.input_mtok, theirs.output_mtok)
                    ]
                    assert ours.input_usd_micros_per_mtok == round(million[0] * 10**6), name
                    assert ours.output_usd_micros_per_mtok == round(million[1] * 10**6), name
                    compared += 1
    assert compared > 2_000


def cannot_be_said_by_the_token(prices: ModelPrice) -> bool:
    text = {"input_mtok", "output_mtok"}
    named = {key for key, value in vars(prices).items() if isinstance(value, Decimal | TieredPrices)}
    return not text <= named or "requests_kcount" in named


def test_an_own_list_wins_over_the_package(write_list: WriteList) -> None:
    book = load_price_book([write_list(entry("gpt-4o", "0.123456"), entry("acme-1", "7"))])
    assert book.find("gpt-4o", NOW, 1_000) == UnitPrices(123_456, 123_456, "own-1")
    assert price_in(book, "openai/gpt-4o") == price_in(book, "openai:GPT-4o") == 123_456
    assert price_in(book, "acme-1") == 7_000_000
    assert price_in(book, "gpt-4o-mini") == 150_000


def test_an_entry_with_a_provider_speaks_for_that_provider_only(write_list: WriteList) -> None:
    book = load_price_book([write_list(entry("azure/gpt-4o", "9"))])
    assert price_in(book, "azure:gpt-4o") == 9_000_000
    assert price_in(book, "gpt-4o") == price_in(book, "openai/gpt-4o") == 2_500_000


def test_a_list_speaks_only_for_the_times_it_names(write_list: WriteList) -> None:
    limited = entry("gpt-4o", "1", "from = 2026-03-01", "until = 2026-04-01T02:00:00+02:00")
    book = load_price_book([write_list(limited)])
    assert price_in(book, "gpt-4o", at(2026, 3, 1) - 1) == 2_500_000
    assert price_in(book, "gpt-4o", at(2026, 3, 1)) == 1_000_000
    assert price_in(book, "gpt-4o", at(2026, 4, 1) - 1) == 1_000_000
    assert price_in(book, "gpt-4o", at(2026, 4, 1)) == 2_500_000


def test_the_newest_file_wins_and_the_older_one_answers_where_it_is_silent(write_list: WriteList) -> None:
    older = write_list(entry("gpt-4o", "1"), entry("acme-1", "2"), version="own-1")
    newer = write_list(entry("gpt-*", "3", "from = 2026-06-01"), version="own-2")
    book = load_price_book([older, newer])
    assert price_in(book, "gpt-4o", at(2026, 6, 1)) == 3_000_000
    assert price_in(book, "gpt-4o", at(2026, 5, 31)) == 1_000_000
    assert price_in(book, "acme-1") == 2_000_000
    assert book.sources == ((package_version(), "package"), ("own-1", str(older)), ("own-2", str(newer)))


def test_a_written_name_beats_a_glob_and_aliases_are_names(write_list: WriteList) -> None:
    models = [entry("acme-special", "1"), entry("acme-*", "2", 'aliases = ["house-model"]'), entry("*-large", "3")]
    book = load_price_book([write_list(*models)])
    assert price_in(book, "acme-special") == 1_000_000
    assert price_in(book, "acme-small") == price_in(book, "HOUSE-model") == 2_000_000
    assert price_in(book, "acme-large") == 3_000_000


@pytest.mark.parametrize(
    ("models", "head", "complaint"),
    [
        ([entry("a")], 'currency = "EUR"', 'currency: must be "USD"'),
        ([entry("a")], "", 'currency: must be "USD"'),
        ([], 'currency = "USD"', "models: must hold at least one [[models]]"),
        ([entry("a")], 'currency = "USD"\ncolour = 1', "'colour': is not a known key"),
        ([entry("a", "1", "form = 2026-01-01")], 'currency = "USD"', "models[0].'form': is not a known key"),
        ([entry("")], 'currency = "USD"', "models[0].match: must be a name or a glob"),
        ([entry("a", "1", "aliases = [1]")], 'currency = "USD"', "models[0].aliases: must be a list of names or globs"),
        ([entry("a", "1e3")], 'currency = "USD"', "models[0].input_usd_per_mtok: must be a decimal string"),
        ([entry("a", "-1")], 'currency = "USD"', "models[0].input_usd_per_mtok: must be a decimal string"),
        ([entry("a", "0.1234567")], 'currency = "USD"', "models[0].input_usd_per_mtok: must be a decimal string"),
        (
            ['match = "a"\ninput_usd_per_mtok = 0.1\noutput_usd_per_mtok = "1"'],
            'currency = "USD"',
            "models[0].input_usd_per_mtok: must be a decimal string",
        ),
        ([entry("a", "1", "from = 2026-01-01T00:00:00")], 'currency = "USD"', "models[0].from: a time needs an offset"),
        ([entry("a", "1", 'from = "2026"')], 'currency = "USD"', "models[0].from: must be a date"),
        (
            [entry("a", "1", "from = 2026-01-02", "until = 2026-01-02")],
            'currency = "USD"',
            "models[0].until: must be later than from",
        ),
        (
            [entry("a", "1", "until = 2026-01-02"), entry("A", "2", "from = 2026-01-01")],
            'currency = "USD"',
            "models[1]: 'a' has a price at that time in models[0]",
        ),
        (["match = "], 'currency = "USD"', "Invalid value"),
    ],
)
def test_a_wrong_list_is_refused_in_one_line(
    write_list: WriteList, models: list[str], head: str, complaint: str
) -> None:
    path = write_list(*models, head=head)
    with pytest.raises(PriceListError) as refused:
        load_price_book([path])
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert complaint in message
    assert "\n" not in message


def test_files_that_cannot_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(PriceListError, match="No such file"):
        load_price_book([tmp_path / "absent.toml"])
    garbled = tmp_path / "garbled.toml"
    garbled.write_bytes(b"\xff")
    with pytest.raises(PriceListError, match="is not UTF-8"):
        load_price_book([garbled])


def test_two_lists_of_one_version_are_refused(write_list: WriteList, tmp_path: Path) -> None:
    one = write_list(entry("a"))
    other = tmp_path / "copy.toml"
    other.write_bytes(one.read_bytes())
    with pytest.raises(PriceListError, match="is the version of another list"):
        load_price_book([one, other])


def test_names_from_messages_take_bounded_memory() -> None:
    book = load_price_book([])
    for number in range(KNOWN_NAMES + 100):
        book.find(f"unheard-of-{number}", NOW, 0)
    assert book._known.cache_info().currsize == KNOWN_NAMES
