"""Callbacks that are replayed: an unedited one is checked as of its first arrival, an edited one by nobody."""

import orjson
import pytest

from contracts.gate.callback_checks import CallbackChecks
from contracts.gate.delivery import Accepted, Delivery, Lineage, Refused
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.gate.webhooks import WebhookVerifier, signed_headers
from contracts.registry import REGISTRY
from contracts.subjects import Family
from tests.contracts.samples import STORED_AT, envelope

SECRET = "whsec_" + "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0"
CHECKS = CallbackChecks(WebhookVerifier([SECRET]))
GATE = Gate(REGISTRY, GateRules(), {Family.CALLBACK: CHECKS.screen}, {Family.CALLBACK: CHECKS.finish})
BODY = orjson.dumps(
    envelope(
        {"event_id": "e-1", "sentiment": {"label": "neutral", "score": 0.5}},
        "item.result",
        "1.0",
        message_id="e-1",
        producer="worker-1",
    )
)
SIGNED = signed_headers([SECRET], "e-1", STORED_AT // 1_000_000, BODY)


def arrived(body: bytes, *, edited: bool | None, headers: dict[str, str], stored_at: int = STORED_AT) -> Delivery:
    lineage = None if edited is None else Lineage("letter", 1, "run", edited)
    return Delivery("callback.item.item-1", body, headers, "HG_CALLBACK", 1, 1, stored_at, "", lineage)


@pytest.mark.parametrize("edited", [None, False, True])
def test_a_signed_callback_is_taken_whichever_way_it_comes(edited: bool | None) -> None:
    assert isinstance(GATE.judge(arrived(BODY, edited=edited, headers=SIGNED)), Accepted)


@pytest.mark.parametrize("edited", [None, False])
@pytest.mark.parametrize("headers", [{}, {**SIGNED, "webhook-id": "e-2"}, {**SIGNED, "webhook-timestamp": "1"}])
def test_a_replay_that_nobody_edited_needs_its_signature(edited: bool | None, headers: dict[str, str]) -> None:
    judged = GATE.judge(arrived(BODY, edited=edited, headers=headers))

    assert isinstance(judged, Refused)
    assert judged.problem.code == "CALLBACK_SIGNATURE_INVALID"


def test_the_tolerance_counts_from_the_first_arrival() -> None:
    """However late the replay: ``stored_at`` is when the message first came."""
    late = STORED_AT + 301 * 1_000_000

    assert isinstance(GATE.judge(arrived(BODY, edited=False, headers=SIGNED)), Accepted)
    assert isinstance(GATE.judge(arrived(BODY, edited=False, headers=SIGNED, stored_at=late)), Refused)


@pytest.mark.parametrize("headers", [{}, SIGNED, {**SIGNED, "webhook-id": "e-2"}])
def test_an_edited_body_is_taken_without_a_signature(headers: dict[str, str]) -> None:
    mended = BODY.replace(b"neutral", b"positive").replace(b'"event_id":"e-1"', b'"event_id":"e-9"')

    assert isinstance(GATE.judge(arrived(mended, edited=True, headers=headers)), Accepted)
    assert isinstance(GATE.judge(arrived(mended, edited=False, headers=headers)), Refused)


def test_an_edited_body_still_has_to_keep_the_contract() -> None:
    judged = GATE.judge(arrived(BODY.replace(b"neutral", b"delighted"), edited=True, headers={}))

    assert isinstance(judged, Refused)
    assert judged.problem.code == "VALIDATION_ERROR"
