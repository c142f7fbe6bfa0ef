"""Signatures of callbacks, as in the Standard Webhooks specification.

The signed content is ``<webhook-id>.<webhook-timestamp>.<body>``; ``webhook-signature`` has a space-separated
``v1,<base64 of HMAC-SHA256>`` for each secret of the sender, so that secrets change without a gap on either side.
A dot in an id could shift the border between id and timestamp: :func:`matching_event` closes that by demanding that the
id be the ``event_id`` inside the signed body.

The specification's own package signs. It does not check: it judges timestamps by the clock at work, and here a message
may wait out an outage in its stream, so they are judged by the moment at which the stream stored it.
"""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from standardwebhooks import Webhook

from contracts.errors import Detail, ErrorCode, Problem, problem
from contracts.gate.delivery import Delivery
from contracts.values.times import MICROS_PER_SECOND

ID_HEADER: Final = "webhook-id"
TIMESTAMP_HEADER: Final = "webhook-timestamp"
SIGNATURE_HEADER: Final = "webhook-signature"
WEBHOOK_HEADERS: Final = (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)

_SECRET_PREFIX: Final = "whsec_"  # noqa: S105 - what a secret begins with is no secret
_SECRET_BYTES: Final = range(24, 65)
_VERSION: Final = b"v1,"
_UNIX_SECONDS: Final = re.compile("[0-9]{1,12}")
# Senders sign with the secrets they have: a handful. A longer list is only work for us.
_MOST_SIGNATURES: Final = 64


class NotASecret(ValueError):
    """The text is no ``whsec_`` secret; the message never repeats it."""


def read_secret(text: str) -> bytes:
    """The key in ``whsec_`` + base64 of 24 to 64 bytes, padded or not; raises :class:`NotASecret`."""
    encoded = text.removeprefix(_SECRET_PREFIX)
    if encoded == text:
        raise NotASecret("a callback secret should begin with whsec_")
    try:
        key = base64.b64decode(encoded.rstrip("=") + "=" * (-len(encoded.rstrip("=")) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise NotASecret("a callback secret should be whsec_ and base64") from None
    if len(key) not in _SECRET_BYTES:
        raise NotASecret("a callback secret should have 24 to 64 bytes")
    return key


def signed_headers(secrets: Sequence[str], event_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """The headers with which a sender signs *body*; ``timestamp`` in seconds since the epoch.

    Raises :class:`NotASecret` for a secret that is none.
    """
    at, text = datetime.fromtimestamp(timestamp, UTC), body.decode()
    signatures = [Webhook(read_secret(secret)).sign(event_id, at, text) for secret in secrets]
    return {ID_HEADER: event_id, TIMESTAMP_HEADER: str(timestamp), SIGNATURE_HEADER: " ".join(signatures)}


class WebhookVerifier:
    """Checks signatures against every secret in force.

    ``tolerance_s`` is how far ``webhook-timestamp`` may lie from the moment the message was stored, either way. Raises
    :class:`NotASecret` where one of the secrets is none, ``ValueError`` where there are none at all.
    """

    def __init__(self, secrets: Sequence[str], tolerance_s: int = 300) -> None:
        if not secrets:
            raise ValueError("at least one callback secret is needed")
        self._keys: Final = tuple(read_secret(secret) for secret in secrets)
        self._tolerance: Final = tolerance_s * MICROS_PER_SECOND

    def verify(self, headers: Mapping[str, str], body: bytes, stored_at: int) -> Problem | None:
        """None where the body is signed; ``stored_at`` is when it first arrived, in microseconds since the epoch."""
        webhook_id = _header(headers, ID_HEADER)
        timestamp = _header(headers, TIMESTAMP_HEADER)
        signatures = _all_values(headers, SIGNATURE_HEADER)
        if not webhook_id or not timestamp or not signatures:
            return _UNSIGNED
        if _UNIX_SECONDS.fullmatch(timestamp) is None:
            return _BAD_TIMESTAMP
        if abs(int(timestamp) * MICROS_PER_SECOND - stored_at) > self._tolerance:
            return _OUTSIDE_TOLERANCE
        content = _content(webhook_id, timestamp, body)
        return None if self._any_matches(content, signatures) else _NO_MATCH

    def screen(self, delivery: Delivery) -> Problem | None:
        """:meth:`verify` for a message of the stream, before anything in it is read."""
        return self.verify(delivery.headers, delivery.body, delivery.stored_at)

    def _any_matches(self, content: bytes, signatures: str) -> bool:
        """Every pair is compared, in constant time each: how long it takes tells nothing of what matched."""
        given = signatures.encode(errors="replace").split(b" ", _MOST_SIGNATURES)
        if len(given) > _MOST_SIGNATURES:
            return False
        expected = [_VERSION + _signature(key, content) for key in self._keys]
        matches = [hmac.compare_digest(ours, theirs) for ours in expected for theirs in given]
        return any(matches)


def matching_event(headers: Mapping[str, str], event_id: str) -> Problem | None:
    """None where the signed id is the ``event_id`` in the body."""
    return None if _header(headers, ID_HEADER) == event_id else _OTHER_EVENT


def event_hash(subject_id: str, payload_hash: str) -> str:
    """What an event is known by: its payload *and* the id in its subject, so that a copy on another's is a mismatch."""
    return hashlib.sha256(f"{subject_id}\n{payload_hash}".encode()).hexdigest()


def _content(webhook_id: str, timestamp: str, body: bytes) -> bytes:
    return b"%b.%b.%b" % (webhook_id.encode(errors="replace"), timestamp.encode(), body)


def _signature(key: bytes, content: bytes) -> bytes:
    return base64.b64encode(hmac.digest(key, content, hashlib.sha256))


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """Names as the specification writes them; any other case of letters is looked for only where that is absent."""
    value = headers.get(name)
    if value is not None:
        return value
    return next((headers[known] for known in sorted(headers) if known.lower() == name), None)


def _all_values(headers: Mapping[str, str], name: str) -> str:
    """The values under a name in any case of letters, as one list. (Lines of one name the connection joins.)"""
    if len(headers) <= len(WEBHOOK_HEADERS) and name in headers:
        return headers[name]
    return " ".join(headers[known] for known in sorted(headers) if known.lower() == name)


def _refusal(header: str, code: str, message: str) -> Problem:
    return problem(ErrorCode.CALLBACK_SIGNATURE_INVALID, message, [Detail(f"headers.{header}", code, message)])


_UNSIGNED: Final = problem(
    ErrorCode.CALLBACK_SIGNATURE_INVALID, "a callback should have webhook-id, webhook-timestamp and webhook-signature"
)
_BAD_TIMESTAMP: Final = _refusal(
    TIMESTAMP_HEADER, "timestamp_invalid", "webhook-timestamp should be whole seconds since the epoch"
)
_OUTSIDE_TOLERANCE: Final = _refusal(
    TIMESTAMP_HEADER, "timestamp_outside_tolerance", "webhook-timestamp is too far from when the message arrived"
)
_NO_MATCH: Final = _refusal(SIGNATURE_HEADER, "signature_mismatch", "no signature matches the body")
_OTHER_EVENT: Final = _refusal(ID_HEADER, "event_id_mismatch", "webhook-id should be the event_id of the payload")
