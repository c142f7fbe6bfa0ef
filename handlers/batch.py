"""The heart of intake: one batch of judged deliveries becomes one transaction.

Known keys are told from new ones, each family decides on its group, refusals become dead letters (row first, message
second), and every delivery gets one outcome.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from contracts.errors import ErrorCode, Problem, problem
from contracts.gate.delivery import Accepted, Delivery, Judged, Lineage, Refused
from contracts.subjects import parse_callback
from handlers.batch_preparation import PreparedBatch
from handlers.dead_letters.dead_letters import record_dead_letters
from handlers.effects import BatchOutcome, Context, Effects, Fact, Families, Handler, MessageOutcome, Verdict
from handlers.replays.replays import close, superseded
from storage.journal.dead_letters import Origin
from storage.journal.inbox import InboxKey, MessageKey
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork

_CREATED, _NO_CONTENT, _OK = 201, 204, 200
_ACCEPTED = MessageOutcome(Verdict.ACCEPTED, _CREATED)
_ACCEPTED_CALLBACK = MessageOutcome(Verdict.ACCEPTED, _NO_CONTENT)
_DUPLICATE = MessageOutcome(Verdict.DUPLICATE, _OK)
_IGNORED = MessageOutcome(Verdict.IGNORED, _OK)


def decide_batch(
    batch: Sequence[Judged],
    uow: UnitOfWork,
    context: Context,
    families: Families,
    prepared: PreparedBatch | None = None,
) -> BatchOutcome:
    """Decide and write *batch* inside the caller's transaction. *prepared* spares the deciding where all of it is new.

    Nothing in memory may change here: the transaction can still fail. Raises whatever a handler or the database
    raises; the caller then rolls back and halves, waits or repeats.
    """
    decision = _BatchDecision(batch, uow, context)
    if prepared is None or not decision.write_prepared(prepared):
        decision.pass_over_known()
        decision.claim_keys()
        decision.hand_to(families)
        decision.record_refused()
    return decision.finish()


def dead_letter_alone(judged: Judged, cause: Problem, uow: UnitOfWork, context: Context) -> BatchOutcome:
    """Dead-letter the one delivery that made its batch fail, without looking at what it says again."""
    delivery = judged.delivery
    if isinstance(judged, Accepted):
        refused = Refused(cause.traced(judged.trace_id), judged.kind, judged.message_id, judged.producer, delivery)
    else:
        refused = replace(judged, problem=cause.traced(judged.problem.trace_id))
    decision = _BatchDecision([refused], uow, context)
    decision.pass_over_known()
    decision.claim_keys()
    decision.record_refused()
    return decision.finish()


class _BatchDecision:
    """One batch on its way through: outcomes fill up step by step."""

    def __init__(self, batch: Sequence[Judged], uow: UnitOfWork, context: Context) -> None:
        self._batch = batch
        self._uow = uow
        self._context = context
        self._are_replays = bool(batch) and batch[0].delivery.lineage is not None
        self._outcomes: dict[int, MessageOutcome] = {}
        self._refused: dict[int, Refused] = {}
        self._new: list[int] = []
        self._followers: dict[int, int] = {}
        self._known: Mapping[MessageKey, str] = {}
        self._outbox: list[OutboxMessage] = []
        self._facts: list[Fact] = []

    def write_prepared(self, prepared: PreparedBatch) -> bool:
        """Write what was decided beforehand; false, and nothing done, where a message is known already."""
        if not self._uow.inbox.claim_new(prepared.keys, len(self._batch)):
            return False
        for group in prepared.groups:
            self._take(group.write(self._uow), group.indices)
        return True

    def pass_over_known(self) -> None:
        """Whatever was decided in an earlier batch is not decided again. A consumer brings either replays or none."""
        if self._are_replays:
            late = superseded([judged.delivery for judged in self._batch], self._uow)
            self._outcomes.update(dict.fromkeys(late, _IGNORED))
        else:
            self._repeat_earlier_refusals()

    def _repeat_earlier_refusals(self) -> None:
        """A redelivery whose dead letter exists gets the recorded answer once more, and no second row."""
        again: defaultdict[Origin, list[int]] = defaultdict(list)
        for index, judged in enumerate(self._batch):
            if judged.delivery.delivered > 1:
                again[_origin(judged.delivery)].append(index)
        for origin, error in self._uow.dead_letters.problems_of(list(again)).items():
            status = error["status"]
            outcome = MessageOutcome(Verdict.REFUSED, status if isinstance(status, int) else _OK, error)
            self._outcomes.update(dict.fromkeys(again[origin], outcome))

    def claim_keys(self) -> None:
        """Tell new messages from duplicates and conflicts, against the inbox and within the batch."""
        first: dict[MessageKey, int] = {}
        for index, judged in enumerate(self._batch):
            if index in self._outcomes:
                continue
            if isinstance(judged, Refused):
                self._refused[index] = judged
                continue
            leader = first.setdefault((judged.kind, judged.message_id), index)
            if leader != index:
                self._followers[index] = leader
        self._new = self._claim(first)

    def _claim(self, first: dict[MessageKey, int]) -> list[int]:
        if not first:
            return []
        ordered = sorted(first)
        asking = [InboxKey(*key, self._accepted(first[key]).payload_hash) for key in ordered]
        self._known = self._uow.inbox.claim(asking, now=self._context.now)
        for key, payload_hash in self._known.items():
            self._meet_known(first[key], payload_hash)
        return [index for key, index in first.items() if key not in self._known]

    def _meet_known(self, index: int, payload_hash: str) -> None:
        accepted = self._accepted(index)
        if accepted.payload_hash == payload_hash:
            self._outcomes[index] = _DUPLICATE
        else:
            self._refuse(index, key_conflict(accepted.delivery))

    def hand_to(self, families: Families) -> None:
        """Give each family its new messages as one group."""
        groups: defaultdict[Handler, list[int]] = defaultdict(list)
        for index in self._new:
            groups[families[self._accepted(index).kind]].append(index)
        for handler, indices in groups.items():
            effects = handler([self._accepted(index) for index in indices], self._uow, self._context)
            self._take(effects, indices)
        self._follow_leaders()

    def _take(self, effects: Effects, indices: Sequence[int]) -> None:
        self._outbox += effects.outbox
        self._facts += effects.facts
        if not effects.refused and not effects.held and not effects.repeated:
            self._outcomes.update((index, self._accepted_outcome(index)) for index in indices)
            return
        for at, index in enumerate(indices):
            if (why := effects.refused.get(at)) is not None:
                self._refuse(index, why)
            elif (hold_s := effects.held.get(at)) is not None:
                self._outcomes[index] = MessageOutcome(Verdict.HELD, _OK, hold_s=hold_s)
            elif at in effects.repeated:
                self._outcomes[index] = _DUPLICATE
            else:
                self._outcomes[index] = self._accepted_outcome(index)
        kept_out = [*effects.refused, *effects.held]
        self._uow.inbox.release([self._key(indices[at]) for at in kept_out])

    def _accepted_outcome(self, index: int) -> MessageOutcome:
        return _ACCEPTED_CALLBACK if _is_callback(self._batch[index].delivery) else _ACCEPTED

    def _follow_leaders(self) -> None:
        """Settle the later messages with one key in one batch, as if they had come in a batch of their own."""
        for index, leader in self._followers.items():
            payload_hash = self._accepted(index).payload_hash
            same = payload_hash == self._accepted(leader).payload_hash
            if (known := self._known.get(self._key(index))) is not None:
                self._meet_known(index, known)
            elif self._outcomes.get(leader) is _ACCEPTED or self._outcomes.get(leader) is _ACCEPTED_CALLBACK:
                self._meet_known(index, self._accepted(leader).payload_hash)
            elif same and leader in self._refused:
                self._refuse(index, self._refused[leader].problem)
            else:
                # The first one did not use up the key: this one has its own chance, in the next batch.
                self._outcomes[index] = MessageOutcome(Verdict.HELD, _OK)

    def record_refused(self) -> None:
        """Write the dead letters and put their messages in line. A refused replay has its dead letter already."""
        if not self._are_replays:
            self._outbox += record_dead_letters(list(self._refused.values()), self._uow, self._context)
        for index, refused in self._refused.items():
            self._outcomes[index] = MessageOutcome(Verdict.REFUSED, refused.problem.status, refused.problem.as_json())
            self._note_refused(refused)

    def _note_refused(self, refused: Refused) -> None:
        """For the log: who and which rule, nothing of what was said."""
        why, delivery = refused.problem, refused.delivery
        callback = parse_callback(delivery.subject)
        named = {f"{callback.family}_id": callback.id} if callback is not None else {}
        self._uow.note(
            "message_refused",
            code=str(why.code),
            kind=refused.kind,
            message_id=refused.message_id,
            producer=refused.producer,
            trace_id=why.trace_id,
            stream=delivery.stream,
            sequence=delivery.sequence,
            **named,
        )

    def finish(self) -> BatchOutcome:
        if self._are_replays:
            close(self._decided_replays(), self._uow, self._context)
        self._uow.outbox.add(self._outbox, owner=self._context.daemon_id, now=self._context.now)
        lanes = frozenset(message.lane for message in self._outbox)
        return BatchOutcome([self._outcomes[index] for index in range(len(self._batch))], self._facts, lanes)

    def _decided_replays(self) -> Iterator[tuple[Lineage, MessageOutcome, Problem | None]]:
        for index, judged in enumerate(self._batch):
            refused = self._refused.get(index)
            if (lineage := judged.delivery.lineage) is not None:
                yield lineage, self._outcomes[index], refused.problem if refused else None

    def _refuse(self, index: int, why: Problem) -> None:
        accepted = self._accepted(index)
        self._refused[index] = Refused(
            why.traced(accepted.trace_id), accepted.kind, accepted.message_id, accepted.producer, accepted.delivery
        )

    def _accepted(self, index: int) -> Accepted:
        judged = self._batch[index]
        if not isinstance(judged, Accepted):
            raise TypeError(f"delivery {index} of the batch was refused by the gate")
        return judged

    def _key(self, index: int) -> MessageKey:
        accepted = self._accepted(index)
        return (accepted.kind, accepted.message_id)


def _origin(delivery: Delivery) -> Origin:
    return (delivery.stream, delivery.sequence, delivery.stored_at)


def key_conflict(delivery: Delivery) -> Problem:
    """Why a message whose key was used with another payload is refused."""
    return _MISMATCH if _is_callback(delivery) else _CONFLICT


def _is_callback(delivery: Delivery) -> bool:
    return delivery.subject.startswith("callback.")


# It says nothing of the first message: a caller who guesses a key learns only that it is taken.
_CONFLICT = problem(ErrorCode.IDEMPOTENCY_CONFLICT, "this message_id was used with another payload")
_MISMATCH = problem(ErrorCode.EVENT_ID_PAYLOAD_MISMATCH, "this event_id was used with another payload")
INTERNAL = problem(ErrorCode.INTERNAL_ERROR, "the message could not be processed")
"""What a poison message is answered; its cause is logged under the trace id, never sent."""
