"""``about``: who the caller is and may do, and what the daemon is."""

from contracts.payloads.commands.jobs import MAX_LIMIT
from contracts.values.times import format_micros
from daemon.contract_document import contract_document
from daemon.maintenance.lease_heartbeat import LEASE_PREFIX
from daemon.operations.context import OperationContext, ServedOperation
from daemon.version import VERSION
from handlers.commands.command import Command, Reply, ok
from storage.journal.ops_runs import NewRun


class AboutOperation:
    """Answers from memory, and which daemons live from the leases."""

    def __init__(self, given: OperationContext) -> None:
        self._given = given
        self._started_at = given.clock()

    async def __call__(self, command: Command, run: NewRun) -> Reply:  # noqa: ARG002 - the shape of an operation
        given = self._given
        now = given.context().now
        leases = await given.database.read(lambda uow: uow.leases.holders(LEASE_PREFIX))
        daemons = sorted(name.removeprefix(LEASE_PREFIX) for name, in_force in leases.items() if in_force)
        principal = command.principal
        return ok(
            {
                "principal": principal.owner,
                "scopes": [*sorted(str(scope) for scope in principal.scopes)],
                "auth": given.settings.auth.mode,
                "now": format_micros(now),
                "version": VERSION,
                "prefix": given.subjects.prefix,
                "daemon": {"id": given.daemon_id, "started_at": format_micros(self._started_at)},
                "daemons": [*daemons],
                "limits": {
                    "max_bytes": given.rules.max_bytes,
                    "max_payload": given.nc.max_payload,
                    "page": MAX_LIMIT,
                },
                "contracts_digest": (await contract_document(given.subjects)).digest,
            }
        )


def make(context: OperationContext) -> ServedOperation:
    """The operation, which is a look like any other."""
    return ServedOperation(context.audited(AboutOperation(context)))
