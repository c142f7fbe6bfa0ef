"""What this process is judging or working on, noted where it outlives the process (see :mod:`domain.intake.suspects`).

The file ``<state_dir>/in-hand`` is a log of JSON lines, written without a sync: it must survive the process, not the
machine. A line that was not finished when the process died is passed over.

``suspects``  what the former deaths left: stream, sequence, deaths, deaths alone
``working``   sequences by stream, before they are judged
``waiting``   not worked on at the moment, and not done: judged, kept for a while or given back
``done``      committed and acknowledged
``ended``     the process came to an orderly end: what was left was given back

Suspects are worked on while nothing else is in hand, in the whole process: only then does a death tell anything.
"""

import asyncio
import os
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import orjson
import structlog

from adapters.nats.acks import stream_position
from contracts.gate.delivery import Delivery
from domain.intake.suspects import Suspicion, after_death, by_deliveries, most_at_once

log = structlog.get_logger(__name__)

Position: TypeAlias = tuple[str, int]
"""A stream and a sequence in it."""

_NAME: Final = "in-hand"
_MOST_BYTES: Final = 4 * 1024 * 1024


class InHand:
    """The messages in hand, of all intakes of one process. ``after_death``: its predecessor died. ``clock`` is
    monotonic, in seconds."""

    def __init__(
        self,
        path: Path | None,
        suspects: Mapping[Position, Suspicion],
        *,
        counts: bool,
        after_death: bool = False,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._path = path
        self._suspects = dict(suspects)
        self._counts_deliveries = counts
        self._after_death = after_death
        self._clock = clock
        self._began: float | None = None
        self._working: set[Position] = set()
        self._file: int | None = None
        self._written = 0
        self._none_in_hand = asyncio.Event()
        self._none_in_hand.set()
        self._turn = asyncio.Lock()
        self._wanting_turn = 0
        self._admitting = asyncio.Event()
        self._admitting.set()
        self._no_turn = asyncio.Event()
        self._no_turn.set()
        self._begin_file()

    @property
    def suspects(self) -> Mapping[Position, Suspicion]:
        return self._suspects

    def suspicion(self, delivery: Delivery) -> Suspicion | None:
        """Why a message is to be worked on apart; None for all but a few."""
        if self._suspects and (known := self._suspects.get(position(delivery))) is not None:
            return known
        return by_deliveries(delivery.delivered) if self._counts_deliveries else None

    def clear(self, stream: str, *, floor: int, last: int) -> None:
        """Forget suspects of *stream* that cannot come again: acknowledged, or of a stream that was made anew."""
        for key in [key for key in self._suspects if key[0] == stream and not floor < key[1] <= last]:
            del self._suspects[key]
        self._begin_file()

    def most_at_once(self, most: int) -> int:
        """How many of the *most* messages of a batch are to be worked on at once by now."""
        if not self._after_death:
            return most
        return most_at_once(most, 0.0 if self._began is None else self._clock() - self._began)

    # -- what is in hand

    async def work_on(self, deliveries: Iterable[Delivery]) -> None:
        """Note *deliveries* before they are looked at; waits while suspects are, or are waiting to be, worked on."""
        while not self._admitting.is_set():
            await self._admitting.wait()
        self.note(deliveries)

    async def resume(self, deliveries: Iterable[Delivery]) -> None:
        """Note again what waited; does not stand behind suspects that wait, for these wait for what is in hand."""
        while not self._no_turn.is_set():
            await self._no_turn.wait()
        self.note(deliveries)

    def note(self, deliveries: Iterable[Delivery]) -> None:
        """As :meth:`work_on`, for the caller that has the turn of :meth:`nothing_else`."""
        if self._began is None:
            self._began = self._clock()
        positions = _positions(deliveries)
        self._working.update(positions)
        self._none_in_hand.clear()
        self._append("working", positions)

    def waits(self, deliveries: Iterable[Delivery]) -> None:
        """They are not worked on for the moment, and not done: a death now is not theirs."""
        self._strike_out("waiting", _positions(deliveries))

    def done(self, deliveries: Iterable[Delivery]) -> None:
        """They are committed and acknowledged."""
        positions = _positions(deliveries)
        if self._suspects:
            for key in positions:
                self._suspects.pop(key, None)
        self._strike_out("done", positions)

    @asynccontextmanager
    async def nothing_else(self) -> AsyncIterator[None]:
        """A turn in which nothing but what the caller notes is in hand. Nothing of the caller's may be when it asks."""
        self._wanting_turn += 1
        self._admitting.clear()
        try:
            async with self._turn:
                while self._working:
                    await self._none_in_hand.wait()
                self._no_turn.clear()
                try:
                    yield
                finally:
                    self._no_turn.set()
        finally:
            self._wanting_turn -= 1
            if not self._wanting_turn:
                self._admitting.set()

    def end(self) -> None:
        """The process ends in order: whatever is left was given back."""
        self._append_line({"ended": True})
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def abandon(self) -> None:
        """The process ends, and no message is to blame: a death is what leaves no time to say so."""
        self._strike_out("waiting", list(self._working))

    # -- the file

    def _strike_out(self, what: str, positions: list[Position]) -> None:
        self._working.difference_update(positions)
        if not self._working:
            self._none_in_hand.set()
        self._append(what, positions)
        if self._written > _MOST_BYTES:
            self._begin_file()

    def _append(self, what: str, positions: Iterable[Position]) -> None:
        if self._file is not None:
            self._append_line({what: _by_stream(positions)})

    def _append_line(self, entry: object) -> None:
        if self._file is None:
            return
        try:
            self._written += os.write(self._file, orjson.dumps(entry) + b"\n")
        except OSError as error:  # a full disk: the number of deliveries stands in after a death
            log.warning("in_hand_not_noted", reason=str(error))

    def _begin_file(self) -> None:
        """Replace the file by a short one that says the same."""
        if self._path is None:
            return
        draft = self._path.with_name(f".{_NAME}.{os.getpid()}")
        suspects = [[*key, *suspicion] for key, suspicion in self._suspects.items()]
        try:
            file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND | os.O_CLOEXEC, 0o600)
            written = os.write(file, orjson.dumps({"suspects": suspects}) + b"\n")
            written += os.write(file, orjson.dumps({"working": _by_stream(self._working)}) + b"\n")
            draft.replace(self._path)
        except OSError as error:
            log.warning("in_hand_not_noted", reason=str(error))
            return
        if self._file is not None:
            os.close(self._file)
        self._file, self._written = file, written


