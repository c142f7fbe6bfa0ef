"""The short form: some seconds of faults under a new seed each time. The long one is ``make chaos``."""

import secrets

import pytest

from tests.chaos.run import VARIANTS, Run
from tests.support.waiting import PATIENCE_S

pytestmark = [
    pytest.mark.process,
    pytest.mark.slow,
    pytest.mark.timeout(300),
    # The client library forgets to close a connection that a killed server has ended.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]

SECONDS = {"shared": 6.0, "alone": 5.0, "cluster": 6.0}


@pytest.mark.parametrize("variant", sorted(VARIANTS))
async def test_nothing_acknowledged_is_lost_or_taken_twice_while_everything_fails(variant: str) -> None:
    outcome = await Run(variant, str(secrets.randbelow(10**9)), SECONDS[variant], still_s=PATIENCE_S).run()

    wrong = "\n".join(outcome.findings.lines())
    assert not outcome.findings, f"seed {outcome.seed}: {wrong}\nlogs and tables: {outcome.kept}"
    assert outcome.figures["acknowledged and taken"] > 0
    assert outcome.figures["dead letters"] > 0
