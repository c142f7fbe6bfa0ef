"""Which tests begin first where several processes share a run, and which of them stay together."""

from typing import Final

from xdist.scheduler import LoadFileScheduling

APART: Final = (
    "tests/chaos/test_chaos.py",
    "tests/faults/",
    "tests/programs/test_conformance.py",
    "tests/end_to_end/alerts/",
    "tests/end_to_end/healing/",
    "tests/daemon/test_lifecycle.py",
    "tests/deploy/test_procedures.py",
)
"""Files, or beginnings of their names: each test in them starts all that it needs, so they go to any process."""

LONGEST: Final = (
    "tests/deploy/test_composition.py",
    "tests/chaos/",
    "tests/console/test_outages.py",
    "tests/console/test_hostile_documents.py",
    "tests/console/test_looks.py",
    "tests/end_to_end/alerts/test_alerts_two_daemons.py",
    "tests/faults/test_crash_storms.py",
    "tests/programs/test_conformance.py",
    "tests/console/",
    "tests/faults/",
    "tests/programs/",
    "tests/end_to_end/",
    "tests/deploy/",
    "tests/daemon/cli/",
    "tests/daemon/test_lifecycle.py",
    "tests/handlers/jobs/test_jobs_stateful.py",
    "tests/contracts/gate/test_bounds.py",
    "tests/contracts/schemas/",
    "tests/bench/",
    "tests/daemon/",
    "tests/storage/",
    "tests/handlers/",
    "tests/adapters/",
)
"""What takes longest, by the durations that ``pytest --durations=0`` tells; what is not here takes moments."""


def weight(nodeid: str) -> int:
    """The more, the longer it takes."""
    for place, beginning in enumerate(LONGEST):
        if nodeid.startswith(beginning):
            return len(LONGEST) - place
    return 0


class LongFilesInParts(LoadFileScheduling):  # type: ignore[misc]  # it ships no types
    """Whole files to each process, but of some files each test by itself."""

    def _split_scope(self, nodeid: str) -> str:
        return nodeid if nodeid.startswith(APART) else super()._split_scope(nodeid)
