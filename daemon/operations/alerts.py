"""``alerts``: looking at alerts, keeping one quiet, ending one, taking one on."""

from contracts.payloads.alerts import AlertAction, Alerts
from daemon.maintenance.alert_evaluation import log_transitions
from daemon.operations.context import OperationContext, ServedOperation
from daemon.settings.alert_terms import notifier_terms
from daemon.transactions import ANSWERED, committed
from handlers.alerts.alert_actions import act_on_alert
from handlers.alerts.alert_queries import alert_view
from handlers.alerts.recorder import AlertRecorder
from handlers.commands.command import Command, Reply, ok, payload_of
from storage.journal.ops_runs import NewRun
from storage.unit_of_work import UnitOfWork


def make(context: OperationContext) -> ServedOperation:
    return ServedOperation(context.audited(AlertsOperation(context)))


class AlertsOperation:
    """Looks from a snapshot, acts in a transaction."""

    def __init__(self, parts: OperationContext) -> None:
        self._parts = parts
        self._notifiers = notifier_terms(parts.settings)

    async def __call__(self, command: Command, run: NewRun) -> Reply:  # noqa: ARG002 - the shape of an operation
        wanted = payload_of(command, Alerts)
        if wanted.action is AlertAction.LIST:
            return await self._parts.database.read(_list)
        context = self._parts.context()

        def act(uow: UnitOfWork) -> tuple[Reply, AlertRecorder]:
            return act_on_alert(command, uow, context, self._notifiers)

        reply, recorder = await committed(self._parts.database, act, repeats=ANSWERED)
        self._parts.wake(recorder.lanes)
        log_transitions(recorder)
        return reply


def _list(uow: UnitOfWork) -> Reply:
    rules = uow.alerts.rules()
    return ok({"items": [alert_view(alert, rules.get(alert.rule)) for alert in uow.alerts.all()]})
