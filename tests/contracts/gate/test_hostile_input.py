"""Bytes from anybody: whatever they are, the gate accepts or refuses, and repeats nothing of them."""

import json
from typing import Final

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import ErrorCode, Refusal
from contracts.gate.delivery import Accepted, Refused
from contracts.gate.gate import Gate
from contracts.gate.json_strict import numbers_in_range, parse
from contracts.gate.rules import GateRules, Mode
from contracts.payloads.ingest.session import SessionEvent
from contracts.registry import REGISTRY
from contracts.values.usage import Usage
from tests.contracts import samples
from tests.contracts.samples import Json, accepted, delivery, envelope, event, event_envelope, judge, only, usage, where

GATES: Final = (Gate(REGISTRY, GateRules()), Gate(REGISTRY, GateRules(mode=Mode.COMPAT)))
IN_ORDER: Final = orjson.dumps(envelope(usage()))
EVENT: Final = orjson.dumps(event_envelope(event(data={"here": 0})))


def with_data(text: bytes) -> bytes:
    """An event whose data holds this JSON text."""
    return EVENT.replace(b'{"here":0}', b'{"here":' + text + b"}")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "json_invalid"),
        (b" ", "json_invalid"),
        (b"{", "json_invalid"),
        (b"{}x", "json_invalid"),
        (b'{"a":1,}', "json_invalid"),
        (b"{'a':1}", "json_invalid"),
        (b'{"a":01}', "json_invalid"),
        (b'{"a":.5}', "json_invalid"),
        (b'{"a":+1}', "json_invalid"),
        (b'{"a":NaN}', "json_invalid"),
        (b'{"a":Infinity}', "json_invalid"),
        (b'{"a":-Infinity}', "json_invalid"),
        (b"\xef\xbb\xbf{}", "json_invalid"),
        (b'"\\ud800"', "json_invalid"),
        (b'"\\ud800\\u0041"', "json_invalid"),
        (b'"\\udc00"', "json_invalid"),
        (b'"a\nb"', "json_invalid"),
        (b'"\x00"', "json_invalid"),
        (b'{"a":"\xff"}', "not_utf8"),
        (b"\xff\xfe{\x00}\x00", "not_utf8"),
        (b'"\xed\xa0\x80"', "not_utf8"),
        (b'"\xc0\x80"', "not_utf8"),
        (b'{"a":1,"a":1}', "duplicate_key"),
        (b'{"a":1,"\\u0061":1}', "duplicate_key"),
        (b'{"a":{"b":1,"b":2}}', "duplicate_key"),
        (b'[{"":1,"":2}]', "duplicate_key"),
        (b'{"recursion limit exceeded at ":1,"recursion limit exceeded at ":1}', "duplicate_key"),
        (b"[" * 100_000, "too_deep"),
        (b'{"a":' * 50_000, "too_deep"),
        (b"[" * 201 + b"]" * 201, "too_deep"),
        (b'{"a":' * 200 + b"[]" + b"}" * 200, "too_deep"),
        (b"1" * 10_000, "number_out_of_range"),
        (b"-" + b"1" * 10_000, "number_out_of_range"),
        (b"18446744073709551616", "number_out_of_range"),
        (b"-9223372036854775809", "number_out_of_range"),
        (b"1e400", "number_out_of_range"),
        (b'{"a":[-1e999999999]}', "number_out_of_range"),
        (b"1" * 400 + b".0", "number_out_of_range"),
        (b"[]", "object_type"),
        (b"null", "object_type"),
        (b'"text"', "object_type"),
    ],
    ids=lambda value: value[:24].decode("latin-1") if isinstance(value, bytes) else value,
)
def test_a_body_that_is_no_strict_json_object_is_refused_at_the_empty_path(body: bytes, code: str) -> None:
    for gate in GATES:
        judged = gate.judge(delivery(body))
        assert samples.problem(judged).code is ErrorCode.VALIDATION_ERROR
        assert (only(judged).path, only(judged).code) == ("", code)
        assert samples.problem(judged).trace_id is None


@pytest.mark.parametrize(
    "body", [b"[" * 200 + b"]" * 200, b'{"a":' * 200 + b"1" + b"}" * 200, b"[[]" + b",[]" * 300 + b"]"]
)
def test_two_hundred_levels_are_read(body: bytes) -> None:
    assert parse(body) is not None


def test_nesting_in_data_counts_the_levels_around_it() -> None:
    around = 3  # the envelope, its payload, the data itself

    accepted(judge(with_data(b"[" * (200 - around) + b"]" * (200 - around)), "session.event"))
    assert only(judge(with_data(b"[" * (201 - around) + b"]" * (201 - around)), "session.event")).code == "too_deep"


