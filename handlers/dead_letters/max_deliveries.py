"""Messages that the server delivered as often as it may, and gave up on: kept as refused ones are; none is lost."""

from contracts.errors import ErrorCode, Problem, problem
from contracts.gate.delivery import Accepted, Delivery, Judged, Lineage, Refused
from contracts.gate.examination import UNKNOWN_KIND
from handlers.dead_letters.dead_letters import record_dead_letters
from handlers.effects import Context
from handlers.replays.replays import open_again
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork


def keep_given_up(delivery: Delivery, judged: Judged | None, uow: UnitOfWork, context: Context) -> list[OutboxMessage]:
    """Dead-letter a message that nobody will deliver again; answers the messages that tell of it.

    One that was refused has its dead letter, one that was taken has its key: there it is only the acknowledgement that
    never came. *judged* is None where the message is not to be looked at: it may be what ends processes.
    """
    if uow.dead_letters.problems_of([(delivery.stream, delivery.sequence, delivery.stored_at)]):
        return []
    if isinstance(judged, Accepted) and _was_taken(judged, uow):
        return []
    why = given_up_after(delivery.delivered)
    messages = record_dead_letters([_refused(delivery, judged, why)], uow, context)
    uow.outbox.add(messages, owner=context.daemon_id, now=context.now)
    return messages


def open_given_up(lineage: Lineage, deliveries: int, uow: UnitOfWork, context: Context) -> int:
    """Open the dead letter of a replay that nobody will deliver again."""
    return open_again([lineage], given_up_after(deliveries), uow, context)


def given_up_after(deliveries: int) -> Problem:
    return problem(ErrorCode.INTERNAL_ERROR, f"given up after {deliveries} deliveries")


def _was_taken(accepted: Accepted, uow: UnitOfWork) -> bool:
    key = (accepted.kind, accepted.message_id)
    return uow.inbox.known([key]).get(key) == accepted.payload_hash


def _refused(delivery: Delivery, judged: Judged | None, why: Problem) -> Refused:
    if judged is None:
        return Refused(why, UNKNOWN_KIND, None, None, delivery)
    trace_id = judged.trace_id if isinstance(judged, Accepted) else judged.problem.trace_id
    return Refused(why.traced(trace_id), judged.kind, judged.message_id, judged.producer, delivery)
