"""The first answer to each command that changed something, keyed by (caller, command, message_id)."""

from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import Connection, Insert, Select, bindparam, insert, select

from contracts.errors import JsonValue
from storage.tables.journal import command_log


@dataclass(frozen=True, slots=True)
class FirstAnswer:
    """What a command was answered when it took effect."""

    payload_hash: str
    status: int
    result: JsonValue


class CommandLog:
    """The ``command_log`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def find(self, *, caller: str, command: str, message_id: str) -> FirstAnswer | None:
        row = self._connection.execute(
            _FIND, {"caller": caller, "command": command, "message_id": message_id}
        ).one_or_none()
        return None if row is None else FirstAnswer(row.payload_hash, row.status, orjson.loads(row.result))

    def remember(self, answer: FirstAnswer, *, caller: str, command: str, message_id: str, now: int) -> None:
        """Keep the first answer. The key must be new: two daemons that race meet in the primary key."""
        self._connection.execute(
            _REMEMBER,
            {
                "caller": caller,
                "command": command,
                "message_id": message_id,
                "payload_hash": answer.payload_hash,
                "status": answer.status,
                "result": orjson.dumps(answer.result).decode(),
                "created_at": now,
            },
        )


_FIND: Final[Select[tuple[str, int, str]]] = select(
    command_log.c.payload_hash, command_log.c.status, command_log.c.result
).where(
    command_log.c.caller == bindparam("caller"),
    command_log.c.command == bindparam("command"),
    command_log.c.message_id == bindparam("message_id"),
)
_REMEMBER: Final[Insert] = insert(command_log)
