"""Slack's incoming webhooks: one message each. Slack does not tell repeats apart."""

from typing import Final

import orjson

from adapters.notifiers.base import AlertMessage, SendOutcome
from adapters.notifiers.poster import Poster
from contracts.values.alerts import NoticeAction

_MARKS: Final = {
    NoticeAction.TRIGGER: ":rotating_light:",
    NoticeAction.ACKNOWLEDGE: ":eyes:",
    NoticeAction.RESOLVE: ":white_check_mark:",
}
_ESCAPED: Final = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


class SlackNotifier:
    """Posts one line, with a link to the console where there is one."""

    def __init__(self, url: str) -> None:
        self._poster = Poster(url)

    async def send(self, message: AlertMessage) -> SendOutcome:
        line = f"{_MARKS[message.action]} {message.summary.translate(_ESCAPED)}"
        if message.link:
            line += f" <{message.link.translate(_ESCAPED)}|look>"
        return await self._poster.post(orjson.dumps({"text": line}))

    async def close(self) -> None:
        await self._poster.close()
