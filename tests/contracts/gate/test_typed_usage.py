"""The typed decoding of session.usage 2.0 against the models, which are the authority."""

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import JsonValue
from contracts.gate.canonical import payload_hash
from contracts.gate.json_strict import parse
from contracts.gate.typed_usage import decode_usage
from contracts.payloads.ingest.session import SessionUsage, usage_from_2
from contracts.registry import REGISTRY
from contracts.subjects import Family
from tests.contracts.samples import envelope, usage

CONTRACT = REGISTRY.contract("session.usage", Family.INGEST)
assert CONTRACT is not None
PROVE = CONTRACT.schemas["2.0"].prove_2

PARTS = ("tokens", "runtime", "cost")

anything: st.SearchStrategy[JsonValue] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**60), 2**60),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.sampled_from(
        ["", "a", "a\n", "a.b", ".a", "a..b", "é", "\u00a0", "\u200b", "A" * 200, "A" * 201, "2.0", 2, 2.0, True, 0, -1]
    ),
    st.sampled_from(
        ["2026-11-20T10:15:30Z", "2026-11-20T10:15:30", "2026-11-20t10:15:30+01:00", "1.5", "1.1234567", "0" * 13]
    ),
    st.sampled_from(["provider_reported", "derived", "missing", "high", "unknown", "ok", "error", "session.usage"]),
    st.sampled_from([2**53 - 1, 2**53]),
    st.lists(st.integers(), max_size=1),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=1),
)
places = st.sampled_from(
    [(name,) for name in envelope(usage())]
    + [("payload", name) for name in usage()]
    + [("payload", "provenance", part) for part in PARTS]
    + [("payload", "provenance", part, word) for part in PARTS for word in ("source", "confidence")]
    + [("x",), ("payload", "x"), ("payload", "provenance", "x"), ("payload", "provenance", "tokens", "x")]
)
spoilt = st.lists(st.tuples(places, st.booleans(), anything), max_size=4)


def changed(changes: list[tuple[tuple[str, ...], bool, JsonValue]]) -> dict[str, Any]:
    """An envelope in order with some places replaced or left out."""
    message = envelope(usage())
    for path, leave_out, value in changes:
        place: Any = message
        for step in path[:-1]:
            place = place.get(step) if isinstance(place, dict) else None
        if not isinstance(place, dict):
            continue
        if leave_out:
            place.pop(path[-1], None)
        else:
            place[path[-1]] = value
    return message


def written(message: Any, form: int) -> bytes:
    """A message as producers write it: compact, as ``json.dumps`` does, or over many lines."""
    if form == 0:
        return json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    ascii_only = form == 1
    return json.dumps(message, ensure_ascii=ascii_only, indent=2 if form == 3 else None, sort_keys=form == 3).encode()


def facts_of(proven: Any) -> dict[str, Any]:
    heads = ("message_id", "trace_id", "created_at", "producer")
    return {name: getattr(proven, name) for name in heads}


@given(spoilt, st.integers(0, 3))
def test_what_the_typed_decoding_takes_the_models_take_with_the_same_facts(
    changes: list[tuple[tuple[str, ...], bool, JsonValue]], form: int
) -> None:
    message = changed(changes)

    typed = decode_usage(written(message, form))

    if typed is not None:
        model = PROVE(message)
        assert facts_of(typed) == facts_of(model)
        assert isinstance(model.payload, SessionUsage)
        assert typed.payload == usage_from_2(model.payload)
        assert typed.payload_hash == payload_hash(message["payload"])


@pytest.mark.parametrize("form", range(4))
@pytest.mark.parametrize("payload", [usage(), usage(model="two  words", cost_usd=None), usage(input_tokens=0)])
def test_a_message_in_order_takes_the_quick_way(form: int, payload: dict[str, Any]) -> None:
    """Otherwise the property above would hold for a decoding that takes nothing."""
    payload |= NO_COST if payload["cost_usd"] is None else {}
    assert decode_usage(written(envelope(payload, producer="Ada L."), form)) is not None


TWICE = [
    ('"status":"ok"', '"status":"ok","status":"ok"'),
    ('"status":"ok"', '"status":"error","status":"ok"'),
    ('"message_id":"planner-7:000123"', '"message_id":"m","message_id":"planner-7:000123"'),
    ('"source":"derived"', '"source":"derived","source":"derived"'),
    ('"kind":"session.usage"', '"kind":"session.usage","kind":"session.usage"'),
]
OTHER_SPELLINGS = [
    ('"ok"', '"\\u006fk"'),
    ("1200", "1200.0"),
    ("1200", "12e2"),
    ("1200", "-0"),
    ('"envelope_version":2', '"envelope_version":2.0'),
    ('"envelope_version":2', '"envelope_version":true'),
    ("planner-7:000123", "planner-7:000123\\n"),
]


@pytest.mark.parametrize(("found", "written_instead"), TWICE + OTHER_SPELLINGS)
@pytest.mark.parametrize("blank", ["", " ", "\n\t"])
def test_a_key_that_stands_twice_and_other_spellings_are_left_to_the_strict_reading(
    found: str, written_instead: str, blank: str
) -> None:
    text = orjson.dumps(envelope(usage())).decode()
    assert found in text
    body = text.replace(found, written_instead, 1).replace(",", "," + blank).encode()

    assert decode_usage(body) is None


@given(st.binary(max_size=40), st.integers(0, 400), st.integers(0, 40))
def test_bytes_changed_anywhere_are_taken_as_the_strict_reading_takes_them(piece: bytes, at: int, gone: int) -> None:
    body = orjson.dumps(envelope(usage()))
    spoilt_body = body[:at] + piece + body[at + gone :]

    typed = decode_usage(spoilt_body)

    if typed is not None:
        message = parse(spoilt_body)
        assert isinstance(message, dict)
        assert facts_of(typed) == facts_of(PROVE(message))
        assert typed.payload_hash == payload_hash(message["payload"])


NO_COST: dict[str, Any] = {
    "provenance": {
        "tokens": {"source": "provider_reported", "confidence": "high"},
        "runtime": {"source": "derived", "confidence": "medium"},
        "cost": {"source": "missing", "confidence": "unknown"},
    }
}
