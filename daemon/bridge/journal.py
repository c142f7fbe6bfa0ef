"""What a bridge must not forget: for each piece of work the prediction that runs for it and the last callback made.

An entry is written *before* the step that it speaks of: before a prediction is created, before a callback is sent. So a
bridge that is killed at any moment leaves enough for the next one to go on without a second prediction and without two
callbacks that bear one id and differ. Writes compare revisions: a bridge that lost the work to another finds out.
"""

import re
from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import Final

import orjson
import structlog
from nats.js import JetStreamContext
from nats.js.api import KeyValueConfig, StorageType
from nats.js.errors import (
    BadRequestError,
    BucketNotFoundError,
    KeyNotFoundError,
    KeyWrongLastSequenceError,
    NoKeysError,
)
from nats.js.kv import KeyValue

from adapters.nats.jetstream_api import understood
from contracts.errors import JsonObject
from contracts.subjects import Subjects

log = structlog.get_logger(__name__)

KEPT_S: Final = 7 * 86_400.0
"""How long an entry is kept after its last change: longer than any work waits to be delivered again."""
_NOT_IN_KEYS: Final = re.compile(r"[^A-Za-z0-9_-]")


class FencedError(Exception):
    """Another bridge, or a newer attempt, has taken the work over."""


class Phase(StrEnum):
    CREATING = "creating"
    """A prediction is about to be created, or was and its id is not known."""
    RUNNING = "running"
    REPORTING = "reporting"
    """The last callbacks are made; whether they are stored is not known."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class Callback:
    """A callback as it goes out, time after time the same. ``subject`` is as on the wire."""

    event_id: str
    subject: str
    body: str


@dataclass(frozen=True, slots=True)
class Entry:
    """Where a piece of work stands."""

    work_id: str
    attempt: int
    job_id: str
    owner: str
    """The bridge process that works on it."""
    inputs: JsonObject
    since: int
    """When this try began, in microseconds since the epoch; once it runs, when its prediction was created."""
    phase: Phase = Phase.CREATING
    tries: int = 1
    prediction_id: str | None = None
    sequence: int = 0
    pending: tuple[Callback, ...] = ()
    """Made and perhaps not sent."""
    delivery: str = ""
    """Where the message in hand is answered: by it the next bridge gives back what a dead one held."""
    cost_usd_micros: int | None = None
    """Of all tries so far; None while no cost is known."""

    @property
    def mark(self) -> str:
        """Names one try of one attempt: a prediction belongs to the try that claims it first."""
        return f"{self.work_id}/{self.attempt}/{self.tries}"


@dataclass(frozen=True, slots=True)
class Stored:
    entry: Entry
    revision: int


class Journal:
    """The entries of one provider. Every method may raise the client's errors where the server is away, or where what
    answered was no server."""

    def __init__(self, bucket: KeyValue, provider: str) -> None:
        self._bucket = bucket
        self._provider = provider

    async def load(self, work_id: str) -> Stored | None:
        """The entry of a piece of work. One that cannot be read counts as none and is not written over: :meth:`save`
        finds it in its way, and no second prediction begins."""
        key = self._work_key(work_id)
        try:
            found = await understood(self._bucket.get(key))
        except KeyNotFoundError:
            return None
        entry = _read(key, found.value)
        return None if entry is None else Stored(entry, found.revision or 0)

    async def save(self, entry: Entry, revision: int) -> Stored:
        """Write over *revision* (0: there must be none). Raises :class:`FencedError` where it is not the newest."""
        key, value = self._work_key(entry.work_id), orjson.dumps(asdict(entry))
        try:
            # Creating begins anew over the mark of an entry that was removed; an update to nothing would find the mark.
            writing = self._bucket.update(key, value, last=revision) if revision else self._bucket.create(key, value)
            return Stored(entry, await understood(writing))
        except KeyWrongLastSequenceError:
            # The answer to an earlier try of this very write may have been lost.
            found = await understood(self._bucket.get(key))
            if found.value == value and found.revision:
                return Stored(entry, found.revision)
            raise FencedError(entry.work_id) from None

    async def beat(self, owner: str, now: int) -> None:
        """Say that the bridge *owner* lives at *now*, in microseconds since the epoch."""
        await understood(self._bucket.put(self._owner_key(owner), str(now).encode()))

    async def lives(self, owner: str, *, since: int) -> bool:
        """Whether the bridge *owner* said so after *since*."""
        try:
            found = await understood(self._bucket.get(self._owner_key(owner)))
        except KeyNotFoundError:
            return False
        said = found.value or b""
        return said.isdigit() and int(said) > since

    async def claim(self, prediction_id: str, mark: str) -> bool:
        """Whether the prediction belongs to this try: claimed now, or by the same try before."""
        key = f"{self._provider}.prediction.{_escaped(prediction_id)}"
        try:
            await understood(self._bucket.create(key, mark.encode()))
        except KeyWrongLastSequenceError:
            return (await understood(self._bucket.get(key))).value == mark.encode()
        return True

    async def open_entries(self) -> AsyncIterator[Stored]:
        """Every entry that is not done."""
        prefix = f"{self._provider}.work."
        try:
            keys = await understood(self._bucket.keys())
        except NoKeysError:
            return
        for key in keys:
            if not key.startswith(prefix):
                continue
            try:
                found = await understood(self._bucket.get(key))
            except KeyNotFoundError:  # it aged out meanwhile
                continue
            entry = _read(key, found.value)
            if entry is not None and entry.phase is not Phase.DONE:
                yield Stored(entry, found.revision or 0)

    def _owner_key(self, owner: str) -> str:
        return f"{self._provider}.owner.{_escaped(owner)}"

    def _work_key(self, work_id: str) -> str:
        return f"{self._provider}.work.{_escaped(work_id)}"


async def open_journal(js: JetStreamContext, subjects: Subjects, provider: str, *, replicas: int) -> Journal:
    """The journal in the bucket ``HG_BRIDGE``, which is made where it is missing."""
    name = subjects.named("BRIDGE")
    try:
        bucket = await understood(js.key_value(name))
    except BucketNotFoundError:
        config = KeyValueConfig(name, ttl=KEPT_S, history=1, replicas=replicas, storage=StorageType.FILE)
        try:
            bucket = await understood(js.create_key_value(config))
        except BadRequestError:  # another bridge made it at the same moment
            bucket = await understood(js.key_value(name))
    return Journal(bucket, provider)


def _read(key: str, value: bytes | None) -> Entry | None:
    """The entry, without what only a newer bridge knows of; None, and a line in the log, where it is none."""
    try:
        stored = orjson.loads(value or b"")
        known = {field.name: stored[field.name] for field in fields(Entry) if field.name in stored}
        known["phase"] = Phase(known["phase"])
        known["pending"] = tuple(Callback(**callback) for callback in known["pending"])
        return Entry(**known)
    except (ValueError, TypeError, KeyError) as error:
        log.warning("journal_entry_unreadable", key=key, reason=type(error).__name__)
        return None


def _escaped(text: str) -> str:
    """As one token of a key, different for different texts."""
    return _NOT_IN_KEYS.sub(lambda match: f"={ord(match[0]):x}=", text)