def in_hand_of(state_dir: Path) -> tuple[InHand, bool]:
    """The note on *state_dir*, and whether a predecessor died with it."""
    path = state_dir / _NAME
    try:
        lines = path.read_bytes().splitlines(keepends=True)
    except FileNotFoundError:
        return InHand(path, {}, counts=True), False
    except OSError as error:
        log.warning("in_hand_not_read", reason=str(error))
        return InHand(path, {}, counts=True, after_death=True), True
    working, suspects, ended = _read(lines)
    suspects = after_death(working, suspects)
    if not ended:
        log.warning("predecessor_died", in_hand=len(working), suspects=len(suspects))
    return InHand(path, suspects, counts=False, after_death=not ended), not ended


def nothing_noted() -> InHand:
    """Without a file: for what has no state directory."""
    return InHand(None, {}, counts=False)


def position(delivery: Delivery) -> Position:
    """Where a delivery itself lies; a replay has the stream and sequence of its message's first arrival."""
    if delivery.lineage is None:
        return (delivery.stream, delivery.sequence)
    return stream_position(delivery.ack_to)


def _positions(deliveries: Iterable[Delivery]) -> list[Position]:
    """Each message is noted several times on its way: no call for each."""
    return [
        (each.stream, each.sequence) if each.lineage is None else stream_position(each.ack_to) for each in deliveries
    ]


def _by_stream(positions: Iterable[Position]) -> dict[str, list[int]]:
    by_stream: defaultdict[str, list[int]] = defaultdict(list)
    for stream, sequence in positions:
        by_stream[stream].append(sequence)
    return by_stream


def _read(lines: Iterable[bytes]) -> tuple[set[Position], dict[Position, Suspicion], bool]:
    """What was in hand at the end of the log, the suspects, and whether the end was an orderly one."""
    working: set[Position] = set()
    suspects: dict[Position, Suspicion] = {}
    ended = False
    for line in lines:
        try:
            [(what, said)] = orjson.loads(line).items()
            if what == "suspects":
                suspects = {(str(s), int(q)): Suspicion(int(deaths), int(alone)) for s, q, deaths, alone in said}
            elif what == "ended":
                ended = True
            else:
                positions = [(str(stream), int(q)) for stream, sequences in said.items() for q in sequences]
                _apply(what, positions, working, suspects)
        except (ValueError, TypeError, AttributeError):
            continue  # cut short by the death, or by a hand that is not ours
    return working, suspects, ended


def _apply(what: str, positions: list[Position], working: set[Position], suspects: dict[Position, Suspicion]) -> None:
    if what == "working":
        working.update(positions)
        return
    working.difference_update(positions)
    if what == "done":
        for key in positions:
            suspects.pop(key, None)
