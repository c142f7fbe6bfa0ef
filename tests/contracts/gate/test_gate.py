"""The gate on ingest: what is accepted, what is refused, and in which words."""

import orjson
import pytest

from contracts.errors import ErrorCode, Problem, problem
from contracts.gate.canonical import payload_hash
from contracts.gate.delivery import Delivery, Refused
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.payloads.ingest.session import SessionEvent
from contracts.registry import REGISTRY
from contracts.subjects import Family
from contracts.values.usage import Usage
from tests.contracts import samples
from tests.contracts.samples import (
    TRACE,
    Json,
    accepted,
    delivery,
    envelope,
    event,
    event_envelope,
    judge,
    only,
    usage,
    where,
    without,
)


def test_a_usage_in_order_is_accepted_with_its_figures() -> None:
    payload = usage()

    got = accepted(judge(envelope(payload)))

    assert (got.kind, got.message_id, got.producer) == ("session.usage", "planner-7:000123", "planner-7")
    assert (got.trace_id, got.created_at) == (TRACE, 1_795_169_730_123_000)
    assert (got.schema_version, got.envelope_version, got.adapted) == ("2.0", 2, False)
    assert got.payload_hash == payload_hash(payload)
    assert isinstance(got.payload, Usage)
    assert got.payload.cost_usd_micros == 8775
    assert got.payload.at == 1_795_169_730_100_000


def test_an_event_in_order_is_accepted() -> None:
    got = accepted(judge(event_envelope(event()), "session.event"))

    assert isinstance(got.payload, SessionEvent)
    assert got.payload.data == {"step": 1}


def test_optional_figures_may_be_left_out_or_null() -> None:
    unknown = {"source": "missing", "confidence": "unknown"}
    nothing = usage(provenance={"tokens": unknown, "runtime": unknown, "cost": unknown})
    figures = ("input_tokens", "output_tokens", "runtime_ms", "cost_usd", "pricing_version")

    for payload in (without(nothing, *figures), nothing | dict.fromkeys(figures)):
        got = accepted(judge(envelope(payload))).payload
        assert isinstance(got, Usage)
        assert (got.input_tokens, got.runtime_ms, got.cost_usd_micros) == (None, None, None)


def test_all_violations_of_envelope_and_payload_are_reported_together_sorted_by_path() -> None:
    judged = judge(envelope(usage(input_tokens="1200", extra=1), created_at="2026-11-20T10:15:30"))

    error = samples.problem(judged).as_json()
    assert error["message"] == "3 fields are invalid"
    assert [(detail.path, detail.code) for detail in samples.problem(judged).details] == [
        ("created_at", "timezone_aware"),
        ("payload.extra", "extra_forbidden"),
        ("payload.input_tokens", "int_type"),
    ]
    assert (error["code"], error["status"], error["trace_id"]) == ("VALIDATION_ERROR", 400, TRACE)


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"message_id": "a b"}, "message_id", "string_pattern_mismatch"),
        ({"message_id": "a\n"}, "message_id", "string_pattern_mismatch"),
        ({"message_id": ""}, "message_id", "string_pattern_mismatch"),
        ({"message_id": "a" * 201}, "message_id", "string_pattern_mismatch"),
        ({"trace_id": "no"}, "trace_id", "uuid_parsing"),
        ({"trace_id": TRACE.replace("-", "")}, "trace_id", "uuid_parsing"),
        ({"trace_id": 7}, "trace_id", "string_type"),
        ({"created_at": 1795169730}, "created_at", "string_type"),
        ({"created_at": "1795169730"}, "created_at", "datetime_parsing"),
        ({"created_at": "2026-02-30T00:00:00Z"}, "created_at", "datetime_parsing"),
        ({"created_at": "2026-11-20 10:15:30Z"}, "created_at", "datetime_parsing"),
        ({"producer": "a\u0085b"}, "producer", "string_pattern_mismatch"),
        ({"producer": "a\u2028b"}, "producer", "string_pattern_mismatch"),
        ({"producer": "a\u202eb"}, "producer", "string_pattern_mismatch"),
        ({"producer": ""}, "producer", "string_too_short"),
        ({"producer": "p" * 101}, "producer", "string_too_long"),
        ({"kind": "session.event"}, "kind", "literal_error"),
        ({"payload": []}, "payload", "model_type"),
        ({"payload": None}, "payload", "model_type"),
        ({"schema_version": 2.0}, "schema_version", "string_type"),
        ({"schema_version": "2"}, "schema_version", "string_pattern_mismatch"),
        ({"schema_version": ["2.0"]}, "schema_version", "string_type"),
        ({"envelope_version": "2"}, "envelope_version", "int_type"),
        ({"envelope_version": 2.0}, "envelope_version", "int_type"),
        ({"envelope_version": True}, "envelope_version", "int_type"),
        ({"envelope_version": None}, "envelope_version", "int_type"),
        ({"surplus": 1}, "surplus", "extra_forbidden"),
    ],
)
def test_one_wrong_field_of_the_envelope_is_named(change: dict[str, Json], path: str, code: str) -> None:
    detail = only(judge(envelope(usage()) | change))

    assert (detail.path, detail.code) == (path, code)


