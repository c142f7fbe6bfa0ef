"""What holds for all tests."""

import signal

import pytest


def pytest_configure() -> None:
    """Hear SIGINT also where the shell that began the run in the background has it ignored: what is ignored is
    inherited, and the daemons that tests start must get the signals that a terminal would give them."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that kills processes can meet a machine that is busy with something else: it is tried once more, and shown
    as RERUN, which is a finding to look into. All others have one try."""
    for item in items:
        if item.get_closest_marker("kills") is not None:
            item.add_marker(pytest.mark.flaky(reruns=1, reruns_delay=1))
