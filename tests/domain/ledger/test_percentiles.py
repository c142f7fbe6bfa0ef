"""Percentiles from counts by class of runtime stay within a tenth of the truth."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from domain.ledger.percentiles import MAX_RUNTIME_MS, NO_RUNTIME, bucket_of, percentile, runtime_of

RUNTIME = st.integers(0, MAX_RUNTIME_MS)


@given(RUNTIME)
def test_the_value_of_a_class_is_within_five_percent_of_every_runtime_in_it(runtime_ms: int) -> None:
    assert 20 * abs(runtime_of(bucket_of(runtime_ms)) - runtime_ms) <= runtime_ms


@given(RUNTIME, RUNTIME)
def test_a_longer_runtime_is_never_in_an_earlier_class(one: int, other: int) -> None:
    assert (bucket_of(one) <= bucket_of(other)) == (one <= other) or bucket_of(one) == bucket_of(other)


def test_short_runtimes_are_exact() -> None:
    assert [runtime_of(bucket_of(runtime_ms)) for runtime_ms in range(20)] == list(range(20))


def test_the_classes_are_few_enough_to_be_rows() -> None:
    assert bucket_of(0) == 0
    assert bucket_of(MAX_RUNTIME_MS) < 400


@given(st.lists(RUNTIME, min_size=1, max_size=200), st.sampled_from([50, 95, 99, 100]))
def test_a_percentile_is_within_a_tenth_of_the_sorted_truth(runtimes: list[int], percent: int) -> None:
    truth = sorted(runtimes)[max(1, -(-len(runtimes) * percent // 100)) - 1]
    answer = percentile(Counter(map(bucket_of, runtimes)), percent)
    assert answer is not None
    assert 10 * abs(answer - truth) <= truth


def test_requests_without_a_runtime_do_not_move_a_percentile() -> None:
    assert percentile({NO_RUNTIME: 1_000, bucket_of(12): 1}, 95) == 12
    assert percentile({NO_RUNTIME: 1_000}, 95) is None
    assert percentile({}, 50) is None
