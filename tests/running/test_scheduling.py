"""How a run is shared out: the lists name what there is, and what takes longest begins first."""

from pathlib import Path

import pytest

from tests.running.scheduling import APART, COMPUTING, LONGEST, order_of_files, weight

REPOSITORY = Path(__file__).parents[2]


@pytest.mark.parametrize("beginning", sorted({*APART, *COMPUTING, *LONGEST}))
def test_each_name_in_the_lists_is_of_a_file_or_folder(beginning: str) -> None:
    assert (REPOSITORY / beginning.partition("::")[0]).exists()


def test_what_stands_first_in_the_list_weighs_most_and_what_is_not_in_it_nothing() -> None:
    weights = [weight(beginning) for beginning in LONGEST]
    assert weights == sorted(weights, reverse=True)
    assert weight("tests/domain/test_access.py::test_x") == 0


def test_what_computes_comes_between_what_waits_from_the_start_and_ends_before_it() -> None:
    waiting = ["tests/chaos/test_a.py", "tests/console/test_b.py", "tests/daemon/test_c.py", "tests/adapters/test_d.py"]
    computing = ["tests/domain/test_e.py", "tests/storage/test_f.py"]

    places = order_of_files(f"{file}::test_x" for file in (*computing, *waiting))

    assert sorted(places, key=places.__getitem__) == [
        "tests/chaos/test_a.py",
        "tests/console/test_b.py",
        "tests/storage/test_f.py",
        "tests/daemon/test_c.py",
        "tests/domain/test_e.py",
        "tests/adapters/test_d.py",
    ]
