"""What a producer is told about its records: each rule, by records that break it and records that do not."""

import json
from datetime import UTC, datetime, timedelta

from contracts.gate.delivery import Delivery
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from contracts.values.times import MICROS_PER_SECOND
from daemon.conformance.producer_rules import Published, Run, Trouble, judge_records, judge_trouble
from daemon.conformance.rules import Outcome
from tests.support.records.usage_records import envelope

NOW = datetime(2026, 11, 20, 10, 20, tzinfo=UTC)
GATE = Gate(REGISTRY, GateRules())
TRACE = "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11"


def record(
    name: str = "a:1", number: int = 1, *, headers: dict[str, str] | None = None, **changed: object
) -> Published:
    said = {**envelope(name, number), **changed}
    body = json.dumps(said).encode()
    at = int(NOW.timestamp()) * MICROS_PER_SECOND
    judged = GATE.judge(Delivery("ingest.session.usage", body, headers or {}, "HG_INGEST", 1, 1, at, ""))
    return Published(judged, json.dumps(said["payload"]), asks_receipt=True, asks_ack=True)


def broken(*records: Published, elsewhere: tuple[str, ...] = ()) -> set[str]:
    verdicts = judge_records([Run(published=list(records))], elsewhere, 262_144)
    return {verdict.rule.split(":")[0] for verdict in verdicts if verdict.outcome is Outcome.BROKEN}


def test_records_as_they_should_be_break_nothing() -> None:
    assert broken(record("a:1", 1), record("a:2", 2), record("a:1", 1)) == set()


def test_a_trace_whose_times_go_back_is_told_but_a_repetition_is_not() -> None:
    first = record("a:1", 1, trace_id=TRACE, created_at="2026-11-20T10:15:00Z")
    second = record("a:2", 2, trace_id=TRACE, created_at="2026-11-20T10:16:00Z")
    assert broken(first, second, first) == set()
    assert broken(second, first) == {"order"}
    assert broken(second, record("b:1", 3, created_at="2026-11-20T10:15:00Z")) == set()


def test_a_time_that_is_still_to_come_is_told() -> None:
    assert broken(record(created_at=(NOW + timedelta(hours=1)).isoformat())) == {"created_at"}
    assert broken(record(created_at=(NOW + timedelta(seconds=20)).isoformat())) == set()


def test_a_traceparent_is_of_the_envelopes_trace() -> None:
    right = {"traceparent": f"00-{TRACE.replace('-', '')}-00f067aa0ba902b7-01"}
    wrong = {"traceparent": f"00-{'a' * 32}-00f067aa0ba902b7-01"}
    assert broken(record(trace_id=TRACE, headers=right)) == set()
    assert broken(record(trace_id=TRACE, headers=wrong)) == {"traceparent"}


def test_what_was_refused_is_no_fault_once_it_was_corrected() -> None:
    wrong = record(schema_version="9.9")
    assert broken(wrong) == {"contract"}
    assert broken(wrong, record()) == set()


def test_one_id_of_two_payloads_and_two_ids_of_one_are_told() -> None:
    assert broken(record("a:1", 1), record("a:1", 2)) == {"message id"}
    assert broken(record("a:1", 1), record("a:2", 1)) == {"message id"}


def test_subjects_of_others_are_told() -> None:
    assert broken(record(), elsewhere=("hg.cmd.job.get",)) == {"subject"}


def test_a_record_in_trouble_has_to_come_again_as_it_was() -> None:
    def told(*later: Published) -> Outcome:
        first = record()
        first.troubled = True
        return judge_trouble(Trouble.FULL, Run(Trouble.FULL, [first, *later]), 1.0).outcome

    assert told(record()) is Outcome.KEPT
    assert told() is told(record("a:2", 1)) is told(record("a:1", 2)) is told(record("a:9", 9)) is Outcome.BROKEN
