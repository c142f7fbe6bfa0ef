"""The life of an alert, as a table and as a picture."""

from itertools import product
from pathlib import Path

import pytest

from contracts.values.alerts import AlertSignal, Lifecycle, Severity
from domain.alerts.alert_states import QUIET, STANDINGS, TRANSITIONS, Standing, diagram, next_standing

DOCUMENT = Path(__file__).parents[3] / "docs" / "alerts.md"


def test_the_diagram_in_the_documents_is_the_table() -> None:
    """Regenerate it with ``python -c "from domain.alerts.alert_states import diagram; print(diagram())"``."""
    _, _, rest = DOCUMENT.read_text().partition("```mermaid\n")
    shown, fence, _ = rest.partition("\n```")
    assert fence
    assert shown == diagram()


RISES = {AlertSignal.WARNING_RAISED: Severity.WARNING, AlertSignal.CRITICAL_RAISED: Severity.CRITICAL}
FALLS = {AlertSignal.EASED: Severity.WARNING, AlertSignal.CLEARED: Severity.OK}


@pytest.mark.parametrize(("standing", "signal"), list(product(STANDINGS, AlertSignal)))
def test_readings_move_the_severity_and_operators_the_lifecycle(standing: Standing, signal: AlertSignal) -> None:
    """Each pair of the table does what its word says, and is refused where the word would not be true."""
    after = next_standing(standing, signal)
    if (to := RISES.get(signal)) is not None:
        assert (after is None) is (standing.severity.rank >= to.rank)
        assert after is None or after.severity is to
    elif (to := FALLS.get(signal)) is not None:
        assert (after is None) is (standing.severity.rank <= to.rank)
        assert after is None or after.severity is to
    elif signal is AlertSignal.RESOLVED:
        assert after == (None if standing == QUIET else QUIET)
    elif after is not None:
        assert after.severity is standing.severity
    else:
        suppressed = standing.lifecycle is Lifecycle.SUPPRESSED
        assert signal in (AlertSignal.ACKNOWLEDGED, AlertSignal.SUPPRESSION_ENDED)
        assert suppressed or standing == QUIET or signal is AlertSignal.SUPPRESSION_ENDED


def test_only_what_is_quiet_or_suppressed_is_ok() -> None:
    """An active alert that is ok, or a resolved one that is not, would be told wrongly everywhere."""
    targets = {target for (_, _), target in TRANSITIONS.items()}
    assert targets <= set(STANDINGS)
    assert all((lifecycle is Lifecycle.RESOLVED) <= (severity is Severity.OK) for severity, lifecycle in STANDINGS)
    assert Standing(Severity.OK, Lifecycle.ACTIVE) not in STANDINGS


@pytest.mark.parametrize("standing", STANDINGS)
def test_a_suppression_ends_where_it_began_and_resolving_ends_everything(standing: Standing) -> None:
    suppressed = next_standing(standing, AlertSignal.SUPPRESSED)
    assert suppressed is not None
    assert suppressed == Standing(standing.severity, Lifecycle.SUPPRESSED)
    assert next_standing(suppressed, AlertSignal.RESOLVED) == QUIET
    ended = next_standing(suppressed, AlertSignal.SUPPRESSION_ENDED)
    assert ended is not None
    assert ended.severity is standing.severity
