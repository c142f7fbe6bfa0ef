"""What a producer must keep to, judged from the messages that it published. Pure: messages in, verdicts out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from contracts.errors import ErrorCode
from contracts.gate.delivery import Accepted, Judged, Refused
from contracts.values.times import MICROS_PER_SECOND
from daemon.conformance.rules import Outcome, Verdict, kept, why

MESSAGE_ID: Final = "Nats-Msg-Id"
_TRACEPARENT: Final = "traceparent"
_CLOCKS_APART: Final = 60 * MICROS_PER_SECOND


class Trouble(StrEnum):
    """What a trial does to one record, as outages do."""

    NO_ACKNOWLEDGEMENT = "lost acknowledgement"
    FULL = "full stream"
    NO_RECEIPT = "lost receipt"


@dataclass(slots=True)
class Published:
    """One message of a producer; ``content`` is a digest of its payload."""

    judged: Judged
    content: str
    asks_receipt: bool
    asks_ack: bool
    in_batch: bool = False
    troubled: bool = False
    """Its answer was the trouble of its run."""
    stored: bool = True
    """The stream has it: it was not refused for want of room, nor dropped as one that is known."""
    told_refused: bool = False
    """Its producer has a receipt that says so."""

    @property
    def message_id(self) -> str | None:
        return self.judged.message_id

    @property
    def nats_id(self) -> str | None:
        return self.judged.delivery.headers.get(MESSAGE_ID)

    @property
    def names_itself_by_header(self) -> bool:
        """Version 1 has its message id there."""
        return isinstance(self.judged, Accepted) and self.judged.envelope_version == 1

    @property
    def name(self) -> str:
        return self.message_id or "a record without an id"


@dataclass(slots=True)
class Run:
    """One start of the producer, or one stretch of it, with what was done to it."""

    trouble: Trouble | None = None
    published: list[Published] = field(default_factory=list)
    exit_code: int | None = None

    @property
    def troubled(self) -> Published | None:
        return next((each for each in self.published if each.troubled), None)

    def later(self) -> list[Published]:
        """What came after the record that was troubled."""
        at = next((index for index, each in enumerate(self.published) if each.troubled), len(self.published))
        return self.published[at + 1 :]

    def came_again(self) -> bool:
        return (it := self.troubled) is not None and any(
            each.message_id == it.message_id or each.content == it.content for each in self.later()
        )


def judge_records(runs: Sequence[Run], elsewhere: Sequence[str], max_bytes: int) -> Iterator[Verdict]:
    """The rules for all that was published, in the order in which it came."""
    records = [each for run in runs for each in run.published]
    yield kept("subject: records go to hg.ingest.<kind>, and nothing goes elsewhere", sorted(set(elsewhere)))
    yield kept("contract: every record is as its schema says, or is corrected", _why(_left_wrong(records)))
    large = [each for each in _refused(records) if each.problem.code == ErrorCode.PAYLOAD_TOO_LARGE]
    yield kept(f"size: a body has at most {max_bytes} bytes", _why(large))
    unasked = [each.name for each in records if not (each.asks_ack or each.in_batch)]
    yield kept("acknowledgement: every publish asks for one, alone or by its batch", unasked)
    yield kept("message id: one id, one payload", list(_two_payloads(records)))
    yield kept("message id: one payload, one id", list(_two_ids(records)))
    yield kept("Nats-Msg-Id: of one record, and of one try where a receipt is awaited", list(_dropped(records)))
    yield kept("created_at: is not still to come", list(_early(records)))
    yield kept("order: within a trace, created_at does not go back", list(_steps_back(records)))
    yield _traces(records)
    yield _after_refusals(records)


def judge_trouble(trouble: Trouble, run: Run | None, within_s: float) -> Verdict:
    """Whether the record whose answer was kept back came again as it was."""
    rule = f"{trouble}: the record is sent again, unchanged and with its id"
    if run is None:
        return Verdict(rule, Outcome.NOT_TRIED, "no record asked for a receipt")
    if (it := run.troubled) is None:
        return Verdict(rule, Outcome.NOT_TRIED, "no record came")
    same = [each for each in run.later() if each.message_id == it.message_id]
    if any(each.content == it.content for each in same):
        return kept(rule, [])
    if same:
        return kept(rule, [f"{it.name} came again with another payload"])
    other = next((each for each in run.later() if each.content == it.content), None)
    if other is not None:
        return kept(rule, [f"{it.name} came again as {other.name}"])
    ended = "" if run.exit_code is None else f"; it ended with exit code {run.exit_code}"
    return kept(rule, [f"{it.name} did not come again within {within_s:g} s{ended}"])


def _refused(records: Sequence[Published]) -> list[Refused]:
    return [each.judged for each in records if isinstance(each.judged, Refused)]


def _accepted(records: Sequence[Published]) -> list[Accepted]:
    return [each.judged for each in records if isinstance(each.judged, Accepted)]


def _left_wrong(records: Sequence[Published]) -> list[Refused]:
    """What was refused, and never came under its id as it should be."""
    good = {each.message_id for each in _accepted(records)}
    wrong = [each for each in _refused(records) if each.problem.code != ErrorCode.PAYLOAD_TOO_LARGE]
    return [each for each in wrong if each.message_id is None or each.message_id not in good]


def _why(refused: Sequence[Refused]) -> list[str]:
    pairs = zip(refused, why(refused), strict=True)
    return [f"{each.message_id or 'a record without an id'}: {text}" for each, text in pairs]


def _two_payloads(records: Sequence[Published]) -> Iterator[str]:
    """A correction of what was refused may keep the id."""
    first: dict[tuple[str, str], str] = {}
    for each in records:
        if isinstance(each.judged, Accepted):
            known = first.setdefault((each.judged.kind, each.judged.message_id), each.content)
            if known != each.content:
                yield f"{each.name} came with two payloads"


def _two_ids(records: Sequence[Published]) -> Iterator[str]:
    first: dict[str, str] = {}
    for each in records:
        if isinstance(each.judged, Accepted):
            known = first.setdefault(each.content, each.judged.message_id)
            if known != each.judged.message_id:
                yield f"{known} came again as {each.judged.message_id}"


def _dropped(records: Sequence[Published]) -> Iterator[str]:
    """The server drops what bears an id that it knows: another record is lost, another try gets no receipt."""
    first: dict[str, Published] = {}
    for each in records:
        if each.nats_id is None or (not each.stored and each.troubled):
            continue
        known = first.setdefault(each.nats_id, each)
        if known is each:
            continue
        if known.message_id != each.message_id or known.content != each.content:
            yield f"{each.nats_id} is of {known.name} and of {each.name}"
        elif each.asks_receipt and not each.names_itself_by_header:
            yield f"{each.nats_id} is of two tries: the second gets no receipt"


def _early(records: Sequence[Published]) -> Iterator[str]:
    for each in _accepted(records):
        if each.created_at > each.delivery.stored_at + _CLOCKS_APART:
            yield f"{each.message_id} is of {(each.created_at - each.delivery.stored_at) // MICROS_PER_SECOND} s later"


def _steps_back(records: Sequence[Published]) -> Iterator[str]:
    newest: dict[str, Accepted] = {}
    seen: set[str] = set()
    for each in _accepted(records):
        if each.message_id in seen:
            continue
        seen.add(each.message_id)
        before = newest.setdefault(each.trace_id, each)
        if each.created_at < before.created_at:
            yield f"{each.message_id} is older than {before.message_id}, which came before it"
        else:
            newest[each.trace_id] = each


def _traces(records: Sequence[Published]) -> Verdict:
    """``00-<trace id>-<span id>-<flags>``: its trace id is the envelope's, less the dashes."""
    rule = "traceparent: is of the envelope's trace"
    bearing = [each for each in _accepted(records) if _TRACEPARENT in each.delivery.headers]
    if not bearing:
        return Verdict(rule, Outcome.NOT_TRIED, "no record bears one")
    strange = [
        each.message_id
        for each in bearing
        if each.delivery.headers[_TRACEPARENT].split("-")[1:2] != [each.trace_id.replace("-", "")]
    ]
    return kept(rule, strange)


def _after_refusals(records: Sequence[Published]) -> Verdict:
    rule = "refusal: a record that was refused is corrected, not sent again as it was"
    told: set[tuple[str | None, str]] = set()
    again = []
    for each in records:
        key = (each.message_id, each.content)
        if key in told:
            again.append(f"{each.name} came again as it was")
        if each.told_refused:
            told.add(key)
    return kept(rule, again) if told else Verdict(rule, Outcome.NOT_TRIED, "no record was refused by a receipt")
