"""The rules take the payloads of the wire as they are."""

from contracts.payloads.ingest.session import SessionEvent, SessionUsage, usage_from_2
from domain.ledger.ledger import fold
from domain.ledger.pricing import UnitPrices
from domain.ledger.usage import decide_usage
from tests.domain.ledger.usage_facts import Book

AT = "2026-11-20T10:15:30Z"
REPORTED = {"source": "provider_reported", "confidence": "high"}
MISSING = {"source": "missing", "confidence": "unknown"}


def test_a_payload_becomes_a_priced_row_and_its_day() -> None:
    usage = SessionUsage.model_validate(
        {
            "session_id": "s-1",
            "agent": "planner",
            "model": "known",
            "at": AT,
            "status": "error",
            "input_tokens": 1_000,
            "output_tokens": 500,
            "runtime_ms": 12,
            "provenance": {"tokens": REPORTED, "runtime": REPORTED, "cost": MISSING},
        }
    )
    prices = Book({"known": UnitPrices(2_500_000, 10_000_000, "list-1")})
    record = decide_usage(usage_from_2(usage), prices, "m-1", "trace", 0, "planner-7")
    assert record.cost_usd_micros == 7_500
    assert record.cost_source == "derived"

    event = SessionEvent.model_validate({"session_id": "s-1", "agent": "planner", "type": "failed", "at": AT})
    changes = fold([record], [event])
    (day,) = changes.days
    assert (day.day, day.requests, day.errors) == ("2026-11-20", 1, 1)
    assert (day.tokens_reported, day.cost_usd_micros_derived) == (1_500, 7_500)
    assert changes.sessions[0].status == "failed"
