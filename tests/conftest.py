"""What holds for all tests."""

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that kills processes can meet a machine that is busy with something else: it is tried once more, and shown
    as RERUN, which is a finding to look into. All others have one try."""
    for item in items:
        if item.get_closest_marker("kills") is not None:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=1))
