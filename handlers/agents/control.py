"""Control messages: what an operator tells an agent, and the answer that closes the run."""

from typing import Final

import orjson

from contracts import outgoing, subjects
from contracts.errors import ErrorCode, JsonObject, Problem, problem
from contracts.payloads.ingest.session import SessionEventType
from contracts.payloads.operations.agents import AgentAnswered, Control
from contracts.values.states import RunStatus
from contracts.values.times import MICROS_PER_SECOND, format_micros
from handlers.effects import Context
from storage.journal.ops_runs import FAILED, SUCCEEDED, Run
from storage.journal.outbox import OutboxMessage
from storage.ledger.ledger import SessionEvent
from storage.unit_of_work import UnitOfWork

OPERATION: Final = "control"
VOID_AFTER_S: Final = 60
CONTROL_ID: Final = "control_id"
ANSWERED: Final = "answered"


def expires_at(started_at: int) -> int:
    """When a control message is void; both in microseconds since the epoch."""
    return started_at + VOID_AFTER_S * MICROS_PER_SECOND


def control_message(wanted: Control, control_id: str, by: str, trace_id: str, context: Context) -> OutboxMessage:
    """``control.<agent>``; the run's id is the control's too."""
    subject = subjects.control(wanted.agent)
    payload: JsonObject = {
        **wanted.model_dump(mode="json", exclude_none=True),
        CONTROL_ID: control_id,
        "by": by,
        "expires_at": format_micros(expires_at(context.now)),
    }
    return OutboxMessage(
        message_id=control_id,
        lane=context.subjects.lane(subject),
        aggregate=f"agent.{wanted.agent}",
        subject=context.subjects.full(subject),
        body=outgoing.envelope(OPERATION, payload, message_id=control_id, trace_id=trace_id, now=context.now),
    )


def answer_event(event: SessionEvent, context: Context) -> OutboxMessage | None:
    """That an agent answers a control message, told beside the stored event; None where it does not. Runs are closed
    by whoever hears of it, so that intake never waits for a run."""
    control_id = _control_id(event)
    if control_id is None:
        return None
    subject, message_id = subjects.event("agent", event.agent, ANSWERED), context.new_id()
    payload: JsonObject = {
        "agent": event.agent,
        CONTROL_ID: control_id,
        "session_id": event.session_id,
        "message_id": event.message_id,
        "type": event.type,
        "at": format_micros(event.at),
    }
    return OutboxMessage(
        message_id=message_id,
        lane=context.subjects.lane(subject),
        aggregate=f"agent.{event.agent}",
        subject=context.subjects.full(subject),
        body=outgoing.envelope(
            outgoing.event_kind("agent", ANSWERED),
            payload,
            message_id=message_id,
            trace_id=event.trace_id,
            now=context.now,
        ),
    )


def _control_id(event: SessionEvent) -> str | None:
    if event.data is None or CONTROL_ID not in event.data:
        return None
    said = orjson.loads(event.data).get(CONTROL_ID)
    return said if isinstance(said, str) and said else None


def close_answered(answered: AgentAnswered, uow: UnitOfWork, context: Context) -> bool:
    """End the run that the answer names; False where there is none that waits for this agent, or no such event was
    stored: then the message is forged or late."""
    run = uow.ops_runs.get(answered.control_id)
    if run is None or run.status != RunStatus.RUNNING or not _is_for(run, answered.agent):
        return False
    if not uow.agents.has_event(answered.message_id, answered.session_id):
        return False
    failed = answered.type == SessionEventType.FAILED
    result: JsonObject = {
        CONTROL_ID: answered.control_id,
        "agent": answered.agent,
        "session_id": answered.session_id,
        "message_id": answered.message_id,
        "type": str(answered.type),
    }
    return uow.ops_runs.finish(
        run.run_id,
        status=FAILED if failed else SUCCEEDED,
        ended_at=context.now,
        result=result,
        error=REFUSED_BY_AGENT.traced(run.trace_id).as_json() if failed else None,
    )


def void(run: Run, uow: UnitOfWork, context: Context) -> bool:
    """End a run that nobody answered in time; False where it ended already."""
    error = NOT_ANSWERED.traced(run.trace_id).as_json()
    return uow.ops_runs.finish(run.run_id, status=FAILED, ended_at=context.now, error=error)


def _is_for(run: Run, agent: str) -> bool:
    return run.operation == OPERATION and orjson.loads(run.parameters).get("agent") == agent


NOT_ANSWERED: Final[Problem] = problem(
    ErrorCode.UPSTREAM_FAILED, f"the agent did not answer within {VOID_AFTER_S} s: the message is void"
)
REFUSED_BY_AGENT: Final[Problem] = problem(ErrorCode.UPSTREAM_FAILED, "the agent answered that it failed")
