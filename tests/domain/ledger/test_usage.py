"""What is kept of a report of use, and what it cost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.ledger.pricing import MAX_COST_USD_MICROS, UnitPrices
from domain.ledger.usage import UsageRecord, decide_usage
from tests.domain.ledger.usage_facts import Book, Figure, Provenance, Usage

PRICES = UnitPrices(2_500_000, 10_000_000, "list-1")
EMBEDDING = UnitPrices(20_000, 0, "list-1")


def book() -> Book:
    return Book({"known": PRICES, "embedding": EMBEDDING})


def decide(usage: Usage, prices: Book | None = None) -> UsageRecord:
    return decide_usage(usage, prices or book(), "m-1", "trace", 1_763_700_000_000_001, "planner-7")


def test_a_missing_cost_is_derived_with_the_unit_prices_that_it_came_from() -> None:
    record = decide(Usage())
    assert record.cost_usd_micros == record.computed_cost_usd_micros == 7_500
    assert (record.cost_source, record.cost_confidence) == ("derived", "medium")
    assert record.pricing_version == record.computed_pricing_version == "list-1"
    assert record.input_price_usd_micros_per_mtok == 2_500_000
    assert record.output_price_usd_micros_per_mtok == 10_000_000
    assert not record.price_unknown


def test_an_unknown_price_leaves_the_cost_empty_and_says_so() -> None:
    record = decide(Usage(model="unheard-of"))
    assert record.cost_usd_micros is None
    assert record.computed_cost_usd_micros is None
    assert (record.cost_source, record.cost_confidence) == ("missing", "unknown")
    assert record.pricing_version is None
    assert record.input_price_usd_micros_per_mtok is None
    assert record.price_unknown


def test_a_price_of_nothing_is_a_price() -> None:
    record = decide(Usage(model="free"), Book({"free": UnitPrices(0, 0, "list-1")}))
    assert record.cost_usd_micros == 0
    assert record.cost_source == "derived"
    assert not record.price_unknown


def test_a_reported_cost_stays_beside_the_computed_one() -> None:
    cost = Figure("provider_reported", "high")
    record = decide(Usage(cost_usd_micros=9_000, pricing_version="provider-3", provenance=Provenance(cost=cost)))
    assert record.cost_usd_micros == 9_000
    assert record.pricing_version == "provider-3"
    assert (record.cost_source, record.cost_confidence) == ("provider_reported", "high")
    assert record.computed_cost_usd_micros == 7_500
    assert record.computed_pricing_version == "list-1"
    assert record.output_price_usd_micros_per_mtok == 10_000_000


def test_a_reported_cost_of_a_model_without_a_price_stands_alone_and_is_not_counted() -> None:
    cost = Figure("derived", "low")
    record = decide(Usage(model="unheard-of", cost_usd_micros=0, pricing_version="v", provenance=Provenance(cost=cost)))
    assert record.cost_usd_micros == 0
    assert record.computed_cost_usd_micros is None
    assert not record.price_unknown


def test_without_tokens_no_price_is_asked_for() -> None:
    prices = book()
    missing = Figure("missing", "unknown")
    record = decide(Usage(input_tokens=None, output_tokens=None, provenance=Provenance(tokens=missing)), prices)
    assert prices.asked == []
    assert record.cost_usd_micros is None
    assert record.cost_source == "missing"
    assert not record.price_unknown


@pytest.mark.parametrize(("input_tokens", "output_tokens"), [(1_000, None), (None, 1_000)])
def test_half_of_the_tokens_makes_no_cost(input_tokens: int | None, output_tokens: int | None) -> None:
    record = decide(Usage(input_tokens=input_tokens, output_tokens=output_tokens))
    assert record.cost_usd_micros is None
    assert record.cost_source == "missing"
    assert not record.price_unknown
    assert record.input_price_usd_micros_per_mtok == 2_500_000


def test_the_missing_half_of_the_tokens_does_not_matter_where_it_is_free() -> None:
    assert decide(Usage(model="embedding", input_tokens=1_000_000, output_tokens=None)).cost_usd_micros == 20_000


def test_the_price_is_that_of_the_time_of_use() -> None:
    prices = Book({"known": PRICES}, since=1_000)
    assert decide(Usage(at=999), prices).price_unknown
    assert decide(Usage(at=1_000), prices).cost_usd_micros == 7_500
    assert prices.asked == [("known", 999, 1_000), ("known", 1_000, 1_000)]


def test_a_version_without_a_cost_says_nothing() -> None:
    assert decide(Usage(model="unheard-of", pricing_version="stray")).pricing_version is None


def test_an_amount_that_money_cannot_say_is_left_out() -> None:
    dear = Book({"known": UnitPrices(10**12, 10**12, "list-1")})
    record = decide(Usage(input_tokens=2**53 - 1, output_tokens=2**53 - 1), dear)
    assert record.cost_usd_micros is None
    assert record.price_unknown


TOKENS = st.none() | st.integers(0, 2**53 - 1)


@given(st.sampled_from(["known", "embedding", "unheard-of"]), TOKENS, TOKENS, st.none() | st.integers(0, 10**18 - 1))
def test_a_cost_never_stands_without_version_and_provenance(
    model: str, input_tokens: int | None, output_tokens: int | None, cost: int | None
) -> None:
    source = Figure("missing", "unknown") if cost is None else Figure("provider_reported", "high")
    version = None if cost is None else "provider-3"
    record = decide(
        Usage(
            model=model,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost_usd_micros=cost,
            pricing_version=version,
            provenance=Provenance(cost=source),
        )
    )
    assert (record.cost_usd_micros is None) == (record.pricing_version is None) == (record.cost_source == "missing")
    assert record.cost_usd_micros is None or 0 <= record.cost_usd_micros <= MAX_COST_USD_MICROS
    assert (record.computed_pricing_version is None) == (record.input_price_usd_micros_per_mtok is None)
    if cost is not None:
        assert record.cost_usd_micros == cost
