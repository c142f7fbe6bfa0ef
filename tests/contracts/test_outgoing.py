"""What the daemon says: receipts, replies and dead letters keep to the contracts that they are documented with."""

import base64
from typing import Final

import orjson
import pytest

from contracts import outgoing
from contracts.errors import Detail, ErrorCode, Problem, problem
from contracts.gate.delivery import Delivery
from contracts.gate.receipts import may_receive, receipt_subject
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from contracts.subjects import Family
from tests.contracts.samples import STORED_AT, TRACE, Json, delivery, envelope, judge, usage

ID: Final = "0190f5a4-1111-7222-8333-123456789abc"
LETTER: Final = "0190f5a4-2222-7222-8333-123456789abc"
RULES: Final = GateRules()


def proven(body: bytes, kind: str, family: Family | None = None) -> Json:
    """Read back a message of ours through its own contract; answers the raw envelope."""
    contract = REGISTRY.contract(kind, family)
    assert contract is not None
    value = orjson.loads(body)
    contract.schemas["1.0"].prove_2(value)
    return value


def buried(asked: Delivery, why: Problem, most_bytes: int = 1_000_000) -> Json:
    body = outgoing.dead_letter(
        LETTER,
        why,
        asked,
        subject="hg.ingest.session.usage",
        most_bytes=most_bytes,
        message_id=ID,
        trace_id=TRACE,
        now=STORED_AT,
    )
    assert len(body) <= most_bytes
    return proven(body, "dead_letter", Family.DEAD)["payload"]


WHY: Final = problem(ErrorCode.VALIDATION_ERROR, "1 field is invalid", [Detail("", "json_invalid", "no")])


def test_a_receipt_tells_what_became_of_the_message() -> None:
    body = outgoing.receipt(
        judge(envelope(usage())),
        subject="hg.ingest.session.usage",
        status=201,
        outcome="accepted",
        error=None,
        message_id=ID,
        trace_id=TRACE,
        now=STORED_AT,
    )

    message = proven(body, "receipt")
    assert message == {
        "envelope_version": 2,
        "kind": "receipt",
        "schema_version": "1.0",
        "message_id": ID,
        "trace_id": TRACE,
        "created_at": "2026-11-20T10:15:30.500000Z",
        "producer": "headgate",
        "payload": {
            "message_id": "planner-7:000123",
            "subject": "hg.ingest.session.usage",
            "stream_sequence": 7,
            "status": 201,
            "outcome": "accepted",
        },
    }


def test_a_receipt_of_a_refusal_carries_the_error() -> None:
    body = outgoing.receipt(
        judge(b"nothing"),
        subject="hg.ingest.session.usage",
        status=400,
        outcome="refused",
        error=WHY.as_json(),
        message_id=ID,
        trace_id=outgoing.trace_or(None, ID),
        now=STORED_AT,
    )

    message = proven(body, "receipt")
    assert message["trace_id"] == ID
    assert message["payload"]["message_id"] is None
    assert message["payload"]["error"] == WHY.as_json()


def test_a_reply_holds_a_result_or_an_error_under_the_trace_of_the_request() -> None:
    done = outgoing.reply(
        status=200, result={"a": 1}, error=None, replayed=True, message_id=ID, trace_id=TRACE, now=STORED_AT
    )
    failed = outgoing.reply(
        status=409, result=None, error=WHY, replayed=False, message_id=ID, trace_id=TRACE, now=STORED_AT
    )
    untraced = outgoing.reply(
        status=400, result=None, error=WHY, replayed=False, message_id=ID, trace_id=ID, now=STORED_AT
    )

    assert proven(done, "reply")["payload"] == {"status": 200, "result": {"a": 1}, "replayed": True}
    assert proven(failed, "reply")["payload"] == {"status": 409, "error": WHY.traced(TRACE).as_json()}
    assert proven(untraced, "reply")["payload"]["error"]["trace_id"] is None


@pytest.mark.parametrize("raw", [b"", b"{}", "é\u0000\n".encode()])
def test_a_dead_letter_carries_the_body_as_it_came(raw: bytes) -> None:
    payload = buried(delivery(raw, headers={"webhook-id": "e1"}), WHY)

    assert (payload["body"].encode(), payload["body_encoding"]) == (raw, "utf-8")
    assert payload["error"] == WHY.as_json()
    assert payload["origin"] == {
        "stream": "HG_INGEST",
        "subject": "hg.ingest.session.usage",
        "sequence": 7,
        "delivered": 1,
        "received_at": "2026-11-20T10:15:30.500000Z",
        "headers": {"webhook-id": "e1"},
    }


def test_a_dead_letter_that_is_no_utf_8_is_carried_in_base64() -> None:
    payload = buried(delivery(b"\xff\x00"), WHY)

    assert (base64.b64decode(payload["body"]), payload["body_encoding"]) == (b"\xff\x00", "base64")


def test_a_dead_letter_too_large_to_send_says_that_it_is_stored() -> None:
    payload = buried(delivery(b"x" * 2000), WHY, most_bytes=1500)

    assert (payload["body"], payload["body_encoding"]) == (None, "stored")


def test_headers_too_large_to_send_are_left_out() -> None:
    payload = buried(delivery(b"x", headers={"a": "\x01" * 2000}), WHY, most_bytes=1500)

    assert (payload["body_encoding"], payload["origin"]["headers"]) == ("stored", {})


def test_secrets_in_headers_are_never_shown_and_credentials_never_stored() -> None:
    headers = {"AUTHORIZATION": "Bearer x", "Webhook-Signature": "v1,x", "webhook-id": "e1"}

    assert outgoing.shown(headers) == {
        "AUTHORIZATION": "redacted",
        "Webhook-Signature": "redacted",
        "webhook-id": "e1",
    }
    assert outgoing.storable(headers) == {"Webhook-Signature": "v1,x", "webhook-id": "e1"}


@pytest.mark.parametrize("subject", ["_INBOX.a", "_INBOX.a.b", "_INBOX.é"])
def test_receipts_go_to_literal_subjects_under_an_allowed_prefix(subject: str) -> None:
    assert receipt_subject({"Headgate-Receipt": subject}, RULES) == subject


def test_without_the_header_nobody_asked() -> None:
    assert receipt_subject({}, RULES) is None


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "_INBOX",
        "_INBOX.",
        "_INBOX..a",
        "_INBOX.a.",
        "_INBOX.*",
        "_INBOX.a.>",
        "_INBOX.a b",
        "_INBOX.a\tb",
        "_INBOX.a\r\nPUB x",
        "_INBOX.\u00a0",
        "_INBOX." + "a" * 1100,
        "other.a",
        "hg.ingest.x",
        "$JS.API.STREAM.DELETE.HG_WORK",
    ],
)
def test_receipts_go_nowhere_else(subject: str) -> None:
    assert isinstance(receipt_subject({"Headgate-Receipt": subject}, RULES), Problem)


def test_our_own_and_the_server_s_subjects_are_closed_even_under_an_allowed_prefix() -> None:
    rules = GateRules(prefix="hg", reply_prefixes=("",))

    assert may_receive("anything.else", rules)
    assert may_receive("hgx.y", rules)
    assert not any(may_receive(subject, rules) for subject in ("hg", "hg.work.x", "$SYS.x", "$JS.x"))
