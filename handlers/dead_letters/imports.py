"""Records of imports: through the same gate and the same rules as messages, in the transaction of the caller."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from contracts import subjects
from contracts.errors import JsonObject, JsonValue, Problem
from contracts.gate.delivery import Accepted, Delivery, Judged
from handlers.batch import dead_letter_alone, decide_batch
from handlers.dead_letters.dead_letters import IMPORT_STREAM
from handlers.effects import Context, Fact, Families, MessageOutcome, Verdict
from storage.unit_of_work import UnitOfWork

PLACE_HEADER = "Headgate-Import"
MOST_ERRORS = 1_000
_SEQUENCE_BITS = 52


def record_delivery(kind: str, body: bytes, *, source: str, line: int, started_at: int) -> Delivery:
    """A record as the gate takes it.

    Its sequence is made of what it says, so that the dead letter of a record is found when the record comes again. Its
    time is the import's, later lines later: of two records about one thing the last counts.
    """
    digest = hashlib.sha256(kind.encode() + b"\0" + body).digest()
    return Delivery(
        subject=subjects.ingest(kind),
        body=body,
        headers={PLACE_HEADER: f"{source}:{line}"},
        stream=IMPORT_STREAM,
        sequence=int.from_bytes(digest[:8], "big") >> (64 - _SEQUENCE_BITS),
        delivered=1,
        stored_at=started_at + line,
        ack_to="",
    )


@dataclass(frozen=True, slots=True)
class ImportReport:
    """How far an import has come: ``read = written + skipped + refused``."""

    read: int = 0
    written: int = 0
    skipped: int = 0
    refused: int = 0
    errors: Sequence[JsonObject] = field(default=())

    def as_json(self) -> JsonObject:
        return {
            "read": self.read,
            "written": self.written,
            "skipped": self.skipped,
            "refused": self.refused,
            "errors": [*self.errors],
        }

    @classmethod
    def from_json(cls, told: JsonObject) -> "ImportReport":
        counts = {name: int(str(told[name])) for name in ("read", "written", "skipped", "refused")}
        errors = told["errors"]
        listed = [error for error in errors if isinstance(error, dict)] if isinstance(errors, list) else []
        return cls(**counts, errors=listed)

    def with_outcomes(self, lines: Sequence[int], outcomes: Sequence[MessageOutcome]) -> "ImportReport":
        """With what became of the records of *lines*."""
        verdicts = [outcome.verdict for outcome in outcomes]
        refused = [(line, each.error) for line, each in zip(lines, outcomes, strict=True) if each.error is not None]
        return replace(
            self,
            read=self.read + len(lines),
            written=self.written + verdicts.count(Verdict.ACCEPTED),
            skipped=self.skipped + verdicts.count(Verdict.DUPLICATE),
            refused=self.refused + verdicts.count(Verdict.REFUSED),
            errors=[*self.errors, *(_error(*each) for each in refused)][:MOST_ERRORS],
        )

    def with_unreadable(self, line: int, why: Problem) -> "ImportReport":
        """With a record that could not even be read as far as its end."""
        errors = [*self.errors, _error(line, why.as_json())][:MOST_ERRORS]
        return replace(self, read=self.read + 1, refused=self.refused + 1, errors=errors)


def _error(line: int, error: JsonObject) -> JsonObject:
    return {"line": line, "error": error}


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of some records, and what follows from it."""

    outcomes: Sequence[MessageOutcome]
    facts: Sequence[Fact]
    lanes: frozenset[str]


def take_records(batch: Sequence[Judged], uow: UnitOfWork, context: Context, families: Families) -> Taken:
    """Decide on records in their order. Those that can only be decided after others of the batch come after them."""
    outcomes: dict[int, MessageOutcome] = {}
    facts: list[Fact] = []
    lanes: set[str] = set()
    waiting = list(range(len(batch)))
    while waiting:
        settled = decide_batch([batch[index] for index in waiting], uow, context, families)
        facts += settled.facts
        lanes |= settled.lanes
        decided = dict(zip(waiting, settled.outcomes, strict=True))
        outcomes |= {index: outcome for index, outcome in decided.items() if outcome.verdict is not Verdict.HELD}
        waiting = [index for index in waiting if index not in outcomes]
    in_order = [outcomes[index] for index in range(len(batch))]
    _keep_keys(batch, in_order, uow)
    return Taken(in_order, facts, frozenset(lanes))


def take_poison(judged: Judged, cause: Problem, uow: UnitOfWork, context: Context) -> Taken:
    """Dead-letter the one record that no transaction survives."""
    settled = dead_letter_alone(judged, cause, uow, context)
    return Taken(settled.outcomes, settled.facts, settled.lanes)


def _keep_keys(batch: Sequence[Judged], outcomes: Sequence[MessageOutcome], uow: UnitOfWork) -> None:
    uow.inbox.retain(
        [
            (judged.kind, judged.message_id)
            for judged, outcome in zip(batch, outcomes, strict=True)
            if isinstance(judged, Accepted) and outcome.verdict is Verdict.ACCEPTED
        ]
    )


def report_of(stored: JsonValue) -> ImportReport:
    """The report that a run has so far; an empty one where it has none."""
    return ImportReport.from_json(stored) if isinstance(stored, dict) else ImportReport()
