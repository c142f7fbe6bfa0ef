"""``control``: tell an agent to end, to begin, or to use another model; its answer closes the run."""

from typing import Final

import anyio

from contracts.errors import JsonObject
from contracts.payloads.operations.agents import Control
from contracts.values.times import MICROS_PER_SECOND, format_micros
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audited import GOES_ON
from daemon.runs.runs import RunWorker
from daemon.transactions import committed
from handlers.agents.control import control_message, expires_at, void
from handlers.commands.command import Command, Reply, payload_of
from storage.journal.ops_runs import NewRun, Run
from storage.unit_of_work import UnitOfWork

_GRACE_S: Final = 1.0
"""For an answer that was given in time and is still on its way."""


def make(context: OperationContext) -> ServedOperation:
    return ServedOperation(
        context.audited(ControlOperation(context)), RunWorker(ControlDeadline(context).wait, resumable=True)
    )


class ControlOperation:
    """Sends the message; the run goes on until the agent answers, or the time is over."""

    def __init__(self, parts: OperationContext) -> None:
        self._parts = parts

    async def __call__(self, command: Command, run: NewRun) -> Reply:
        wanted = payload_of(command, Control)
        context = self._parts.context()
        message = control_message(wanted, run.run_id, command.principal.owner, command.trace_id, context)

        def send(uow: UnitOfWork) -> None:
            uow.outbox.add([message], owner=context.daemon_id, now=context.now)

        await committed(self._parts.database, send)
        self._parts.wake({message.lane})
        self._parts.runs.begin(run.run_id)
        result: JsonObject = {"control_id": run.run_id, "expires_at": format_micros(expires_at(context.now))}
        return Reply(GOES_ON, result)


class ControlDeadline:
    """Ends runs that nobody answered. Another daemon waits on where this one dies."""

    def __init__(self, parts: OperationContext) -> None:
        self._parts = parts

    async def wait(self, run: Run) -> None:
        left_s = (expires_at(run.started_at) - self._parts.clock()) / MICROS_PER_SECOND
        await anyio.sleep(max(0.0, left_s) + _GRACE_S)
        await committed(self._parts.database, lambda uow: void(run, uow, self._parts.context()))
