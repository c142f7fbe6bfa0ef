"""Plain requests to the JetStream API.

The client library's configuration classes fill in defaults of their own and drop fields that they do not know, so that
reading a stream, changing one field and writing it back would reset what an operator has set. Here what the server said
is sent back as it was.
"""

from collections.abc import Awaitable
from typing import TypeAlias, TypeVar

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.errors import NoRespondersError

from adapters.errors import JetStreamError
from contracts.errors import JsonValue

T = TypeVar("T")

Json: TypeAlias = dict[str, JsonValue]

NOT_FOUND = 404
TIMEOUT_S = 5.0
_SAID_BY_THE_SERVER = "io.nats.jetstream.api."
"""How the ``type`` of every answer of the API begins, refusals included."""
_TRIES = 3


async def api_request(nc: Client, call: str, body: Json | None = None, *, timeout_s: float = TIMEOUT_S) -> Json:
    """Call ``$JS.API.<call>`` and answer its response. Every call may be made twice: what answered first may be no
    server, and then it is.

    Raises :class:`JetStreamError`: with the server's codes where it refused, with code 503 where it did not answer.
    """
    payload = orjson.dumps(body) if body is not None else b""
    for _ in range(_TRIES):
        response = await _request(nc, call, payload, timeout_s)
        if response is not None:
            return response
    raise JetStreamError(call, 503, 0, "the answer is none of the server's")


async def _request(nc: Client, call: str, payload: bytes, timeout_s: float) -> Json | None:
    """One call; None where what came is no answer of the server's."""
    try:
        answer = await nc.request(f"$JS.API.{call}", payload, timeout=timeout_s)
    except NoRespondersError as error:
        raise JetStreamError(call, 503, 0, "JetStream is not available to this account") from error
    except (NatsError, OSError) as error:
        # The connection may break while a request is written: that is the operating system's error, not the library's.
        raise JetStreamError(call, 503, 0, f"no answer: {error}") from error
    response = answered(answer.data)
    if response is None or not str(response.get("type")).startswith(_SAID_BY_THE_SERVER):
        # An object without any content would read as a consumer that has no configuration and nothing left to do.
        return None
    error_of = response.get("error")
    if isinstance(error_of, dict):
        raise JetStreamError(
            call, integer(error_of, "code"), integer(error_of, "err_code"), str(error_of.get("description", ""))
        )
    return response


async def understood(call: Awaitable[T]) -> T:
    """What a call of the client library answers. Raises :class:`nats.errors.Error` and ``OSError``.

    The library takes whatever comes for the server's answer, so that a stranger's ends in any exception.
    """
    try:
        return await call
    except (NatsError, OSError):
        raise
    except Exception as error:
        raise NatsError(f"the answer is none of the server's: {type(error).__name__}") from error


def answered(data: bytes) -> Json | None:
    """What the server answered; None for what is no answer of it: anybody may publish to an inbox."""
    try:
        response = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return response if isinstance(response, dict) else None


def integer(values: Json, key: str) -> int:
    """An integer of a response; 0 where the server left it out."""
    value = values.get(key)
    return value if isinstance(value, int) else 0


def section(values: Json, key: str) -> Json:
    """A nested object of a response; empty where the server left it out."""
    value = values.get(key)
    return value if isinstance(value, dict) else {}
