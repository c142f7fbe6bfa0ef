"""The operations by name. Adding one is a module beside this one and a line here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from daemon.commands.command_endpoint import Operation
from daemon.operations import (
    about,
    alerts,
    backup,
    console_link,
    control,
    dead_letters,
    health_check,
    import_legacy,
    prune,
    rebuild_aggregates,
    replay_failed,
    self_heal,
)
from daemon.operations.context import OperationContext, OperationFactory, ServedOperation
from handlers.agents.agent_queries import logs, system_status
from handlers.commands.command import Query
from handlers.content.kpi import report_kpis
from handlers.questions.explain import explain
from handlers.questions.find import find_id
from handlers.questions.jobs import list_all_jobs
from handlers.replays.run_queries import list_runs, replay_status


def _query(query: Query) -> OperationFactory:
    return lambda context: ServedOperation(context.audited_query(query))


OPERATIONS: Final[Mapping[str, OperationFactory]] = MappingProxyType(
    {
        "health-check": health_check.make,
        "console-link": console_link.make,
        "replay-failed": replay_failed.make,
        "replay-status": _query(replay_status),
        "replay-abort": replay_failed.make_abort,
        "dead-letters": dead_letters.make,
        "runs": _query(list_runs),
        "kpi-report": _query(report_kpis),
        "explain": _query(explain),
        "find": _query(find_id),
        "about": about.make,
        "jobs": _query(list_all_jobs),
        "alerts": alerts.make,
        "control": control.make,
        "system-status": _query(system_status),
        "logs": _query(logs),
        "self-heal": self_heal.make,
        "import-legacy": import_legacy.make,
        "prune": prune.make,
        "rebuild-aggregates": rebuild_aggregates.make,
        "backup": backup.make,
    }
)


def serve_operations(context: OperationContext) -> Mapping[str, Operation]:
    """Make every operation, and assign a worker to its runs."""
    served = {name: make(context) for name, make in OPERATIONS.items()}
    context.runs.assign({name: each.worker for name, each in served.items() if each.worker is not None})
    return {name: each.operation for name, each in served.items()}
