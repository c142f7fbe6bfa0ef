"""What producers of earlier days send: version 1 envelopes, old schemas, and compat mode."""

from datetime import date
from pathlib import Path

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.gate.canonical import payload_hash
from contracts.gate.delivery import Accepted, Refused
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules, Mode
from contracts.payloads.ingest.session import Confidence, SessionEvent, Source
from contracts.registry import REGISTRY
from contracts.values.money import usd_from_number
from contracts.values.usage import Usage
from tests.contracts.samples import (
    TRACE,
    Json,
    accepted,
    delivery,
    envelope,
    envelope_1,
    event,
    judge,
    only,
    usage,
    usage_1,
    where,
    without,
)

FIXTURES = Path(__file__).parents[1] / "fixtures"
COMPAT = Gate(REGISTRY, GateRules(mode=Mode.COMPAT))


def recorded(name: str) -> Json:
    return orjson.loads((FIXTURES / f"{name}.json").read_bytes())


def test_a_recorded_version_1_envelope_is_read_with_kind_and_key_from_outside_the_body() -> None:
    body = (FIXTURES / "envelope-1-session.usage-1.0.json").read_bytes()

    by_header = accepted(judge(body, headers={"Nats-Msg-Id": "writer-3.17"}))
    by_hash = accepted(judge(body))

    assert (by_header.kind, by_header.message_id, by_header.producer) == ("session.usage", "writer-3.17", "unknown")
    assert by_hash.message_id == f"sha256:{by_hash.payload_hash}"
    assert by_hash.payload_hash == payload_hash(orjson.loads(body)["payload"])
    assert (by_hash.envelope_version, by_hash.schema_version, by_hash.adapted) == (1, "1.0", False)
    assert by_hash.trace_id == "0b0e7d4a-3c52-4f4e-9a53-2f6a1c9d8e70"


def test_a_recorded_usage_1_0_becomes_a_2_0_of_little_confidence() -> None:
    got = accepted(judge(envelope(recorded("session.usage-1.0"), schema_version="1.0"))).payload

    assert isinstance(got, Usage)
    assert (got.session_id, got.agent, got.model) == ("writer-3:2024-03-01", "writer-3", "gpt-4-0613")
    assert got.at == 1_709_281_800_250_000
    assert (got.input_tokens, got.output_tokens, got.runtime_ms) == (1830, 412, 9120)
    assert (got.cost_usd_micros, got.pricing_version) == (79_600, "legacy")
    for part in (got.provenance.tokens, got.provenance.runtime, got.provenance.cost):
        assert (part.source, part.confidence) == (Source.PROVIDER_REPORTED, Confidence.LOW)


def test_a_recorded_usage_1_0_without_a_cost_has_a_missing_one() -> None:
    got = accepted(judge(envelope(recorded("session.usage-1.0-without-cost"), schema_version="1.0"))).payload

    assert isinstance(got, Usage)
    assert got.cost_usd_micros is None
    assert got.provenance.cost.source == "missing"
    assert got.provenance.tokens.source == "provider_reported"


def test_the_newest_schema_passes_unchanged_in_a_version_1_envelope() -> None:
    got = accepted(judge(envelope_1(recorded("session.usage-2.0"), "2.0"))).payload

    assert isinstance(got, Usage)
    assert got.cost_usd_micros == 8775


def test_a_recorded_event_in_a_version_1_envelope_is_accepted() -> None:
    got = accepted(judge((FIXTURES / "envelope-1-session.event-1.0.json").read_bytes(), "session.event"))

    assert isinstance(got.payload, SessionEvent)


@pytest.mark.parametrize(
    ("number", "micros"),
    [
        (0, 0),
        (0.0, 0),
        (3, 3_000_000),
        (5e-7, 0),
        (1.5e-6, 2),
        (2.5e-6, 2),
        (3.5e-6, 4),
        (1e-7, 0),
        (0.1 + 0.2, 300_000),
    ],
)
def test_a_cost_of_1_0_is_rounded_half_even_to_six_places(number: float, micros: int) -> None:
    got = accepted(judge(envelope(usage_1(cost=number), schema_version="1.0"))).payload

    assert isinstance(got, Usage)
    assert got.cost_usd_micros == micros


@given(st.integers(0, 10**12 - 1), st.integers(0, 999_999))
def test_an_amount_of_six_places_survives_as_a_number_where_a_float_can_hold_it(dollars: int, micros: int) -> None:
    exact = dollars % 10**6 * 1_000_000 + micros

    assert usd_from_number(exact / 1_000_000) == exact


