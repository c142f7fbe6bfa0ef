"""Every command that is served, on which subject, and who answers it."""

from collections.abc import Mapping, Sequence

from adapters.nats.service import Endpoint
from contracts.contract import Contract
from contracts.registry import REGISTRY
from contracts.subjects import Family, Subjects
from daemon.commands.command_endpoint import ChangeRoute, Operation, OperationRoute, PreparedRoute, QueryRoute, Route
from handlers.registry import CHANGES, QUERIES


def served() -> Sequence[Contract]:
    """The contracts of all commands and operations."""
    return [*REGISTRY.contracts(Family.COMMAND), *REGISTRY.contracts(Family.OPS)]


def endpoint_name(contract: Contract) -> str:
    """A command's name in service discovery, where dots are not allowed."""
    return contract.kind.replace(".", "-")


def endpoints(subjects: Subjects) -> Sequence[Endpoint]:
    """What the service listens on."""
    return [Endpoint(endpoint_name(contract), subjects.full(str(contract.address))) for contract in served()]


def routes(operations: Mapping[str, Operation], prepared: Mapping[str, Operation]) -> Mapping[str, Route]:
    """Endpoint name -> who answers. Raises ``KeyError`` for a contract that nobody answers: a mistake of ours."""
    return {endpoint_name(contract): _route(contract, operations, prepared) for contract in served()}


def _route(contract: Contract, operations: Mapping[str, Operation], prepared: Mapping[str, Operation]) -> Route:
    if contract.kind in operations:
        return OperationRoute(contract, operations[contract.kind])
    if contract.kind in prepared:
        return PreparedRoute(contract, prepared[contract.kind])
    if contract.kind in CHANGES:
        return ChangeRoute(contract)
    return QueryRoute(contract, QUERIES[contract.kind])
