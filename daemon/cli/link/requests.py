"""Asking the daemon: one request, one reply."""

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError
from nats.errors import TimeoutError as NatsTimeoutError

from contracts.envelope import CURRENT_ENVELOPE
from contracts.errors import JsonObject, JsonValue
from contracts.values.times import format_micros
from daemon.cli.link.link import Link, NotPermitted, Unreachable

PRODUCER: Final = "headgate-cli"
_SCHEMA_VERSION: Final = "1.0"
_FIRST_ERROR: Final = 400


class Unanswered(Exception):
    """No usable reply came; the message is one line for the operator."""


class NobodyListens(Unanswered):
    """No daemon has the command."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply: its status, and a result or an error (health-check has a result with an error's status)."""

    status: int
    result: JsonValue
    error: JsonObject | None
    replayed: bool

    @property
    def is_good(self) -> bool:
        return self.status < _FIRST_ERROR and self.error is None


async def ask(
    link: Link, subject: str, kind: str, payload: Mapping[str, JsonValue], *, token: str | None, timeout_s: float
) -> Answer:
    """Send one command and wait for its reply. Raises :class:`Unanswered`."""
    body = orjson.dumps(
        {
            "envelope_version": CURRENT_ENVELOPE,
            "kind": kind,
            "schema_version": _SCHEMA_VERSION,
            "message_id": str(uuid.uuid4()),
            "trace_id": str(uuid.uuid4()),
            "created_at": format_micros(time.time_ns() // 1_000),
            "producer": PRODUCER,
            "payload": dict(payload),
        }
    )
    headers = None if token is None else {"Authorization": f"Bearer {token}"}
    try:
        client = await link.client()
        message = await link.permitted(client.request(subject, body, timeout=timeout_s, headers=headers))
    except (Unreachable, NotPermitted) as error:
        raise Unanswered(str(error)) from None
    except NoRespondersError:
        raise NobodyListens(f"no daemon answers at {subject}") from None
    except NatsTimeoutError:
        raise Unanswered(f"no answer at {subject} within {timeout_s:g} s") from None
    except NatsError as error:
        raise Unanswered(f"asking at {subject} failed: {error}") from None
    return _read(message.data)


def _read(body: bytes) -> Answer:
    try:
        payload = orjson.loads(body)["payload"]
        return Answer(payload["status"], payload.get("result"), payload.get("error"), payload.get("replayed", False))
    except (ValueError, KeyError, TypeError, AttributeError):
        raise Unanswered("the answer is not one of this version's daemon") from None
