"""Replays of dead letters: begun by a run, decided by the gate, each numbered within its dead letter.

A dead letter is ``replaying`` for one number at a time. Whoever decides names letter and number, and what names another
number than the row's is too late: that is the fence against forged, repeated and superseded replays.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Final, NamedTuple, TypeAlias

from sqlalchemy import Connection, Select, Update, bindparam, case, func, literal_column, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from contracts.values.states import LetterState
from domain.dead_letters.dead_letters import LetterSignal, source
from storage.engine.batches import BatchRows, UpsertInsert, as_parameter, insert_rows, with_blobs
from storage.engine.changes import execute_change
from storage.engine.nul_text import from_stored
from storage.tables.journal import dead_letters
from storage.tables.replays import dead_letter_replays, replay_items

ReplayKey: TypeAlias = tuple[str, int]
"""(dead_letter_id, replay_number)"""

DEAD_LETTERS: Final = "dead_letters"
"""The target under which dead letters are items of a run."""


class Begun(NamedTuple):
    """A dead letter whose replay has begun: ``subject`` without the prefix, ``body`` as it came."""

    dead_letter_id: str
    replay_number: int
    subject: str
    body: bytes


class Original(NamedTuple):
    """What a replay is a replay of. ``body`` is the one that is replayed, ``headers`` JSON text."""

    dead_letter_id: str
    replay_number: int
    run_id: str
    stream: str
    subject: str
    sequence: int
    stored_at: int
    headers: str
    body: bytes
    edited: bool


class Closing(NamedTuple):
    """What a replay came to. The last five are set where it was refused: then the letter has a new reason."""

    dead_letter_id: str
    replay_number: int
    run_id: str
    state: str
    outcome: str
    reason: str
    problem: str | None = None
    code: str | None = None
    paths: str | None = None
    trace_id: str | None = None


class Replay(NamedTuple):
    """One replay of a dead letter; ``body`` where an operator edited it, ``reason`` why, where it was told."""

    replay_number: int
    run_id: str
    principal: str
    requested_at: int
    outcome: str | None
    problem: str | None
    decided_at: int | None
    body: bytes | None
    reason: str | None


class Replays:
    """The replaying half of ``dead_letters``, and ``dead_letter_replays``."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._dialect = connection.dialect.name

    def states(self, ids: Sequence[str], *, locked: bool = False) -> Mapping[str, tuple[LetterState, int]]:
        """State and replay number of each of *ids* that there is; with *locked* they stay so until the transaction
        ends."""
        if not ids:
            return {}
        statement = _states(self._dialect)
        rows = self._connection.execute(
            statement.with_for_update() if locked else statement, as_parameter(_alone(sorted(ids)))
        )
        return {row.dead_letter_id: (LetterState(row.state), row.replay_number) for row in rows}

    def sizes(self, ids: Sequence[str]) -> Mapping[str, int]:
        """How many bytes the body of each of *ids* has."""
        if not ids:
            return {}
        rows = self._connection.execute(_sizes(self._dialect), as_parameter(_alone(ids)))
        return {row.dead_letter_id: row.size for row in rows}

    def begin(self, ids: Sequence[str], *, run_id: str, principal: str, now: int) -> list[Begun]:
        """Begin a replay of each of *ids* that is open; the others stay as they are."""
        if not ids:
            return []
        rows = self._connection.execute(_begin(self._dialect), as_parameter(_alone(sorted(ids))) | {"now": now})
        begun = [Begun(row.dead_letter_id, row.replay_number, from_stored(row.subject), row.body) for row in rows]
        parameters = with_blobs([(each.dead_letter_id, each.replay_number, run_id, principal, now) for each in begun])
        if begun:
            execute_change(self._connection, _note(self._dialect), parameters)
        return sorted(begun)

    def edit(self, key: ReplayKey, body: bytes, *, reason: str | None) -> None:
        """Have the replay *key*, just begun, carry another body, for a *reason* if one is told."""
        edit = {"wanted_id": key[0], "wanted_number": key[1], "edited": body, "why": reason}
        self._connection.execute(_EDIT, edit)

    def originals(self, keys: Sequence[ReplayKey]) -> Mapping[ReplayKey, Original]:
        """What those of *keys* that are being replayed are replays of."""
        if not keys:
            return {}
        rows = self._connection.execute(_originals(self._dialect), as_parameter(keys))
        found = [Original(*row)._replace(subject=from_stored(row.subject), edited=bool(row.edited)) for row in rows]
        return {(original.dead_letter_id, original.replay_number): original for original in found}

    def lock(self, keys: Iterable[ReplayKey]) -> set[ReplayKey]:
        """Those of *keys* that are still being replayed; nobody else decides on them before this transaction ends."""
        asked = sorted(keys)
        if not asked:
            return set()
        rows = self._connection.execute(_lock(self._dialect), as_parameter(asked))
        return {(row.dead_letter_id, row.replay_number) for row in rows}

    def close(self, closings: Sequence[Closing], *, now: int) -> None:
        """Write what replays came to, at the letters, at the replays, and at the items of their runs."""
        if not closings:
            return
        ordered = sorted(closings)
        letters = [
            (c.dead_letter_id, c.replay_number, c.state, c.problem, c.code, c.paths, c.trace_id) for c in ordered
        ]
        execute_change(self._connection, _close_letters(self._dialect), as_parameter(letters) | {"now": now})
        replays = [(c.dead_letter_id, c.replay_number, c.outcome, c.problem) for c in ordered]
        execute_change(self._connection, _close_replays(self._dialect), as_parameter(replays) | {"now": now})
        items = [(c.run_id, DEAD_LETTERS, c.dead_letter_id, c.replay_number, c.outcome, c.reason) for c in ordered]
        execute_change(self._connection, _close_items(self._dialect), as_parameter(items))

    def stuck(self, *, since: int, limit: int) -> list[Original]:
        """Replays that were begun at *since* or before and that nobody has decided on, the oldest first."""
        wanted = {"since": since, "limit": limit}
        keys = [(row.dead_letter_id, row.replay_number) for row in self._connection.execute(_STUCK, wanted)]
        found = self.originals(keys)
        return [found[key] for key in keys if key in found]

    def history(self, dead_letter_id: str) -> list[Replay]:
        """Every replay of a letter, the first one first."""
        rows = self._connection.execute(_HISTORY, {"wanted_id": dead_letter_id})
        return [Replay(*row) for row in rows]


