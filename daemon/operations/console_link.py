"""``console-link``: a one-time link to the console; its code stands in the answer alone, in no audit and no log."""

from collections.abc import Callable

from contracts.errors import ErrorCode, JsonObject, problem
from contracts.values.times import format_micros
from daemon.http.console import Console
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audit import OpsAudit
from handlers.commands.command import Command, Reply, ok, refuse


class ConsoleLinkOperation:
    """Issues a link where the console's user is the embedded server's."""

    def __init__(self, issue: Callable[[], tuple[str, int] | None], why: str, audit: OpsAudit) -> None:
        self._issue = issue
        self._why = why
        self._audit = audit

    async def __call__(self, command: Command) -> Reply:
        run = self._audit.new_run(command)
        link = self._issue()
        if link is None:
            refused = problem(ErrorCode.INVALID_STATE, self._why).traced(command.trace_id)
            await self._audit.record(run, error=refused.as_json())
            return refuse(refused)
        url, expires_at = link
        told: JsonObject = {"expires_at": format_micros(expires_at)}
        written = await self._audit.record(run, result=told)
        return ok({"run_id": run.run_id if written else None, "url": url, **told})


def make(context: OperationContext) -> ServedOperation:
    """The operation. It keeps its record itself, without the code."""
    console: Console = context.console
    why = f"there is no console: {console.off}" if console.off else f"sign in at {console.url}: the server is external"
    return ServedOperation(ConsoleLinkOperation(console.issue_link, why, context.audit))