@pytest.mark.parametrize("name", list(envelope({})))
def test_every_field_of_the_envelope_is_required(name: str) -> None:
    detail = only(judge(without(envelope(usage()), name)))

    assert (detail.path, detail.code) == (name, "missing")


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ({"session_id": ".a"}, "session_id", "string_pattern_mismatch"),
        ({"session_id": "a."}, "session_id", "string_pattern_mismatch"),
        ({"session_id": "a..b"}, "session_id", "string_pattern_mismatch"),
        ({"session_id": "a\n"}, "session_id", "string_pattern_mismatch"),
        ({"session_id": "a*"}, "session_id", "string_pattern_mismatch"),
        ({"session_id": "\u0661"}, "session_id", "string_pattern_mismatch"),
        ({"session_id": "a" * 201}, "session_id", "string_too_long"),
        ({"input_tokens": 1.0}, "input_tokens", "int_type"),
        ({"input_tokens": True}, "input_tokens", "int_type"),
        ({"input_tokens": -1}, "input_tokens", "greater_than_equal"),
        ({"input_tokens": 2**53}, "input_tokens", "less_than_equal"),
        ({"cost_usd": 0.01}, "cost_usd", "string_type"),
        ({"cost_usd": "1."}, "cost_usd", "string_pattern_mismatch"),
        ({"cost_usd": "-1"}, "cost_usd", "string_pattern_mismatch"),
        ({"cost_usd": "1\n"}, "cost_usd", "string_pattern_mismatch"),
        ({"cost_usd": "1e3"}, "cost_usd", "string_pattern_mismatch"),
        ({"cost_usd": "0.0000001"}, "cost_usd", "string_pattern_mismatch"),
        ({"cost_usd": "1000000000000"}, "cost_usd", "string_pattern_mismatch"),
        ({"status": "fine"}, "status", "enum"),
        ({"status": 1}, "status", "enum"),
        ({"at": None}, "at", "string_type"),
        ({"cost_usd_micros": 5}, "cost_usd_micros", "extra_forbidden"),
        ({"provenance": [], "cost_usd": None}, "provenance", "model_type"),
    ],
)
def test_one_wrong_field_of_a_usage_is_named(change: dict[str, Json], path: str, code: str) -> None:
    detail = only(judge(envelope(usage(**change))))

    assert (detail.path, detail.code) == (f"payload.{path}", code)


def test_the_largest_count_and_the_longest_ids_are_accepted() -> None:
    payload = usage(input_tokens=2**53 - 1, session_id="a" * 200, cost_usd="999999999999.999999")

    got = accepted(judge(envelope(payload, message_id="..x.." + "a" * 195, producer="é" * 100))).payload

    assert isinstance(got, Usage)
    assert got.cost_usd_micros == 999_999_999_999_999_999


def test_an_unknown_envelope_version_is_refused_with_the_supported_ones() -> None:
    judged = judge(envelope(usage(input_tokens="x"), envelope_version=3))

    assert samples.problem(judged).code is ErrorCode.UNSUPPORTED_CONTRACT_VERSION
    assert only(judged).as_json() == {
        "path": "envelope_version",
        "code": "unsupported_version",
        "message": "The envelope version is not supported",
        "supported": [1, 2],
    }


def test_an_unknown_schema_version_is_refused_with_those_of_the_kind() -> None:
    judged = judge(envelope(usage(), schema_version="3.0"))

    assert samples.problem(judged).status == 422
    assert only(judged).as_json()["supported"] == ["1.0", "2.0"]


def test_a_payload_in_an_unknown_schema_is_not_judged_for_what_it_holds() -> None:
    judged = judge(envelope(usage(session_id="a\0b"), schema_version="3.0"))

    assert samples.problem(judged).code is ErrorCode.UNSUPPORTED_CONTRACT_VERSION


def test_violations_of_the_envelope_come_before_an_unknown_schema_version() -> None:
    judged = judge(envelope({}, schema_version="3.0", producer="", kind="other"))

    assert where(judged) == {("producer", "string_too_short"), ("kind", "literal_error")}


def test_an_unknown_kind_is_refused_together_with_other_violations_of_the_envelope() -> None:
    judged = judge(envelope({"any": 1}, kind="no.such", producer=""), "no.such")

    assert where(judged) == {("kind", "unknown_kind"), ("producer", "string_too_short")}
    assert isinstance(judged, Refused)
    assert judged.kind == "unknown"