@pytest.mark.parametrize("number", [b"1e400", b"-1e400", b"18446744073709551616", b"-9223372036854775809", b"1" * 4000])
def test_a_number_out_of_range_is_refused_wherever_it_hides(number: bytes) -> None:
    for body in (
        with_data(number),
        with_data(b'{"deep":[' + number + b"]}"),
        IN_ORDER.replace(b'"input_tokens":1200', b'"input_tokens":' + number),
        IN_ORDER.replace(b'"envelope_version":2', b'"envelope_version":' + number),
        IN_ORDER[:-1] + b',"unknown":' + number + b"}",
    ):
        kind = "session.event" if b"session.event" in body else "session.usage"
        assert only(judge(body, kind)).code == "number_out_of_range"


@pytest.mark.parametrize("number", [b"18446744073709551615", b"-9223372036854775808", b"1e308", b"1e-400", b"-0.0"])
def test_a_number_within_range_is_data(number: bytes) -> None:
    accepted(judge(with_data(number), "session.event"))


def test_u0000_is_data_in_text_and_data_of_an_event() -> None:
    payload = event(text="a\u0000b", data={"k\u0000": ["\u0000", {"x": "\u0000"}]})

    got = accepted(judge(event_envelope(payload), "session.event"))

    assert isinstance(got.payload, SessionEvent)
    assert got.payload.text == "a\u0000b"


def test_u0000_is_refused_in_every_other_field_with_a_code_of_its_own() -> None:
    assert where(judge(event_envelope(event(agent="a\u0000", model="\u0000"), producer="\u0000"), "session.event")) == {
        ("payload.agent", "null_character"),
        ("payload.model", "null_character"),
        ("producer", "null_character"),
    }
    assert where(judge(envelope(usage(pricing_version="\u0000", **{"x\u0000": 1})))) == {
        ("payload.pricing_version", "null_character"),
        ("payload.x\\x00", "null_character"),
    }


def test_the_letters_of_an_escaped_backslash_are_no_u0000() -> None:
    body = IN_ORDER.replace(b"openai/gpt-5", b"a\\\\u0000")

    got = accepted(judge(body)).payload
    assert isinstance(got, Usage)
    assert got.model == "a\\u0000"


def test_a_receipt_is_judged_for_a_plain_message_too() -> None:
    for subject in (
        "",
        "hg.x",
        "$JS.API",
        "_INBOX.",
        "_INBOX.*",
        "_INBOX.a b",
        "_INBOX.a.>",
        "_INBOX.a..b",
        "_INBOX.a.",
    ):
        assert where(judge(IN_ORDER, headers={"Headgate-Receipt": subject})) == {
            ("headers.Headgate-Receipt", "receipt_subject")
        }


@given(st.binary(max_size=300))
def test_any_bytes_are_accepted_or_refused_and_nothing_else(body: bytes) -> None:
    for gate in GATES:
        assert isinstance(gate.judge(delivery(body)), Accepted | Refused)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from(sorted(envelope({}))), json_values, st.booleans())
def test_any_json_in_any_field_is_accepted_or_refused(field: str, value: Json, in_payload: bool) -> None:
    message = envelope(usage())
    if in_payload:
        message["payload"] = value if isinstance(value, dict) else usage(provenance=value)
    else:
        message[field] = value
    body = json.dumps(message).encode()  # writes NaN, lone surrogates and huge integers as they are

    for gate in GATES:
        assert isinstance(gate.judge(delivery(body)), Accepted | Refused)


def places(value: samples.Json, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    if isinstance(value, dict):
        return [path] * bool(path) + [place for key, item in value.items() for place in places(item, (*path, key))]
    return [path]


def put(message: samples.Json, path: tuple[str, ...], value: samples.Json) -> None:
    for step in path[:-1]:
        message = message[step]
    message[path[-1]] = value


@given(
    st.data(),
    st.text("ghijklmnopqrstuvwxyz", min_size=12, max_size=40),
    st.sampled_from(["{}", " {}", "{}\u0000", ".{}", "{}\n"]),
)
def test_no_detail_repeats_a_value(data: st.DataObject, secret: str, shape: str) -> None:
    kind, message = data.draw(
        st.sampled_from(
            [
                ("session.usage", envelope(usage())),
                ("session.usage", envelope(samples.usage_1(), schema_version="1.0")),
                ("session.event", event_envelope(event())),
                ("session.usage", samples.envelope_1(samples.usage_1())),
            ]
        )
    )
    message = json.loads(json.dumps(message))
    value = shape.format(secret)
    put(
        message, data.draw(st.sampled_from(places(message))), data.draw(st.sampled_from([value, [value], {"k": value}]))
    )

    for gate in GATES:
        judged = gate.judge(delivery(message, f"ingest.{kind}", headers={"Headgate-Receipt": value}))
        assert secret not in orjson.dumps(samples.problem(judged).as_json()).decode()
        assert isinstance(judged, Refused)


def test_a_duplicate_key_is_not_repeated() -> None:
    assert b"hush" not in orjson.dumps(samples.problem(judge(b'{"hush":1,"hush":2}')).as_json())


@given(json_values)
def test_parse_gives_back_what_was_written_or_refuses(value: Json) -> None:
    body = json.dumps(value).encode()
    try:
        read = parse(body)
    except Refusal:
        return
    assert numbers_in_range(read)
    assert json.loads(body) == read
