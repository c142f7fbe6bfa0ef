"""What the contract says of callbacks before they reach a job: what is known, what is held, what is refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from tests.handlers.jobs.job_model import (
    ENDS,
    SECOND,
    WORKERS_MAY_ASK,
    WORKERS_MAY_REPEAT,
    Answer,
    Json,
    ModelJob,
)

REORDER_S: Final = 60


@dataclass(frozen=True)
class Callback:
    """A report on its way to the job *job_id*, as the stream keeps it."""

    number: int
    job_id: str
    message_id: str
    payload: Json
    stored_at: int

    @property
    def said(self) -> str:
        """All that makes it another one under the same id."""
        return json.dumps([self.job_id, self.payload], sort_keys=True)


@dataclass
class Desk:
    """What is remembered of callbacks: those that took effect, their messages, and the refusals by place."""

    events: dict[str, str] = field(default_factory=dict)
    messages: dict[str, str] = field(default_factory=dict)
    refused: dict[int, str] = field(default_factory=dict)

    def known(self, one: Callback) -> Answer | None:
        """What a message or an event that took effect before is answered."""
        first = self.messages.get(one.message_id, self.events.get(one.payload["event_id"]))
        if first is None:
            return None
        return 200 if first == one.said else "EVENT_ID_PAYLOAD_MISMATCH"


class Batch:
    """Callbacks that are settled together. Each is decided as it is put in; the answers are there at the end."""

    def __init__(self, desk: Desk, jobs: Mapping[str, ModelJob], *, older: bool, worker: str, now: int) -> None:
        self._desk, self._jobs, self._older, self._worker, self._now = desk, jobs, older, worker, now
        self._known_before = set(desk.messages)
        self._put: dict[int, Callback] = {}
        self._leaders: dict[str, Callback] = {}
        self._answers: dict[int, Answer] = {}
        self._waiting: set[str] = set()

    def __contains__(self, number: int) -> bool:
        return number in self._put

    def put(self, one: Callback) -> None:
        self._put[one.number] = one
        if one.number in self._desk.refused:
            self._answers[one.number] = self._desk.refused[one.number]
        elif self._leaders.setdefault(one.message_id, one) is one:
            answer = self._answers[one.number] = self._decide(one)
            if answer in {200, 204}:
                self._desk.messages[one.message_id] = one.said
            if answer == "held":
                self._waiting.add(one.job_id)

    def answers(self) -> list[Answer]:
        """What each is answered, in order."""
        for number, one in self._put.items():
            if number not in self._answers:
                leader = self._leaders[one.message_id]
                self._answers[number] = self._follow(one, leader, self._answers[leader.number])
        refused = {at: word for at, word in self._answers.items() if isinstance(word, str) and word != "held"}
        self._desk.refused |= refused
        return [self._answers[number] for number in self._put]

    def _decide(self, one: Callback) -> Answer:
        if (known := self._desk.known(one)) is not None:
            return known
        job, report = self._jobs.get(one.job_id), one.payload
        if job is None:
            return "RESOURCE_NOT_FOUND"
        if (why := job.refuses(report)) is not None:
            return why
        forbidden = job.forbids(report["status"])
        overtook = forbidden or report["sequence"] > job.sequence + 1
        could_be_mended = job.status not in ENDS and report["status"] in WORKERS_MAY_ASK | WORKERS_MAY_REPEAT
        others = self._older or one.job_id in self._waiting
        if overtook and could_be_mended and others and self._now < one.stored_at + REORDER_S * SECOND:
            return "held"
        if forbidden:
            return "INVALID_TRANSITION"
        job.accept(report, self._worker, self._now)
        self._desk.events[report["event_id"]] = one.said
        return 204

    def _follow(self, one: Callback, leader: Callback, first: Answer) -> Answer:
        """The later of two with one message id in one batch: as if it came in the next batch, or held until then."""
        if one.message_id in self._known_before or first == 204:
            return 200 if self._desk.messages[one.message_id] == one.said else "EVENT_ID_PAYLOAD_MISMATCH"
        refused = isinstance(first, str) and first != "held"
        return first if refused and one.said == leader.said else "held"
