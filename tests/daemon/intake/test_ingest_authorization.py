"""Ingest with tokens: producers speak in their own name, judged as of the moment their message was stored."""

import jwt
import orjson
import pytest

from adapters.tokens import TokenAuthenticator, TokenKeys
from contracts.errors import ErrorCode
from contracts.gate.delivery import Accepted, Delivery, Refused
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from daemon.intake.ingest_authorization import IngestAuthorization
from tests.contracts.samples import STORED_AT, envelope, usage

SECRET = "a secret of at least thirty-two bytes"
STORED_S = STORED_AT // 1_000_000
VERSION_1 = ("schema_version", "trace_id", "created_at", "payload")
GUARD = IngestAuthorization(Gate(REGISTRY, GateRules()), TokenAuthenticator(TokenKeys((SECRET,))))


def token(**claims: object) -> dict[str, str]:
    stated = {"sub": "planner-7", "scope": "ingest:write", "exp": STORED_S + 60, **claims}
    return {"Authorization": f"Bearer {jwt.encode(stated, SECRET, algorithm='HS256')}"}


def delivery(headers: dict[str, str], body: bytes | None = None) -> Delivery:
    message = orjson.dumps(envelope(usage())) if body is None else body
    return Delivery("ingest.session.usage", message, headers, "HG_INGEST", 7, 1, STORED_AT, "$JS.ACK.7")


def test_a_producer_with_its_own_token_is_taken_as_of_the_moment_of_storing() -> None:
    """The token ran out long before or after this test runs: only the stream's moment counts."""
    assert isinstance(GUARD.judge(delivery(token())), Accepted)


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({}, ErrorCode.UNAUTHENTICATED),
        ({"Authorization": "Bearer nonsense"}, ErrorCode.UNAUTHENTICATED),
        (token(exp=STORED_S - 60), ErrorCode.UNAUTHENTICATED),
        (token(nbf=STORED_S + 60), ErrorCode.UNAUTHENTICATED),
        (token(sub="somebody-else"), ErrorCode.FORBIDDEN),
        (token(scope="jobs:write ops:write"), ErrorCode.FORBIDDEN),
    ],
)
def test_anybody_else_is_refused_under_the_trace_of_the_message(headers: dict[str, str], code: ErrorCode) -> None:
    judged = GUARD.judge(delivery(headers))

    assert isinstance(judged, Refused)
    assert judged.problem.code is code
    assert judged.problem.trace_id == envelope(usage())["trace_id"]
    assert judged.message_id == "planner-7:000123"


def test_what_the_gate_refuses_keeps_the_reason_of_the_gate() -> None:
    judged = GUARD.judge(delivery({}, b"{"))

    assert isinstance(judged, Refused)
    assert judged.problem.code is ErrorCode.VALIDATION_ERROR


def test_a_message_that_names_no_producer_is_its_tokens() -> None:
    older = {name: value for name, value in envelope(usage()).items() if name in VERSION_1} | {"envelope_version": 1}

    judged = GUARD.judge(delivery(token(), orjson.dumps(older)))

    assert isinstance(judged, Accepted)
    assert judged.producer == "planner-7"


def test_a_token_without_the_scope_vouches_for_nobody() -> None:
    older = {name: value for name, value in envelope(usage()).items() if name in VERSION_1} | {"envelope_version": 1}

    judged = GUARD.judge(delivery(token(scope="jobs:write"), orjson.dumps(older)))

    assert isinstance(judged, Refused)
    assert judged.problem.code is ErrorCode.FORBIDDEN
