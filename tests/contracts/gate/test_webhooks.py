"""Callback signatures: the specification's vectors, its package as the sender, and everything that must not pass."""

import base64
import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from standardwebhooks import Webhook

from contracts.errors import ErrorCode, Problem
from contracts.gate.delivery import Delivery
from contracts.gate.webhooks import NotASecret, WebhookVerifier, event_hash, matching_event, read_secret, signed_headers

# Published with the specification's reference libraries: key, id, time, body and the signature they give.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
EVENT_ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIMESTAMP = 1614265330
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
# Published as one that does not match.
OTHER_SIGNATURE = "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc="

STORED_AT = TIMESTAMP * 1_000_000
OTHER_SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
HEADERS = {"webhook-id": EVENT_ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": SIGNATURE}


def verify(
    changes: dict[str, str | None] | None = None,
    *,
    body: bytes = BODY,
    secrets: tuple[str, ...] = (SECRET,),
    stored_at: int = STORED_AT,
) -> Problem | None:
    headers = {name: value for name, value in {**HEADERS, **(changes or {})}.items() if value is not None}
    return WebhookVerifier(secrets).verify(headers, body, stored_at)


def refused(verdict: Problem | None) -> Problem:
    assert verdict is not None
    assert verdict.code is ErrorCode.CALLBACK_SIGNATURE_INVALID
    assert verdict.status == 401
    return verdict


def test_the_published_vector_is_verified_and_reproduced() -> None:
    assert verify() is None
    assert signed_headers([SECRET], EVENT_ID, TIMESTAMP, BODY) == HEADERS


def test_what_the_specifications_package_signs_is_verified() -> None:
    body = json.dumps({"a": "snowman ☃"}).encode()
    signature = Webhook(OTHER_SECRET).sign(EVENT_ID, datetime.fromtimestamp(TIMESTAMP, UTC), body.decode())
    assert verify({"webhook-signature": signature}, body=body, secrets=(OTHER_SECRET,)) is None


@given(st.binary(min_size=24, max_size=64), st.text(max_size=200), st.from_regex(r"\A[A-Za-z0-9._:-]{1,200}\Z"))
def test_the_package_and_we_sign_alike(key: bytes, text: str, event_id: str) -> None:
    secret = "whsec_" + base64.b64encode(key).decode()
    theirs = Webhook(secret).sign(event_id, datetime.fromtimestamp(TIMESTAMP, UTC), text)
    assert signed_headers([secret], event_id, TIMESTAMP, text.encode())["webhook-signature"] == theirs


def test_one_match_in_a_list_of_signatures_is_enough() -> None:
    listed = f"{OTHER_SIGNATURE} v2,{OTHER_SIGNATURE[3:]} v1a,AAAA {SIGNATURE} {OTHER_SIGNATURE}"
    assert verify({"webhook-signature": listed}) is None


def test_secrets_are_changed_without_a_gap_on_either_side() -> None:
    both = signed_headers([OTHER_SECRET, SECRET], EVENT_ID, TIMESTAMP, BODY)
    old_sender, new_sender = HEADERS, signed_headers([OTHER_SECRET], EVENT_ID, TIMESTAMP, BODY)
    receivers = [WebhookVerifier([SECRET]), WebhookVerifier([OTHER_SECRET]), WebhookVerifier([OTHER_SECRET, SECRET])]
    assert [receiver.verify(both, BODY, STORED_AT) for receiver in receivers] == [None, None, None]
    assert receivers[2].verify(old_sender, BODY, STORED_AT) is None
    assert receivers[2].verify(new_sender, BODY, STORED_AT) is None
    refused(receivers[1].verify(old_sender, BODY, STORED_AT))


@pytest.mark.parametrize("header", sorted(HEADERS))
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_header_is_refused(header: str, value: str | None) -> None:
    refused(verify({header: value}))


@pytest.mark.parametrize(
    "signature",
    [
        OTHER_SIGNATURE,
        SIGNATURE[:8],
        SIGNATURE[3:],
        "v1,",
        "v1",
        ",",
        " ",
        "v2" + SIGNATURE[2:],
        "V1" + SIGNATURE[2:],
        SIGNATURE.replace(",", " "),
        SIGNATURE + "\n",
        SIGNATURE.rstrip("="),
        "v1,dawfeoifkpqwoekfpqoekf",
        "v1,ⅷ",
        "v1,\udcff",
        " ".join([OTHER_SIGNATURE] * 64 + [SIGNATURE]),
    ],
)
def test_a_signature_that_is_not_exactly_ours_is_refused(signature: str) -> None:
    assert refused(verify({"webhook-signature": signature})).details[0].path == "headers.webhook-signature"


@pytest.mark.parametrize(
    "change",
    [
        lambda: verify(body=BODY + b" "),
        lambda: verify(body=BODY.replace(b"2432232314", b"2432232315")),
        lambda: verify({"webhook-id": EVENT_ID + "x"}),
        lambda: verify({"webhook-timestamp": str(TIMESTAMP + 1)}),
        lambda: verify({"webhook-timestamp": f"0{TIMESTAMP}"}),
        lambda: verify(secrets=(OTHER_SECRET,)),
    ],
)
def test_whatever_is_signed_cannot_be_changed(change: Callable[[], Problem | None]) -> None:
    refused(change())


@pytest.mark.parametrize(
    "timestamp", ["hello", "1614265330.0", "+1614265330", " 1614265330", "1e9", "-1", "١٦١٤", "9" * 13]
)
def test_a_timestamp_is_whole_seconds_in_plain_digits(timestamp: str) -> None:
    assert refused(verify({"webhook-timestamp": timestamp})).details[0].code == "timestamp_invalid"


@pytest.mark.parametrize("away_s", [-300, 300])
def test_the_tolerance_lies_around_the_moment_of_storing(away_s: int) -> None:
    edge = STORED_AT + away_s * 1_000_000
    beyond = edge + (1 if away_s > 0 else -1)
    assert verify(stored_at=edge) is None
    assert refused(verify(stored_at=beyond)).details[0].code == "timestamp_outside_tolerance"


def test_names_of_headers_may_be_written_in_any_case() -> None:
    shouted = {name.title(): value for name, value in HEADERS.items()}
    assert WebhookVerifier([SECRET]).verify(shouted, BODY, STORED_AT) is None
    assert matching_event(shouted, EVENT_ID) is None


def test_a_delivery_is_screened_by_its_own_headers_body_and_time() -> None:
    delivery = Delivery("callback.job.j1", BODY, HEADERS, "HG_CALLBACK", 1, 1, STORED_AT, "")
    assert WebhookVerifier([SECRET]).screen(delivery) is None


def test_the_signed_id_must_be_the_event_id() -> None:
    assert matching_event(HEADERS, EVENT_ID) is None
    assert refused(matching_event(HEADERS, "other")).details[0].path == "headers.webhook-id"
    refused(matching_event({}, EVENT_ID))


def test_a_refusal_never_repeats_what_came() -> None:
    told = json.dumps(refused(verify({"webhook-signature": "v1,hunter2", "webhook-id": "hunter2"})).as_json())
    assert "hunter2" not in told


@pytest.mark.parametrize(
    "text",
    [
        "",
        "whsec_",
        SECRET.removeprefix("whsec_"),
        "whsec_!!!!",
        "whsec_é" + "A" * 40,
        "whsec_" + base64.b64encode(bytes(23)).decode(),
        "whsec_" + base64.b64encode(bytes(65)).decode(),
    ],
)
def test_a_secret_has_its_prefix_and_24_to_64_bytes(text: str) -> None:
    with pytest.raises(NotASecret) as refusal:
        read_secret(text)
    assert len(text) < 10 or text.removeprefix("whsec_") not in str(refusal.value)


@pytest.mark.parametrize("size", [24, 25, 26, 63, 64])
def test_a_secret_may_be_padded_or_not(size: int) -> None:
    key = bytes(range(size))
    padded = "whsec_" + base64.b64encode(key).decode()
    assert read_secret(padded) == read_secret(padded.rstrip("=")) == key


def test_a_verifier_needs_a_secret() -> None:
    with pytest.raises(ValueError, match="at least one"):
        WebhookVerifier([])


def test_the_hash_of_an_event_covers_the_id_in_its_subject() -> None:
    assert event_hash("job-1", "ab") == event_hash("job-1", "ab")
    assert len({event_hash("job-1", "ab"), event_hash("job-2", "ab"), event_hash("job-1", "ac")}) == 3
