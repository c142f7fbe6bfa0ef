"""``health-check``: always answers, 200 while healthy or degraded, 503 with the whole result when unhealthy."""

from contracts.payloads.operations.care import HealthCheck as HealthCheckPayload
from daemon.observability.health import HealthCheck, Status
from daemon.operations.context import OperationContext, ServedOperation
from daemon.runs.audit import OpsAudit
from handlers.commands.command import Command, Reply, payload_of

_OK, _UNAVAILABLE = 200, 503


class HealthCheckOperation:
    """Measures every dependency for the caller."""

    def __init__(self, health: HealthCheck, audit: OpsAudit) -> None:
        self._health = health
        self._audit = audit

    async def __call__(self, command: Command) -> Reply:
        health = await self._health.measure(deep=payload_of(command, HealthCheckPayload).deep)
        result = health.as_json()
        run_id = None
        if self._audit.keeps(command):
            run = self._audit.new_run(command)
            run_id = run.run_id if await self._audit.record(run, result=result) else None
        answer = {"run_id": run_id, **result}
        return Reply(_UNAVAILABLE if health.status is Status.UNHEALTHY else _OK, answer)


def make(context: OperationContext) -> ServedOperation:
    """The operation. It answers also where nothing can be written, so it keeps its record itself."""
    return ServedOperation(HealthCheckOperation(context.health, context.audit))
