"""What an error of JetStream says of another try."""

import pytest

from adapters.errors import JetStreamError


@pytest.mark.parametrize(
    ("code", "err_code", "description"),
    [
        (503, 0, "no answer: nats: timeout"),
        (503, 10008, "JetStream system temporarily unavailable"),
        (503, 10023, "insufficient resources"),
        (400, 10005, "no suitable peers for placement, peer offline"),
        (500, 10009, "not cluster leader"),
    ],
)
def test_what_a_cluster_answers_while_it_is_not_whole_may_pass(code: int, err_code: int, description: str) -> None:
    assert JetStreamError("STREAM.CREATE.HG_INGEST", code, err_code, description).may_pass


@pytest.mark.parametrize(
    ("code", "err_code", "description"),
    [
        (503, 10039, "JetStream not enabled for account"),
        (503, 10076, "JetStream not enabled"),
        (400, 10052, "invalid stream configuration"),
        (400, 10065, "subjects overlap with an existing stream"),
        (500, 10047, "insufficient storage resources available"),
    ],
)
def test_what_stays_as_it_is_does_not(code: int, err_code: int, description: str) -> None:
    assert not JetStreamError("STREAM.CREATE.HG_INGEST", code, err_code, description).may_pass
