"""The independent checker: what was acknowledged to producers against tables, dead letters and outgoing messages.

What it demands of each stored message follows from the message and from which payload holds its key:

- one that is in order and whose payload holds its key has its effect exactly once, and no dead letter;
- one that is in order, whose key holds another payload, is one dead letter with the code of a conflict;
- one that is in order, and came too late for what only one can have, is one dead letter with the code of that;
- one that is not in order is one dead letter with the code of its fault.

A publish that was not acknowledged may have been stored or not. Whatever it left behind must be explained by it, and be
as above.

Each dead letter is told exactly once on its stream. Publishing may repeat a message only after its stream has forgotten
its id, two minutes after the first attempt; no outage of a run lasts that long, so here a repetition is a failure. The
queue of work forgets sooner: a server that restarts remembers the ids of what still lies there. A work message whose
publish was not answered may so come a second time, but only after the worker has taken the first one off.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeAlias

from tests.chaos.comparison.effects import EFFECTS
from tests.chaos.comparison.evidence import Metrics, Row, Stored
from tests.chaos.comparison.findings import Findings
from tests.chaos.comparison.totals import check_totals
from tests.chaos.load.journal import Journal, Place, Work
from tests.chaos.load.messages import Message, Proven

TABLES = (
    "inbox",
    "outbox",
    "dead_letters",
    "session_usage",
    "session_events",
    "feed_items",
    "callback_events",
    "work",
    "session_ledger",
    "hourly_usage_agg",
    "daily_usage_agg",
    "model_perf_agg",
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Everything that is compared."""

    journal: Journal
    tables: Mapping[str, Sequence[Row]]
    told_dead: Sequence[Stored]
    """The stream of dead letters."""
    metrics: Sequence[Metrics]
    """Of each living daemon."""


Key: TypeAlias = tuple[str, str]
"""(kind, message_id)"""


