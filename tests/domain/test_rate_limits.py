"""Token buckets: what is let through, what must wait and how long, and how many callers are remembered."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ErrorCode
from domain.rate_limits import Rate, RateLimits, take

NOW = 1_800_000_000_000_000
SECOND = 1_000_000


def test_a_bucket_gives_as_many_as_it_holds_and_then_one_for_each_interval() -> None:
    limits = RateLimits(Rate(tokens=10, seconds=60))
    assert [limits.admit("ada", NOW) for _ in range(10)] == [None] * 10
    refusal = limits.admit("ada", NOW)
    assert refusal is not None
    assert (refusal.code, refusal.status) == (ErrorCode.RATE_LIMITED, 429)
    [detail] = refusal.details
    assert (detail.path, detail.code, detail.as_json()["retry_after_ms"]) == ("", "rate_limited", 6_000)
    assert limits.admit("ada", NOW + 6 * SECOND - 1) is not None
    assert limits.admit("ada", NOW + 6 * SECOND) is None
    assert limits.admit("ada", NOW + 6 * SECOND) is not None


def test_each_principal_has_a_bucket_of_its_own() -> None:
    limits = RateLimits(Rate(1, 1))
    assert [limits.admit(who, NOW) is None for who in ("ada", "bob", "ada", "bob")] == [True, True, False, False]


def test_the_number_of_principals_is_bounded_and_the_one_longest_silent_is_forgotten() -> None:
    limits = RateLimits(Rate(1, 60), most_principals=2)
    assert limits.admit("ada", NOW) is None
    assert limits.admit("bob", NOW) is None
    assert limits.admit("ada", NOW) is not None
    assert limits.admit("eve", NOW) is None
    assert len(limits) == 2
    assert limits.admit("ada", NOW) is not None
    assert limits.admit("bob", NOW) is None


def test_a_clock_that_is_set_back_does_not_lock_callers_out() -> None:
    limits = RateLimits(Rate(10, 60))
    for _ in range(10):
        limits.admit("ada", NOW)
    hour_before = NOW - 3_600 * SECOND
    refusal = limits.admit("ada", hour_before)
    assert refusal is not None
    assert limits.admit("ada", hour_before + 6 * SECOND) is None


@pytest.mark.parametrize(("tokens", "seconds"), [(0, 1), (1, 0), (-1, 1)])
def test_a_rate_lets_something_through(tokens: int, seconds: int) -> None:
    with pytest.raises(ValueError, match="at least"):
        Rate(tokens, seconds)


rates = st.builds(Rate, st.integers(1, 5_000), st.integers(1, 120))


@given(rates, st.lists(st.integers(0, 30 * SECOND), max_size=200))
def test_never_more_than_a_bucket_and_what_flowed_in_since(rate: Rate, waits: list[int]) -> None:
    now, full_at, taken_at = NOW, 0, list[int]()
    for wait in waits:
        now += wait
        full_at, retry_after_ms = take(full_at, rate, now)
        if not retry_after_ms:
            taken_at.append(now)
    if taken_at:
        span_ns = (taken_at[-1] - taken_at[0]) * 1_000
        assert len(taken_at) <= rate.tokens + span_ns // rate.interval_ns


@given(rates, st.integers(0, 10_000))
def test_who_waits_as_long_as_told_is_let_through(rate: Rate, asked: int) -> None:
    full_at = 0
    for _ in range(min(asked, rate.tokens)):
        full_at, _ = take(full_at, rate, NOW)
    full_at, retry_after_ms = take(full_at, rate, NOW)
    after = take(full_at, rate, NOW + retry_after_ms * 1_000)
    assert after.retry_after_ms == 0 or retry_after_ms == 0


@given(rates)
def test_a_refusal_costs_nothing(rate: Rate) -> None:
    full_at = 0
    for _ in range(rate.tokens):
        full_at, _ = take(full_at, rate, NOW)
    first = take(full_at, rate, NOW)
    assert first.retry_after_ms > 0
    assert take(first.full_at, rate, NOW) == first
