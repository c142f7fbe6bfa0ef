"""Agents' answers to control messages: each closes the run of its message."""

from collections.abc import Callable

import orjson
import structlog
from pydantic import ValidationError

from contracts.payloads.operations.agents import AgentAnswered
from daemon.subscribers.subscriber import Received
from daemon.transactions import committed
from handlers.agents.control import close_answered
from handlers.effects import Context
from storage.engine.database import Database

log = structlog.get_logger(__name__)


class AgentAnswers:
    """Hears of answers and closes runs. One that answers nothing, or comes late, changes nothing."""

    def __init__(self, database: Database, context: Callable[[], Context], count_forged: Callable[[], None]) -> None:
        self._database = database
        self._context = context
        self._count_forged = count_forged

    async def __call__(self, received: Received) -> float | None:
        try:
            answered = AgentAnswered.model_validate(orjson.loads(received.body)["payload"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValidationError):
            self._count_forged()
            log.warning("agent_answer_unreadable")
            return None
        closed = await committed(self._database, lambda uow: close_answered(answered, uow, self._context()))
        log.info("agent_answered", agent=answered.agent, control_id=answered.control_id, closed=closed)
        return None