def _alone(ids: Iterable[str]) -> list[tuple[str]]:
    return [(each,) for each in ids]


_LETTER: Final = dead_letters.c
_REPLAY: Final = dead_letter_replays.c
_OPEN: Final = _LETTER.state == literal_column(f"'{source(LetterSignal.REPLAY)}'")
_REPLAYING: Final = _LETTER.state == literal_column(f"'{source(LetterSignal.TAKEN)}'")
_KEY: Final = ("dead_letter_id", "replay_number")


def _these(dialect: str) -> BatchRows:
    return BatchRows(dialect, dead_letters, ("dead_letter_id",))


@cache
def _states(dialect: str) -> Select[str, str, int]:
    return select(_LETTER.dead_letter_id, _LETTER.state, _LETTER.replay_number).where(_these(dialect).contains)


@cache
def _sizes(dialect: str) -> Select[str, int]:
    size = func.length(_LETTER.body).label("size")
    return select(_LETTER.dead_letter_id, size).where(_these(dialect).contains)


@cache
def _begin(dialect: str) -> ReturningUpdate[Any]:
    return (
        update(dead_letters)
        .where(_OPEN, _these(dialect).contains)
        .values(state=LetterState.REPLAYING, replay_number=_LETTER.replay_number + 1, updated_at=bindparam("now"))
        .returning(_LETTER.dead_letter_id, _LETTER.replay_number, _LETTER.subject, _LETTER.body)
    )


