"""Makes and sends signed callbacks."""

from collections.abc import Callable
from typing import Final

import orjson
from nats.js import JetStreamContext
from pydantic import ValidationError

from contracts.envelope import CURRENT_ENVELOPE
from contracts.errors import JsonObject
from contracts.gate.webhooks import ID_HEADER, TIMESTAMP_HEADER, signed_headers
from contracts.payloads.callbacks import JobStatus
from contracts.values.money import format_usd
from contracts.values.times import MICROS_PER_SECOND, format_micros
from daemon.bridge.journal import Callback
from daemon.bridge.work import BridgeWork

_SCHEMA_VERSION: Final = "1.0"
_PUBLISH_TIMEOUT_S: Final = 5.0


class UnfitCallbackError(Exception):
    """The gate would refuse the callback; the text says where it breaks the contract, and repeats nothing of it."""


class Callbacks:
    """Callbacks of one bridge. ``secret`` empty: the installation takes unsigned ones."""

    def __init__(
        self,
        js: JetStreamContext,
        *,
        producer: str,
        secret: str,
        max_bytes: int,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._js = js
        self._producer = producer
        self._secret = secret
        self._max_bytes = max_bytes
        self._clock = clock
        self._new_id = new_id

    def make(
        self, work: BridgeWork, kind: str, report: JsonObject, *, sequence: int, cost_usd_micros: int | None = None
    ) -> Callback:
        """The whole message. Raises :class:`UnfitCallbackError`."""
        event_id = f"{work.work_id}:{work.attempt}:{sequence}"
        cost: JsonObject = {} if cost_usd_micros is None else {"cost_usd": format_usd(cost_usd_micros)}
        payload: JsonObject = {
            "event_id": event_id,
            "job_id": work.job_id,
            "attempt": work.attempt,
            "sequence": sequence,
            **report,
            **cost,
        }
        _prove(payload)
        body = orjson.dumps(
            {
                "envelope_version": CURRENT_ENVELOPE,
                "kind": kind,
                "schema_version": _SCHEMA_VERSION,
                "message_id": event_id,
                "trace_id": work.trace_id or self._new_id(),
                "created_at": format_micros(self._clock()),
                "producer": self._producer,
                "payload": payload,
            }
        )
        if len(body) > self._max_bytes:
            raise UnfitCallbackError(f"it is larger than {self._max_bytes} bytes")
        return Callback(event_id, work.callback_subject, body.decode())

    async def send(self, callback: Callback) -> None:
        """Return when the stream has stored it. Signed anew each time: signatures age, ids and bodies do not.

        Raises the client's errors; the outcome is then unknown, and sending the same again is right.
        """
        body = callback.body.encode()
        headers = {"Nats-Msg-Id": callback.event_id, **self._signature(callback.event_id, body)}
        await self._js.publish(callback.subject, body, headers=headers, timeout=_PUBLISH_TIMEOUT_S)

    def _signature(self, event_id: str, body: bytes) -> dict[str, str]:
        seconds = self._clock() // MICROS_PER_SECOND
        if not self._secret:
            return {ID_HEADER: event_id, TIMESTAMP_HEADER: str(seconds)}
        return signed_headers([self._secret], event_id, seconds, body)


def _prove(payload: JsonObject) -> None:
    """What a model made is proven here: refused at the gate, it would leave the job waiting for its deadline."""
    try:
        JobStatus.model_validate(payload)
    except ValidationError as error:
        places = {".".join(map(str, known["loc"])): known["type"] for known in error.errors(include_input=False)}
        place, code = next(iter(places.items()))
        raise UnfitCallbackError(f"{place} breaks the contract ({code}), one of {len(places)} such fields") from None
