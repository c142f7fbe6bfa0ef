"""A webhook as the Standard Webhooks specification has it: signed with every secret there is, known by its id."""

from collections.abc import Sequence
from datetime import UTC, datetime

import orjson
from standardwebhooks.webhooks import Webhook

from adapters.notifiers.base import AlertMessage, SendOutcome
from adapters.notifiers.poster import Poster


class WebhookNotifier:
    """Posts the whole message as JSON."""

    def __init__(self, url: str, secrets: Sequence[str] = ()) -> None:
        self._poster = Poster(url)
        self._signers = [Webhook(secret) for secret in secrets]

    async def send(self, message: AlertMessage) -> SendOutcome:
        body = orjson.dumps(
            {
                "type": f"alert.{message.action}",
                "timestamp": message.at,
                "data": {
                    "rule": message.rule,
                    "action": str(message.action),
                    "severity": str(message.severity),
                    "summary": message.summary,
                    "incident": message.incident,
                    "link": message.link or None,
                    **message.details,
                },
            }
        )
        return await self._poster.post(body, self._headers(message.message_id, body))

    def _headers(self, message_id: str, body: bytes) -> dict[str, str]:
        """The id is the same at every try, the time and so the signature are those of this one."""
        now = datetime.now(UTC)
        headers = {"webhook-id": message_id, "webhook-timestamp": str(int(now.timestamp()))}
        if self._signers:
            signatures = (signer.sign(message_id, now, body.decode()) for signer in self._signers)
            headers["webhook-signature"] = " ".join(signatures)
        return headers

    async def close(self) -> None:
        await self._poster.close()
