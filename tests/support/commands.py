"""Commands as a client sends them: a request, and what the reply says in its body and in its headers."""

import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
from nats.aio.client import Client

from tests.support.records.envelopes import enveloped
from tests.support.results import check_result
from tests.support.waiting import PATIENCE_S

# Answers are JSON of many shapes: their type would only get in the way.
Json = Any

TRACE = "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: ``payload`` of its envelope, and the service headers."""

    raw: bytes
    envelope: Json
    headers: Mapping[str, str]

    @property
    def payload(self) -> Json:
        return self.envelope["payload"]

    @property
    def status(self) -> int:
        return int(self.payload["status"])

    @property
    def result(self) -> Json:
        return self.payload["result"]

    @property
    def error(self) -> Json:
        return self.payload["error"]


def command(name: str, payload: Json, **changes: Json) -> dict[str, Json]:
    """The envelope of a command; *name* is the kind (``ledger.get``)."""
    return enveloped(name, payload, **{"trace_id": TRACE, "created_at": "2026-11-20T10:15:30.123Z", **changes})


async def ask(
    nc: Client,
    subject: str,
    payload: Json = None,
    *,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    timeout_s: float = PATIENCE_S,
    stand_in: bool = False,
) -> Answer:
    """Send a command to *subject* (with prefix; the kind is what follows its family). *body* replaces the envelope; the
    result is not held to the contract where a *stand_in* of the test's answers."""
    kind = subject.split(".", 2)[2]
    raw = orjson.dumps(command(kind, {} if payload is None else payload)) if body is None else body
    reply = await nc.request(subject, raw, timeout=timeout_s, headers=None if headers is None else dict(headers))
    if not stand_in:
        check_result(kind, orjson.loads(reply.data)["payload"])
    return Answer(reply.data, orjson.loads(reply.data), reply.headers or {})


def get(url: str, *, timeout_s: float = PATIENCE_S) -> tuple[int, bytes]:
    """Status and body of an HTTP GET, whatever the status."""
    try:
        with urllib.request.urlopen(url, timeout=timeout_s) as response:
            return response.status, response.read()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read()


def metric(http_url: str, name: str, **labels: str) -> float:
    """The sum of a metric's samples that bear the labels; 0 where there are none."""
    status, text = get(f"{http_url}/metrics")
    assert status == 200
    total = 0.0
    for line in text.decode().splitlines():
        found = re.fullmatch(rf"{name}(?:\{{(.*)\}})? (\S+)", line)
        if found and all(f'{label}="{value}"' in (found[1] or "") for label, value in labels.items()):
            total += float(found[2])
    return total
