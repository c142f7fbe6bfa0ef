"""The quick proof of session.usage 2.0 against the models, which are the authority."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import JsonValue
from contracts.gate.session_quick import QuickEnvelope, prove_usage
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


def facts(proven: Any) -> dict[str, Any]:
    """All that handlers read of a proven envelope."""
    payload = proven.payload
    heads = ("message_id", "trace_id", "created_at", "producer", "schema_version", "envelope_version")
    names = (
        *("session_id", "agent", "model", "at", "status", "input_tokens", "output_tokens", "runtime_ms"),
        *("cost_usd_micros", "pricing_version"),
    )
    return (
        {name: getattr(proven, name) for name in heads}
        | {name: getattr(payload, name) for name in names}
        | {
            f"{part}.{word}": str(getattr(getattr(payload.provenance, part), word))
            for part in PARTS
            for word in ("source", "confidence")
        }
    )


@given(spoilt)
def test_what_the_quick_proof_takes_the_models_take_with_the_same_facts(
    changes: list[tuple[tuple[str, ...], bool, JsonValue]],
) -> None:
    message = changed(changes)

    quick = prove_usage(message)

    if quick is not None:
        assert facts(quick) == facts(PROVE(message))


def test_a_message_in_order_takes_the_quick_way() -> None:
    """Otherwise the property above would hold for a proof that takes nothing."""
    assert isinstance(prove_usage(envelope(usage())), QuickEnvelope)
    assert isinstance(prove_usage(envelope(usage(cost_usd=None, pricing_version=None) | NO_COST)), QuickEnvelope)


NO_COST: dict[str, Any] = {
    "provenance": {
        "tokens": {"source": "provider_reported", "confidence": "high"},
        "runtime": {"source": "derived", "confidence": "medium"},
        "cost": {"source": "missing", "confidence": "unknown"},
    }
}
