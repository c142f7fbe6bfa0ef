"""What the payload models of sessions hold beyond single fields."""

import pytest

from contracts.payloads.ingest.session import SessionEvent, SessionUsage
from tests.contracts.samples import Json, accepted, envelope, event, event_envelope, judge, only, usage, where, without

MISSING: Json = {"source": "missing", "confidence": "unknown"}
REPORTED: Json = {"source": "provider_reported", "confidence": "high"}


def provenance(**parts: Json) -> dict[str, Json]:
    return {"tokens": REPORTED, "runtime": REPORTED, "cost": REPORTED, **parts}


def test_a_cost_without_a_pricing_version_is_refused_at_the_pricing_version() -> None:
    for payload in (without(usage(), "pricing_version"), usage(pricing_version=None)):
        detail = only(judge(envelope(payload)))
        assert (detail.path, detail.code) == ("payload.pricing_version", "cost_unpriced")


def test_a_cost_without_a_source_is_refused_there_and_at_the_pricing_version() -> None:
    assert where(judge(envelope(usage(provenance=provenance(cost=MISSING))))) == {
        ("payload.provenance.cost.source", "figure_present"),
        ("payload.pricing_version", "cost_unpriced"),
    }
    assert where(judge(envelope(usage(provenance=without(provenance(), "cost"))))) == {
        ("payload.provenance.cost", "missing"),
        ("payload.pricing_version", "cost_unpriced"),
    }


@pytest.mark.parametrize("part", ["tokens", "runtime", "cost"])
def test_every_part_of_the_provenance_is_required_with_source_and_confidence(part: str) -> None:
    whole = usage()
    lacking = {name: without(value, "confidence") if name == part else value for name, value in provenance().items()}

    assert (f"payload.provenance.{part}", "missing") in where(
        judge(envelope(whole | {"provenance": without(provenance(), part)}))
    )
    assert where(judge(envelope(whole | {"provenance": lacking}))) == {
        (f"payload.provenance.{part}.confidence", "missing")
    }
    assert ("payload.provenance", "missing") in where(judge(envelope(without(whole, "provenance"))))


@pytest.mark.parametrize(
    ("part", "figures"),
    [("tokens", ["input_tokens", "output_tokens"]), ("runtime", ["runtime_ms"]), ("cost", ["cost_usd"])],
)
def test_a_source_is_missing_exactly_where_its_figure_is_absent(part: str, figures: list[str]) -> None:
    absent = without(usage(), *figures)

    assert where(judge(envelope(absent))) == {(f"payload.provenance.{part}.source", "figure_absent")}
    accepted(judge(envelope(absent | {"provenance": provenance(**{part: MISSING})})))
    assert (f"payload.provenance.{part}.source", "figure_present") in where(
        judge(envelope(usage(provenance=provenance(**{part: MISSING}))))
    )


@pytest.mark.parametrize("known", ["input_tokens", "output_tokens"])
def test_of_two_token_counts_one_may_be_unknown_and_the_figure_is_still_there(known: str) -> None:
    other = ({"input_tokens", "output_tokens"} - {known}).pop()
    payload = without(usage(), other)

    accepted(judge(envelope(payload)))
    assert where(judge(envelope(payload | {"provenance": provenance(tokens=MISSING)}))) == {
        ("payload.provenance.tokens.source", "figure_present")
    }


def test_rules_across_fields_are_told_together_with_violations_of_single_fields() -> None:
    payload = usage(pricing_version=None, input_tokens="many", unknown=1)

    assert where(judge(envelope(payload))) == {
        ("payload.input_tokens", "int_type"),
        ("payload.pricing_version", "cost_unpriced"),
        ("payload.unknown", "extra_forbidden"),
    }


def test_a_word_that_is_no_source_is_one_violation_only() -> None:
    payload = usage(provenance=provenance(tokens={"source": "guessed", "confidence": "high"}))

    assert where(judge(envelope(payload))) == {("payload.provenance.tokens.source", "enum")}


def test_unknown_fields_inside_the_provenance_are_refused_as_anywhere() -> None:
    payload = usage(provenance=provenance(tokens={**REPORTED, "by": "x"}))

    assert where(judge(envelope(payload))) == {("payload.provenance.tokens.by", "extra_forbidden")}


def test_payloads_cannot_be_changed() -> None:
    quick = accepted(judge(envelope(usage()))).payload
    with pytest.raises(AttributeError, match="immutable"):
        quick.status = "error"  # type: ignore[union-attr,misc]  # what the test is about

    model = SessionUsage.model_validate(usage())
    with pytest.raises(ValueError, match="frozen"):
        model.status = model.status  # type: ignore[misc]  # what the test is about


def test_text_is_measured_in_bytes() -> None:
    fits = event(text="é" * 32_768)

    accepted(judge(event_envelope(fits), "session.event"))
    detail = only(judge(event_envelope(event(text="é" * 32_769)), "session.event"))
    assert (detail.path, detail.code) == ("payload.text", "text_too_long")


def test_data_is_measured_in_its_canonical_form() -> None:
    around = len('{"k":""}')

    accepted(judge(event_envelope(event(data={"k": "x" * (16_384 - around)})), "session.event"))
    detail = only(judge(event_envelope(event(data={"k": "x" * (16_385 - around)})), "session.event"))
    assert (detail.path, detail.code) == ("payload.data", "data_too_long")


@pytest.mark.parametrize("data", [[], "x", 1, True])
def test_data_is_an_object(data: Json) -> None:
    detail = only(judge(event_envelope(event(data=data)), "session.event"))

    assert (detail.path, detail.code) == ("payload.data", "dict_type")


def test_data_is_kept_as_it_came() -> None:
    data = {"big": 2**64 - 1, "small": -(2**63), "float": 0.1, "null": None, "": {"\u0000": ["\u0000"]}}

    got = accepted(judge(event_envelope(event(data=data)), "session.event")).payload

    assert isinstance(got, SessionEvent)
    assert got.data == data