@pytest.mark.parametrize(
    ("cost", "code"),
    [
        (-0.01, "greater_than_equal"),
        (1e12, "less_than"),
        ("0.25", "float_type"),
        (True, "float_type"),
    ],
)
def test_a_cost_of_1_0_is_a_number_that_fits(cost: Json, code: str) -> None:
    detail = only(judge(envelope(usage_1(cost=cost), schema_version="1.0")))

    assert (detail.path, detail.code) == ("payload.cost", code)


def test_a_cost_of_1_0_that_is_not_finite_is_refused() -> None:
    body = orjson.dumps(envelope(usage_1(cost=0.5), schema_version="1.0")).replace(b"0.5", b"1e400")

    assert only(judge(body)).code == "number_out_of_range"


def test_fields_of_version_2_are_unknown_in_version_1() -> None:
    judged = judge(envelope_1(usage_1(), kind="session.usage", message_id="a", producer="b"))

    assert where(judged) == {(name, "extra_forbidden") for name in ("kind", "message_id", "producer")}


def test_a_version_1_key_in_the_header_is_validated_as_any_message_id() -> None:
    judged = judge(envelope_1(usage_1(status="no")), headers={"Nats-Msg-Id": "not an id"})

    assert where(judged) == {("headers.Nats-Msg-Id", "message_id"), ("payload.status", "enum")}
    assert isinstance(judged, Refused)
    assert (judged.message_id, judged.producer) == (None, "unknown")


def test_strict_mode_refuses_what_has_no_version() -> None:
    assert where(judge(without(envelope_1(usage_1()), "envelope_version"))) == {("envelope_version", "missing")}
    assert where(judge(usage_1())) == {("envelope_version", "missing")}


def test_compat_mode_reads_a_missing_version_as_1() -> None:
    got = accepted(judge(without(envelope_1(usage_1()), "envelope_version"), gate=COMPAT))

    assert (got.envelope_version, got.adapted, got.trace_id) == (1, True, TRACE)


def test_compat_mode_wraps_a_bare_payload_the_same_way_every_time() -> None:
    first, second = (accepted(judge(usage_1(), gate=COMPAT)) for _ in range(2))

    assert first == second
    assert (first.schema_version, first.adapted, first.producer) == ("1.0", True, "unknown")
    assert first.message_id == f"sha256:{payload_hash(usage_1())}"
    assert first.created_at == first.delivery.stored_at


def test_compat_mode_takes_the_oldest_schema_that_fits_a_bare_payload() -> None:
    assert accepted(judge(usage(), gate=COMPAT)).schema_version == "2.0"
    assert where(judge(usage(status="no"), gate=COMPAT)) == {("payload.status", "enum")}
    assert where(judge(usage_1(status="no"), gate=COMPAT)) == {("payload.status", "enum")}


def test_compat_mode_is_as_strict_as_ever_about_everything_else() -> None:
    assert where(judge(envelope(usage(), extra=1), gate=COMPAT)) == {("extra", "extra_forbidden")}
    assert where(judge({"schema_version": "1.0"}, gate=COMPAT)) == {
        (name, "missing") for name in ("trace_id", "created_at", "payload")
    }
    assert only(judge(b'{"a": 1, "a": 2}', gate=COMPAT)).code == "duplicate_key"
    assert where(judge({"any": 1}, "no.such", gate=COMPAT)) == {("kind", "unknown_kind")}


def test_a_current_message_is_not_counted_as_adapted_in_compat_mode() -> None:
    assert not accepted(judge(envelope(usage()), gate=COMPAT)).adapted
    assert not accepted(judge(envelope_1(usage_1()), gate=COMPAT)).adapted


def test_compat_mode_ends_after_its_last_day_by_the_moment_the_stream_stored_the_message() -> None:
    gate = Gate(REGISTRY, GateRules(mode=Mode.COMPAT, compat_until=date(2026, 11, 20)))
    midnight = 1_795_219_200_000_000  # 2026-11-21T00:00:00Z

    assert isinstance(gate.judge(delivery(usage_1(), stored_at=midnight - 1)), Accepted)
    assert where(gate.judge(delivery(usage_1(), stored_at=midnight))) == {("envelope_version", "missing")}


def test_an_event_has_no_schema_of_usage() -> None:
    judged = judge(envelope(event(), "session.event", "2.0"), "session.event")

    assert only(judged).as_json()["supported"] == ["1.0"]
