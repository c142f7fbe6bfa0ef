"""The first answer to each command that changed something, keyed by (caller, command, message_id)."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Final, NamedTuple

import orjson
from msgspec import Struct
from sqlalchemy import Connection, select

from contracts.errors import JsonValue
from storage.engine.answers import Answer
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows
from storage.engine.changes import execute_change
from storage.engine.failures import StorageConflict
from storage.tables.journal import command_log


class CommandKey(NamedTuple):
    """What makes a command the same command."""

    caller: str
    command: str
    message_id: str


class FirstAnswer(Struct, frozen=True):
    """What a command was answered when it took effect."""

    payload_hash: str
    status: int
    result: JsonValue


class CommandLog:
    """The ``command_log`` table."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def find(self, *, caller: str, command: str, message_id: str) -> FirstAnswer | None:
        key = CommandKey(caller, command, message_id)
        return self.find_all([key]).get(key)

    def find_all(self, keys: Sequence[CommandKey]) -> Mapping[CommandKey, FirstAnswer]:
        """The first answers to those of *keys* that took effect before."""
        if not keys:
            return {}
        rows = _find(self._dialect).rows(self._connection, as_parameter(keys))
        return {
            CommandKey(row.caller, row.command, row.message_id): FirstAnswer(
                row.payload_hash, row.status, orjson.loads(row.result)
            )
            for row in rows
        }

    def remember(self, answer: FirstAnswer, *, caller: str, command: str, message_id: str, now: int) -> None:
        """Keep the first answer to one command; see :meth:`remember_all`."""
        self.remember_all({CommandKey(caller, command, message_id): answer}, now=now)

    def remember_all(self, answers: Mapping[CommandKey, FirstAnswer], *, now: int) -> None:
        """Keep first answers. Raises :class:`StorageConflict` where another daemon answered one of them meanwhile: the
        whole is repeated, and finds that answer."""
        if not answers:
            return
        rows = [
            (*key, answer.payload_hash, answer.status, orjson.dumps(answer.result).decode(), now)
            for key, answer in sorted(answers.items(), key=lambda item: item[0])
        ]
        if execute_change(self._connection, _remember(self._dialect), as_parameter(rows)) != len(rows):
            raise StorageConflict("another daemon answered the same command meanwhile")


_KEY: Final = CommandKey._fields


@cache
def _find(dialect: str) -> Answer:
    batch = BatchRows(dialect, command_log, _KEY)
    log = command_log.c
    found = select(log.caller, log.command, log.message_id, log.payload_hash, log.status, log.result)
    return Answer(dialect, found.select_from(batch.source.join(command_log, batch.same)))


@cache
def _remember(dialect: str) -> UpsertInsert:
    columns = (*_KEY, "payload_hash", "status", "result", "created_at")
    return insert_rows(dialect, command_log, columns).on_conflict_do_nothing()