def test_a_body_over_the_limit_is_refused_without_being_read() -> None:
    gate = Gate(REGISTRY, GateRules(max_bytes=100))

    judged = gate.judge(delivery(b"[" * 101))

    assert samples.problem(judged).code is ErrorCode.PAYLOAD_TOO_LARGE
    assert samples.problem(judged).status == 413
    assert samples.problem(gate.judge(delivery(b"[" * 100))).code is ErrorCode.VALIDATION_ERROR


def test_a_refusal_keeps_what_could_be_read_and_is_valid_in_itself() -> None:
    judged = judge(envelope(usage(status="no"), message_id="fine", producer="who"))
    spoilt = judge(envelope(usage(), message_id="not fine", producer="\u0000", trace_id="x"))

    assert isinstance(judged, Refused)
    assert isinstance(spoilt, Refused)
    assert (judged.kind, judged.message_id, judged.producer) == ("session.usage", "fine", "who")
    assert (spoilt.kind, spoilt.message_id, spoilt.producer) == ("session.usage", None, None)
    assert spoilt.problem.trace_id is None


def test_the_trace_of_an_error_is_the_message_s_own_in_lower_case() -> None:
    judged = judge(envelope(usage(status="no"), trace_id=TRACE.upper()))

    assert samples.problem(judged).trace_id == TRACE


def test_a_message_id_header_may_differ_from_a_current_envelope_s() -> None:
    assert accepted(judge(envelope(usage()), headers={"Nats-Msg-Id": "another id"})).message_id == "planner-7:000123"


def test_a_receipt_subject_under_an_allowed_prefix_is_taken_and_any_other_refused() -> None:
    accepted(judge(envelope(usage()), headers={"Headgate-Receipt": "_INBOX.abc.1"}))

    judged = judge(envelope(usage(status="no")), headers={"Headgate-Receipt": "hg.ops.prune"})

    assert where(judged) == {("headers.Headgate-Receipt", "receipt_subject"), ("payload.status", "enum")}


def test_a_family_s_own_screen_stands_before_what_the_body_says() -> None:
    unsigned = problem(ErrorCode.CALLBACK_SIGNATURE_INVALID, "the signature does not hold")

    def screen(asked: Delivery) -> Problem | None:
        return None if "signed" in asked.headers else unsigned

    gate = Gate(REGISTRY, GateRules(), {Family.INGEST: screen})

    assert samples.problem(gate.judge(delivery(b"not json"))) == unsigned
    assert samples.problem(gate.judge(delivery({"envelope_version": 9}))) == unsigned
    assert only(gate.judge(delivery(b"not json", headers={"signed": "yes"}))).code == "json_invalid"


@pytest.mark.parametrize(
    ("payload", "readable"),
    [(b"{}", True), (b"null", True), (b'{"beyond": 1e999}', False), (b'{"a": 1, "a": 1}', False)],
)
def test_what_a_screen_refuses_is_found_by_the_ids_that_it_gives_itself(payload: bytes, readable: bool) -> None:
    unsigned = problem(ErrorCode.CALLBACK_SIGNATURE_INVALID, "the signature does not hold")
    gate = Gate(REGISTRY, GateRules(), {Family.INGEST: lambda _: unsigned})

    body = orjson.dumps({**envelope(usage()), "payload": "here"}).replace(b'"here"', payload)
    judged = gate.judge(delivery(body))

    assert isinstance(judged, Refused)
    assert judged.problem == unsigned.traced(TRACE if readable else None)
    assert (judged.kind, judged.message_id) == ("session.usage", "planner-7:000123" if readable else None)


def test_unknown_fields_are_named_shortened_and_without_control_characters() -> None:
    paths = {path for path, _ in where(judge(envelope(usage()) | {"a\nb\u202e": 1, "c" * 300: 2}))}

    assert paths == {"a\\nb\\u202e", "c" * 64 + "…"}


def test_at_most_fifty_violations_are_told_and_counted() -> None:
    judged = judge(envelope(usage()) | {f"x{number:03}": 1 for number in range(80)})

    assert len(samples.problem(judged).details) == 50
    assert samples.problem(judged).message == "more than 50 fields are invalid"


def test_the_same_invalid_body_gives_the_same_bytes_every_time() -> None:
    body = envelope(usage(status="no", provenance=7, zzz=1, aaa=2), producer="", trace_id="no", kind="x")

    answers = {orjson.dumps(samples.problem(judge(body)).as_json()) for _ in range(10)}

    assert len(answers) == 1


def test_a_judgement_carries_its_delivery() -> None:
    asked = delivery(envelope(usage()))

    assert samples.GATE.judge(asked).delivery is asked
    assert samples.GATE.judge(asked._replace(body=b"")).delivery.body == b""
