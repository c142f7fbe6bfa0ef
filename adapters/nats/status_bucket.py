"""Writing the status bucket: the newest version of each entry, by compare-and-set.

Daemons relay what they committed, each at its own pace, so an older view may be on its way when a newer one is there
already. An entry is written only over the revision that this writer knows to be older; where another revision lies
there, it is looked at: if its version is not below ours, ours is out of date and done with.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, Protocol

import orjson
from msgspec.structs import replace
from nats.aio.client import Client

from adapters.errors import JetStreamError
from adapters.nats.outgoing import Outgoing, Published, PublishStatus
from adapters.nats.streams.stored_messages import last_message_of_subject

_MOST_KNOWN: Final = 20_000
_MOST_ROUNDS: Final = 5
_LOOKS_AT_ONCE: Final = 32
_NEW_THING_VERSION: Final = 3
"""Where views of a thing begin at this version or before, its entry is likely to be the first: it is tried as new
without looking."""

_OUT_OF_DATE: Final = Published(PublishStatus.DUPLICATE, reason="a newer version is there")
_CONTENDED: Final = Published(PublishStatus.UNAVAILABLE, reason="other daemons keep writing the same entry")


class Publisher(Protocol):
    """Publishes to a stream (:class:`adapters.nats.publisher.StreamPublisher`)."""

    async def publish(self, stream: str, messages: Sequence[Outgoing]) -> list[Published]: ...


class Entry(NamedTuple):
    """What lies under a key: the revision (sequence in the stream; 0: nothing) and the version of the view in it."""

    revision: int
    version: int


NOTHING: Final = Entry(0, 0)


class StatusBucket:
    """The entries of one key-value bucket. It answers as a publisher of its stream does."""

    def __init__(self, nc: Client, publisher: Publisher) -> None:
        self._nc = nc
        self._publisher = publisher
        self._known: OrderedDict[str, Entry] = OrderedDict()

    async def publish(self, stream: str, messages: Sequence[Outgoing]) -> list[Published]:
        """Write the newest of *messages* for each subject; those that are out of date count as written.

        Never raises for what the server or the connection does.
        """
        views = [_View(index, message, version_in(message.body)) for index, message in enumerate(messages)]
        answers: dict[int, Published] = {}
        oldest: dict[str, _View] = {}
        newest: dict[str, _View] = {}
        for view in sorted(views, key=lambda view: view.version):
            first = oldest.setdefault(view.message.subject, view)
            newest[view.message.subject] = view._replace(begins_at=first.version)
        waiting = list(newest.values())
        for _ in range(_MOST_ROUNDS):
            waiting = await self._over_older(stream, waiting, answers)
            if not waiting:
                break
            sent = await self._publisher.publish(stream, [self._outgoing(view) for view in waiting])
            waiting = self._take(waiting, sent, answers)
        answers |= {view.place: _CONTENDED for view in waiting}
        return [answers.get(view.place, _OUT_OF_DATE) for view in views]

    async def _over_older(self, stream: str, views: "Sequence[_View]", answers: dict[int, Published]) -> "list[_View]":
        """Those that are newer than what lies there; where that is not known, it is looked at."""
        unknown = [view for view in views if view.message.subject not in self._known]
        limit = asyncio.Semaphore(_LOOKS_AT_ONCE)
        failures = await asyncio.gather(*(self._look(stream, view, limit) for view in unknown))
        for view, failure in zip(unknown, failures, strict=True):
            if failure is not None:
                answers[view.place] = failure
        return [
            view
            for view in views
            if view.place not in answers and self._known.get(view.message.subject, NOTHING).version < view.version
        ]

    async def _look(self, stream: str, view: "_View", limit: asyncio.Semaphore) -> Published | None:
        """Learn what lies under the view's key; why that could not be learnt."""
        if view.begins_at <= _NEW_THING_VERSION and view.tries == 0:
            return None
        async with limit:
            try:
                found = await last_message_of_subject(self._nc, stream, view.message.subject)
            except JetStreamError as error:
                return Published(PublishStatus.UNAVAILABLE, reason=str(error))
        if found is not None:
            self._note(view.message.subject, Entry(found.sequence, version_in(found.body)))
        return None

    def _outgoing(self, view: "_View") -> Outgoing:
        revision = self._known.get(view.message.subject, NOTHING).revision
        return replace(view.message, expected_last_subject_sequence=revision)

    def _take(
        self, views: "Sequence[_View]", sent: Sequence[Published], answers: dict[int, Published]
    ) -> "list[_View]":
        """Note what became of each; those that met another revision are to be tried again."""
        again: list[_View] = []
        for view, answer in zip(views, sent, strict=True):
            self._known.pop(view.message.subject, None)
            if answer.is_conflict:
                again.append(view._replace(tries=view.tries + 1))
                continue
            answers[view.place] = answer
            if answer.sequence is not None:
                self._note(view.message.subject, Entry(answer.sequence, view.version))
        return again

    def _note(self, subject: str, entry: Entry) -> None:
        self._known[subject] = entry
        if len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)


class _View(NamedTuple):
    """A view on its way: its place among those given, how often it met another revision, and the oldest version of the
    same thing that was given with it."""

    place: int
    message: Outgoing
    version: int
    tries: int = 0
    begins_at: int = 0


def version_in(body: bytes) -> int:
    """The version of the view in an entry; 0 for one that is not ours to read."""
    try:
        view = orjson.loads(body)
    except orjson.JSONDecodeError:
        return 0
    version = view.get("version") if isinstance(view, dict) else None
    return version if isinstance(version, int) else 0


class LanePublisher:
    """Publishes each lane in its own way: those of *special* by what stands there, all others plainly."""

    def __init__(self, plain: Publisher, special: Mapping[str, Publisher]) -> None:
        self._plain = plain
        self._special = dict(special)

    async def publish(self, stream: str, messages: Sequence[Outgoing]) -> list[Published]:
        return await self._special.get(stream, self._plain).publish(stream, messages)