@cache
def _note(dialect: str) -> UpsertInsert:
    return insert_rows(dialect, dead_letter_replays, (*_KEY, "run_id", "principal", "requested_at"))


_EDIT: Final = (
    update(dead_letter_replays)
    .where(_REPLAY.dead_letter_id == bindparam("wanted_id"), _REPLAY.replay_number == bindparam("wanted_number"))
    .values(body=bindparam("edited"), reason=bindparam("why"))
)


@cache
def _originals(dialect: str) -> Select[*tuple[Any, ...]]:
    batch = BatchRows(dialect, dead_letters, _KEY)
    joined = batch.source.join(dead_letters, batch.same).join(
        dead_letter_replays,
        (_REPLAY.dead_letter_id == _LETTER.dead_letter_id) & (_REPLAY.replay_number == _LETTER.replay_number),
    )
    return (
        select(
            _LETTER.dead_letter_id,
            _LETTER.replay_number,
            _REPLAY.run_id,
            _LETTER.stream,
            _LETTER.subject,
            _LETTER.sequence,
            _LETTER.stored_at,
            _LETTER.headers,
            func.coalesce(_REPLAY.body, _LETTER.body).label("body"),
            case((_REPLAY.body.is_(None), 0), else_=1).label("edited"),
        )
        .select_from(joined)
        .where(_REPLAYING)
    )


@cache
def _lock(dialect: str) -> Select[str, int]:
    keys = BatchRows(dialect, dead_letters, _KEY)
    return (
        select(_LETTER.dead_letter_id, _LETTER.replay_number)
        .where(_REPLAYING, keys.contains)
        .order_by(_LETTER.dead_letter_id)
        .with_for_update()
    )


@cache
def _close_letters(dialect: str) -> Update:
    names = (*_KEY, "state", "problem", "code", "paths", "trace_id")
    batch = BatchRows(dialect, dead_letters, names)
    refused = batch.cells["problem"].is_not(None)
    return (
        update(dead_letters)
        .where(
            _REPLAYING,
            _LETTER.dead_letter_id == batch.cells["dead_letter_id"],
            _LETTER.replay_number == batch.cells["replay_number"],
        )
        .values(
            state=batch.cells["state"],
            updated_at=bindparam("now"),
            first_problem=case(
                (refused, func.coalesce(_LETTER.first_problem, _LETTER.problem)), else_=_LETTER.first_problem
            ),
            **{name: case((refused, batch.cells[name]), else_=_LETTER[name]) for name in names[3:]},
        )
    )


@cache
def _close_replays(dialect: str) -> Update:
    batch = BatchRows(dialect, dead_letter_replays, (*_KEY, "outcome", "problem"))
    return (
        update(dead_letter_replays)
        .where(*(_REPLAY[name] == batch.cells[name] for name in _KEY), _REPLAY.outcome.is_(None))
        .values(outcome=batch.cells["outcome"], problem=batch.cells["problem"], decided_at=bindparam("now"))
    )


@cache
def _close_items(dialect: str) -> Update:
    key = ("run_id", "target", "item_id", "replay_number")
    batch = BatchRows(dialect, replay_items, (*key, "outcome", "reason"))
    item = replay_items.c
    return (
        update(replay_items)
        .where(*(item[name] == batch.cells[name] for name in key), item.outcome.is_(None))
        .values(outcome=batch.cells["outcome"], reason=batch.cells["reason"])
    )


_STUCK: Final = (
    select(_REPLAY.dead_letter_id, _REPLAY.replay_number)
    .where(_REPLAY.outcome.is_(None), _REPLAY.requested_at <= bindparam("since"))
    .order_by(_REPLAY.requested_at)
    .limit(bindparam("limit"))
)
_HISTORY: Final = (
    select(*(_REPLAY[name] for name in Replay._fields))
    .where(_REPLAY.dead_letter_id == bindparam("wanted_id"))
    .order_by(_REPLAY.replay_number)
)
