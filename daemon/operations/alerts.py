"""``alerts``: looking at alerts, keeping one quiet, ending one, taking one on."""

from typing import Final

from adapters.notifiers.base import Sent
from contracts.errors import ErrorCode, Problem, problem
from contracts.payloads.operations.alerts import AlertAction, Alerts
from daemon.operations.context import OperationContext, ServedOperation
from daemon.settings.alert_terms import notifier_terms
from daemon.subscribers.alert_messages import check_message
from daemon.subscribers.assembly import message_terms
from daemon.transactions import ANSWERED, committed
from handlers.alerts.alert_actions import act_on_alert
from handlers.alerts.alert_queries import alert_view
from handlers.alerts.recorder import AlertRecorder
from handlers.commands.command import Command, Reply, ok, payload_of, refuse
from storage.journal.ops_runs import NewRun
from storage.unit_of_work import UnitOfWork


def make(context: OperationContext) -> ServedOperation:
    return ServedOperation(context.audited(AlertsOperation(context)))


class AlertsOperation:
    """Looks from a snapshot, acts in a transaction."""

    def __init__(self, parts: OperationContext) -> None:
        self._parts = parts
        self._notifiers = notifier_terms(parts.settings)

    async def __call__(self, command: Command, run: NewRun) -> Reply:
        wanted = payload_of(command, Alerts)
        if wanted.action is AlertAction.LIST:
            return await self._parts.database.read(_list)
        if wanted.action is AlertAction.TEST:
            return await self._try(str(wanted.notifier), command, run)
        context = self._parts.context()

        def act(uow: UnitOfWork) -> tuple[Reply, AlertRecorder]:
            return act_on_alert(command, uow, context, self._notifiers)

        reply, recorder = await committed(self._parts.database, act, repeats=ANSWERED)
        self._parts.wake(recorder.lanes)
        return reply

    async def _try(self, name: str, command: Command, run: NewRun) -> Reply:
        """One message to a notifier, now, and how that went."""
        notifier = self._parts.notifiers.get(name)
        if notifier is None:
            return refuse(_NO_NOTIFIER)
        terms = message_terms(self._parts.settings)
        outcome = await notifier.send(check_message(run.run_id, command.principal.owner, self._parts.clock(), terms))
        if isinstance(outcome, Sent):
            return ok({"notifier": name, "outcome": "sent"})
        return refuse(problem(ErrorCode.UPSTREAM_FAILED, f"{name} did not take the test message: {outcome.reason}"))


_NO_NOTIFIER: Final[Problem] = problem(ErrorCode.RESOURCE_NOT_FOUND, "there is no such notifier")


def _list(uow: UnitOfWork) -> Reply:
    rules = uow.alerts.rules()
    return ok({"items": [alert_view(alert, rules.get(alert.rule)) for alert in uow.alerts.all()]})
