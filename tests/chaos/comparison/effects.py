"""What each kind of message must leave behind: an entry for each kind, judged against the tables."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_EVEN, Decimal
from types import MappingProxyType
from typing import Final, Protocol, TypeAlias

from tests.chaos.comparison.evidence import Row
from tests.chaos.comparison.findings import Findings
from tests.chaos.load.messages import Json, Proven

Tables: TypeAlias = Mapping[str, Sequence[Row]]

Columns: TypeAlias = Callable[[Proven], Json]
"""The columns of the row that a message makes, as far as they follow from the message alone."""


class Effect(Protocol):
    """What the messages of one kind that were taken must have come to, and nothing else."""

    def check(self, taken: Sequence[Proven], tables: Tables, findings: Findings) -> None: ...


@dataclass(frozen=True, slots=True)
class RowPerMessage:
    """Each message that was taken is one row of *table*, under its ``message_id``."""

    table: str
    columns: Columns

    def check(self, taken: Sequence[Proven], tables: Tables, findings: Findings) -> None:
        found: defaultdict[object, list[Row]] = defaultdict(list)
        for row in tables[self.table]:
            found[row["message_id"]].append(row)
        for proven in taken:
            match found.pop(proven.message_id, []):
                case []:
                    findings.add(f"a message that was taken has no row in {self.table}", proven.key)
                case [row]:
                    self._compare(proven, row, findings)
                case several:
                    findings.add(f"a message has several rows in {self.table}", (proven.key, len(several)))
        for message_id in found:
            findings.add(f"{self.table} has a row of a message that was not taken", message_id)

    def _compare(self, proven: Proven, row: Row, findings: Findings) -> None:
        differing = {name: (value, row[name]) for name, value in self.columns(proven).items() if row[name] != value}
        if differing:
            findings.add(f"a row in {self.table} says something else than its message", (proven.key, differing))


def micros(text: object) -> int:
    """An RFC 3339 time as microseconds since the epoch."""
    at = datetime.fromisoformat(str(text))
    epoch = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
    since = at - epoch
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def _usd_micros(amount: object) -> int | None:
    if amount is None:
        return None
    return int((Decimal(str(amount)) * 1_000_000).to_integral_value(ROUND_HALF_EVEN))


def _usage(proven: Proven) -> Json:
    said = proven.payload
    columns: Json = {name: said[name] for name in ("session_id", "agent", "model", "status")}
    if proven.schema_version == "1.0":
        columns |= {
            "at": micros(said["timestamp"]),
            "input_tokens": said["tokens_in"],
            "output_tokens": said["tokens_out"],
        }
        cost = said.get("cost")
    else:
        columns |= {"at": micros(said["at"])} | {name: said.get(name) for name in ("input_tokens", "output_tokens")}
        cost = said.get("cost_usd")
    columns["runtime_ms"] = said.get("runtime_ms")
    return columns if cost is None else columns | {"cost_usd_micros": _usd_micros(cost)}


def _event(proven: Proven) -> Json:
    said = proven.payload
    columns: Json = {name: said.get(name) for name in ("session_id", "agent", "type", "model")}
    text = said.get("text")
    if text is None or (isinstance(text, str) and text.isalnum() and text.isascii()):
        columns["text"] = text  # other text is stored in a form of the storage's own
    return columns | {"at": micros(said["at"])}


class NewestOfItem:
    """``feed.item``: a row for each item, that of its newest message by ``created_at``."""

    def check(self, taken: Sequence[Proven], tables: Tables, findings: Findings) -> None:
        newest: dict[object, Proven] = {}
        for proven in taken:
            item_id = proven.payload["item_id"]
            if item_id not in newest or newest[item_id].created_at < proven.created_at:
                newest[item_id] = proven
        rows = {row["item_id"]: row for row in tables["feed_items"]}
        for item_id, proven in newest.items():
            row = rows.pop(item_id, None)
            if row is None:
                findings.add("an item that was taken has no row", item_id)
            elif row["message_id"] != proven.message_id or row["title"] != proven.payload["title"]:
                findings.add("an item's row is not its newest message", (item_id, row["message_id"], proven.message_id))
        for item_id in rows:
            findings.add("feed_items has an item that nobody spoke of", item_id)


class Analysis:
    """``item.result``: the one that was taken is the analysis of its item, and stands among the events of callbacks."""

    def check(self, taken: Sequence[Proven], tables: Tables, findings: Findings) -> None:
        events = Counter(row["event_id"] for row in tables["callback_events"] if row["family"] == "item")
        analysed = {row["item_id"]: row for row in tables["feed_items"] if row["status"] == "analysed"}
        for proven in taken:
            if events.pop(proven.message_id, 0) != 1:
                findings.add("a callback that was taken is not among the events once", proven.key)
            row = analysed.pop(str(proven.prize), None)
            sentiment = proven.payload["sentiment"]
            assert isinstance(sentiment, dict)
            if row is None or (row["sentiment_label"], row["sentiment_score"]) != tuple(sentiment.values()):
                findings.add("an item is not as its analysis says", (proven.prize, sentiment, row))
        for event_id in events:
            findings.add("an event of a callback that was not taken", event_id)
        for item_id in analysed:
            findings.add("an item is analysed that nobody analysed", item_id)


EFFECTS: Final[Mapping[str, Effect]] = MappingProxyType(
    {
        "session.usage": RowPerMessage("session_usage", _usage),
        "session.event": RowPerMessage("session_events", _event),
        "feed.item": NewestOfItem(),
        "item.result": Analysis(),
    }
)
