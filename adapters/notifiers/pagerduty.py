"""PagerDuty's Events API v2: trigger, acknowledge and resolve under one ``dedup_key``."""

from typing import Final

import orjson

from adapters.notifiers.base import AlertMessage, SendOutcome
from adapters.notifiers.poster import Poster
from contracts.errors import JsonObject
from contracts.values.alerts import NoticeAction

URL: Final = "https://events.pagerduty.com/v2/enqueue"
_MOST_SUMMARY: Final = 1_024


class PagerDutyNotifier:
    """Opens, acknowledges and resolves the incident of a rule."""

    def __init__(self, routing_key: str, url: str = "") -> None:
        self._poster = Poster(url or URL)
        self._routing_key = routing_key

    async def send(self, message: AlertMessage) -> SendOutcome:
        event: JsonObject = {
            "routing_key": self._routing_key,
            "event_action": str(message.action),
            "dedup_key": message.incident,
            "client": "headgate",
        }
        if message.action is NoticeAction.TRIGGER:
            event["payload"] = {
                "summary": message.summary[:_MOST_SUMMARY],
                "source": message.incident,
                "severity": str(message.severity),
                "timestamp": message.at,
                "component": message.rule,
                "custom_details": message.details,
            }
        if message.link:
            event |= {"client_url": message.link, "links": [{"href": message.link, "text": "console"}]}
        return await self._poster.post(orjson.dumps(event))

    async def close(self) -> None:
        await self._poster.close()
