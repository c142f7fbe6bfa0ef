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