@dataclass(slots=True)
class Checker:
    """One comparison; :meth:`check` answers what is wrong."""

    seen: Seen
    findings: Findings = field(default_factory=Findings)
    figures: Counter[str] = field(default_factory=Counter)
    _keys: dict[Key, str] = field(init=False)
    _published: dict[Key, dict[str, Proven]] = field(init=False)
    _prizes: set[str] = field(init=False)

    def __post_init__(self) -> None:
        self._keys = {
            (str(row["kind"]), str(row["message_id"])): str(row["payload_hash"]) for row in self._table("inbox")
        }
        self._published = self._all_published()
        self._prizes = {proven.prize for proven in self._taken() if proven.prize is not None}

    def check(self) -> Findings:
        letters: defaultdict[Place, list[Row]] = defaultdict(list)
        for row in self._table("dead_letters"):
            letters[str(row["stream"]), _integer(row["sequence"])].append(row)
        self._check_places()
        for place, message in self.seen.journal.stored.items():
            self._check_stored(place, message, letters.get(place, []))
        for message in self.seen.journal.known_to_stream:
            if message.proven is not None and message.proven.key not in self._keys:
                self.findings.add("acknowledged as known, and lost", message.proven.key)
        self._explain_letters(letters)
        self._explain_keys()
        self._check_effects()
        check_totals(self.seen.tables, self.findings)
        self._check_told()
        self._check_outbox()
        self._check_receipts(letters)
        return self.findings

    # -- each stored message

    def _check_places(self) -> None:
        for place in self.seen.journal.twice_given:
            self.findings.add("the stream gave one place to two messages", place)

    def _check_stored(self, place: Place, message: Message, letters: Sequence[Row]) -> None:
        code = self._refusal_of(message)
        if code is None and message.proven is not None and message.proven.key not in self._keys:
            self.findings.add("acknowledged and lost: its key was never taken", (place, message.proven.key))
        elif code is None:
            self.figures["acknowledged and taken"] += 1
            if letters:
                self.findings.add("in order, and yet a dead letter", (place, message.sort, _codes(letters)))
        else:
            self.figures[f"acknowledged and refused: {code}"] += 1
            if not letters:
                self.findings.add("acknowledged, to be refused, and no dead letter", (place, message.sort, code))
            elif len(letters) > 1:
                self.findings.add("two dead letters of one message", (place, _codes(letters)))
            elif letters[0]["code"] != code or letters[0]["body"] != message.body:
                self.findings.add("a dead letter of another code or body", (place, message.sort, code, _codes(letters)))

    # -- the other way round: everything there has a reason

    def _explain_letters(self, letters: Mapping[Place, Sequence[Row]]) -> None:
        perhaps: defaultdict[tuple[bytes, str], int] = defaultdict(int)
        for message in self.seen.journal.unconfirmed:
            if (code := self._refusal_of(message)) is not None:
                perhaps[message.body, code] += 1
        for place in letters.keys() - self.seen.journal.stored.keys():
            for row in letters[place]:
                reason = (_body(row), str(row["code"]))
                perhaps[reason] -= 1
                self.figures["dead letters of unacknowledged messages"] += 1
                if perhaps[reason] < 0:
                    self.findings.add("a dead letter of nothing that was published", (place, row["code"]))

    def _explain_keys(self) -> None:
        for key, payload_hash in self._keys.items():
            if payload_hash not in self._published.get(key, {}):
                self.findings.add("a key was taken that nobody published so", key)

    def _all_published(self) -> dict[Key, dict[str, Proven]]:
        journal = self.seen.journal
        published: defaultdict[Key, dict[str, Proven]] = defaultdict(dict)
        for message in (*journal.stored.values(), *journal.known_to_stream, *journal.unconfirmed):
            if message.proven is not None:
                published[message.proven.key][message.proven.payload_hash] = message.proven
        return dict(published)

    def _taken(self) -> Iterator[Proven]:
        """What holds a key."""
        for key, payload_hash in self._keys.items():
            if (proven := self._published.get(key, {}).get(payload_hash)) is not None:
                yield proven

    def _check_effects(self) -> None:
        taken: defaultdict[str, list[Proven]] = defaultdict(list)
        for proven in self._taken():
            taken[proven.kind].append(proven)
        for kind, effect in EFFECTS.items():
            effect.check(taken[kind], self.seen.tables, self.findings)
            self.figures[f"taken: {kind}"] = len(taken[kind])
        self._check_work(taken["feed.item"])
        self._check_metrics({kind: len(several) for kind, several in taken.items()})

    # -- what went out

    def _check_work(self, taken: Sequence[Proven]) -> None:
        given: defaultdict[str, dict[int, Work]] = defaultdict(dict)
        for work in self.seen.journal.work:
            earlier = given[work.subject_id].setdefault(work.sequence, work)
            earlier.finished_at = earlier.finished_at or work.finished_at
        for item_id in {str(proven.payload["item_id"]) for proven in taken}:
            places = [work for _, work in sorted(given.pop(item_id, {}).items())]
            if not places:
                self.findings.add("an item never went out to be analysed", item_id)
            elif len({work.message_id for work in places}) > 1:
                self.findings.add("an item went out by several messages", (item_id, places))
            for earlier, later in pairwise(places):
                self.figures["work told again after it was taken off the queue"] += 1
                if earlier.finished_at is None or later.stored_at < earlier.finished_at:
                    self.findings.add("a work message lay in the queue twice", (item_id, earlier, later))
        for item_id in given:
            self.findings.add("work went out for no item", item_id)

    def _check_told(self) -> None:
        told: Counter[str] = Counter()
        bodies: dict[str, tuple[str, Place, str]] = {}
        for stored in self.seen.told_dead:
            payload = json.loads(stored.body)["payload"]
            letter_id = str(payload["dead_letter_id"])
            told[letter_id] += 1
            origin = payload["origin"]
            bodies[letter_id] = (payload["error"]["code"], (origin["stream"], origin["sequence"]), stored.subject)
        for row in self._table("dead_letters"):
            letter_id = str(row["dead_letter_id"])
            if (times := told.pop(letter_id, 0)) != 1:
                self.findings.add(f"a dead letter is told {'never' if not times else 'more than once'}", letter_id)
                continue
            code, place, _ = bodies[letter_id]
            if code != row["code"] or place != (row["stream"], row["sequence"]):
                self.findings.add("a dead letter's message says something else than its row", letter_id)
        for letter_id in told:
            self.findings.add("a dead letter is told that has no row", letter_id)
        self.figures["dead letters"] = len(self._table("dead_letters"))

    def _check_outbox(self) -> None:
        for row in self._table("outbox"):
            self.findings.add(f"left in the outbox as {row['state']}", (row["subject"], row["failure"]))

    # -- what was said to producers and operators

    def _check_receipts(self, letters: Mapping[Place, Sequence[Row]]) -> None:
        accepted: Counter[tuple[str, str]] = Counter()
        for receipt in self.seen.journal.receipts:
            self.figures[f"receipts: {receipt.outcome}"] += 1
            codes = _codes(letters.get(receipt.place, []))
            if receipt.outcome == "refused":
                if receipt.code not in codes:
                    self.findings.add("a receipt refuses what has no such dead letter", (receipt, codes))
                continue
            if codes:
                self.findings.add("a receipt takes what is a dead letter", (receipt, codes))
            message = self.seen.journal.stored.get(receipt.place)
            if message is None or message.proven is None:
                continue
            if self._keys.get(message.proven.key) != message.proven.payload_hash:
                self.findings.add("a receipt takes a payload that its key does not hold", receipt)
            accepted[message.proven.key] += receipt.outcome == "accepted"
        for key, times in accepted.items():
            if times > 1:
                self.findings.add("a key was accepted more than once", (key, times))

    def _check_metrics(self, taken: Mapping[str, int]) -> None:
        counted: Counter[tuple[str, ...]] = Counter()
        for metrics in self.seen.metrics:
            for labels, value in metrics.by_labels("headgate_messages_total").items():
                counted[labels] += int(value)
            for gauge, wanted in (("headgate_ready", 1.0), ("headgate_intake_paused", 0.0)):
                if metrics.value(gauge) != wanted:
                    self.findings.add(f"{gauge} should be {wanted:.0f} at rest", metrics.value(gauge))
        for kind in EFFECTS:
            # Daemons that were killed took their counts along: what the living ones counted is a part of the whole.
            if counted[kind, "accepted"] > taken.get(kind, 0):
                self.findings.add("metrics count more than there is", (kind, counted[kind, "accepted"]))

    def _refusal_of(self, message: Message) -> str | None:
        """The code of the dead letter that the message must be; None where it must be none."""
        if message.proven is None:
            return message.code
        held = self._keys.get(message.proven.key)
        if held is None:
            return message.beaten if message.proven.prize in self._prizes else None
        return message.code if held != message.proven.payload_hash else None

    def _table(self, name: str) -> Sequence[Row]:
        return self.seen.tables[name]


def _codes(letters: Sequence[Row]) -> list[str]:
    return [str(row["code"]) for row in letters]


def _integer(value: object) -> int:
    assert isinstance(value, int)
    return value


def _body(row: Row) -> bytes:
    body = row["body"]
    assert isinstance(body, bytes)
    return body
