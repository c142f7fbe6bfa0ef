"""How a run is shared out: the lists name what there is, and what takes longest begins first."""

from pathlib import Path

import pytest

from tests.running.scheduling import APART, LONGEST, weight

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("beginning", sorted({*APART, *LONGEST}))
def test_each_name_in_the_lists_is_of_a_file_or_folder(beginning: str) -> None:
    assert (REPOSITORY / beginning.partition("::")[0]).exists()


def test_what_stands_first_in_the_list_weighs_most_and_what_is_not_in_it_nothing() -> None:
    weights = [weight(beginning) for beginning in LONGEST]
    assert weights == sorted(weights, reverse=True)
    assert weight("tests/domain/test_access.py::test_x") == 0
