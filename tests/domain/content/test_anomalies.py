"""The robust z-score on cases that are computed by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.content.anomalies import LEAST_PEERS, Sample, is_anomaly, judged, robust_z

HUNDREDS = [100.0] * 8
SPREAD = [80.0, 90.0, 95.0, 100.0, 105.0, 110.0, 120.0, 130.0]


def test_one_far_from_a_spread_sample() -> None:
    """The sample with 300 in it: median 105; distances 25 15 10 5 0 5 15 25 195, median 15; 0.6745 * 195 / 15."""
    z = robust_z(300, SPREAD)

    assert z == pytest.approx(8.7685)
    assert is_anomaly(z)


def test_one_in_the_middle_of_its_sample_is_zero() -> None:
    """With 100 twice the median of nine is 100 itself."""
    assert robust_z(100, SPREAD) == 0.0


def test_an_outlier_does_not_hide_another() -> None:
    """With 300 and 310: median 107.5, distances 2.5 2.5 7.5 12.5 12.5 17.5 22.5 27.5 192.5 202.5, median 15."""
    assert robust_z(310, [*SPREAD, 300.0]) == pytest.approx(0.6745 * 202.5 / 15)


def test_below_is_as_odd_as_above() -> None:
    assert robust_z(-100, SPREAD) < 0
    assert is_anomaly(robust_z(-100, SPREAD))


def test_a_constant_series_has_no_anomaly() -> None:
    assert robust_z(100, HUNDREDS) == 0.0


def test_one_that_leaves_a_constant_series_stands_out() -> None:
    """MAD is 0; the mean distance of nine is 900 / 9 = 100: 900 / (1.2533 * 100)."""
    z = robust_z(1_000, HUNDREDS)

    assert z == pytest.approx(900 / 125.33)
    assert is_anomaly(z)


def test_the_slightest_step_out_of_equals_is_none() -> None:
    """MAD is 0 and the mean distance 1/9: the scale is a twentieth of the median, 5, and z is 1/5."""
    assert robust_z(101, HUNDREDS) == pytest.approx(0.2)


def test_ties_for_more_than_half_leave_the_mean_distance_to_judge() -> None:
    """Six of nine are 10: median 10, MAD 0; distances sum to 2 + 4 + 90 = 96: 90 / (1.2533 * 96 / 9)."""
    assert robust_z(100, [10.0] * 6 + [12.0, 14.0]) == pytest.approx(90 / (1.2533 * 96 / 9))


def test_zeros_alone_are_no_anomaly_and_one_among_them_is() -> None:
    """The median is 0 and so is its twentieth: 50 / (1.2533 * 50 / 9)."""
    assert robust_z(0, [0.0] * 8) == 0.0
    assert robust_z(50, [0.0] * 8) == pytest.approx(9 / 1.2533)


def test_one_post_and_too_few_peers_are_not_judged() -> None:
    assert judged(1_000, Sample([1_000, *[]]), [1.0] * 50) is None
    assert judged(1_000, Sample([1_000, *HUNDREDS[:-1]]), [1.0] * 50) is None
    assert not is_anomaly(None)
    assert len(HUNDREDS) == LEAST_PEERS
    assert judged(1_000, Sample([1_000, *HUNDREDS]), []) is not None


ALWAYS_A_THOUSAND = [980.0, 1_010.0, 990.0, 1_020.0, 1_000.0, 970.0, 1_005.0, 995.0]


def test_what_always_differs_from_its_peers_stands_out() -> None:
    assert judged(1_000, Sample([1_000, *SPREAD]), ALWAYS_A_THOUSAND) == robust_z(1_000, SPREAD)
    assert is_anomaly(judged(1_000, Sample([1_000, *SPREAD]), ALWAYS_A_THOUSAND))


def test_what_differs_from_its_own_past_stands_out_among_peers_that_are_alike() -> None:
    """Its history: median of nine 995, distances 15 15 5 25 5 25 10 0 895, median 15; 0.6745 * -895 / 15."""
    z = judged(100, Sample([100, *SPREAD]), ALWAYS_A_THOUSAND)

    assert robust_z(100, SPREAD) == 0.0
    assert z == pytest.approx(0.6745 * -895 / 15)


def test_too_short_a_history_is_not_asked() -> None:
    assert judged(100, Sample([100, *SPREAD]), ALWAYS_A_THOUSAND[:-1]) == 0.0


def test_the_threshold_belongs_to_the_anomalies() -> None:
    assert is_anomaly(3.5)
    assert is_anomaly(-3.5)
    assert not is_anomaly(3.499)


@given(st.integers(0, 10**6), st.lists(st.integers(0, 10**6), min_size=8, max_size=30), st.integers(2, 50))
def test_neither_order_nor_unit_matters(value: int, others: list[int], factor: int) -> None:
    z = robust_z(value, others)

    assert robust_z(value, others[::-1]) == pytest.approx(z)
    assert robust_z(value * factor, [other * factor for other in others]) == pytest.approx(z)
