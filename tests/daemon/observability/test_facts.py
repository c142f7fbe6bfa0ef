"""Each fact that a handler can report has its metric."""

import pytest

from daemon.observability.metrics import Metrics
from handlers.effects import Fact, FactName

LABELS = {
    FactName.COST_USD: {"source": "derived"},
    FactName.MODEL_COST_USD: {"model": "m"},
    FactName.JOB_TRANSITIONS: {"to": "READY"},
    FactName.JOB_DURATION_SECONDS: {"work": "publish", "status": "done"},
    FactName.JOB_FAILURES: {"code": "x"},
}


@pytest.mark.parametrize("name", list(FactName))
def test_a_fact_moves_a_metric(name: FactName) -> None:
    metrics = Metrics()

    def values() -> dict[str, float]:
        samples = [sample for family in metrics.registry.collect() for sample in family.samples]
        return {f"{sample.name}{sample.labels}": sample.value for sample in samples if "process" not in sample.name}

    before = values()
    metrics.facts([Fact(name, labels=LABELS.get(name, {}))])

    assert values() != before


@pytest.mark.parametrize("kind", ["publish.result", "content.schedule", "session.usage"])
def test_messages_are_counted_from_nought_before_the_first_one_comes(kind: str) -> None:
    """A series that is born at 1 rises by nothing, and the first of a day is missing from a dashboard."""
    metrics = Metrics()
    told = {
        outcome: metrics.registry.get_sample_value("headgate_messages_total", {"kind": kind, "outcome": outcome})
        for outcome in ("accepted", "duplicate", "refused")
    }
    assert told == {"accepted": 0, "duplicate": 0, "refused": 0}
