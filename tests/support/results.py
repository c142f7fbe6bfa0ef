"""Holds every answer that a test gets to what the contract says of it."""

from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from pydantic import TypeAdapter

from contracts.registry import REGISTRY
from contracts.results import RESULTS
from contracts.subjects import Family


def check_result(kind: str, payload: dict[str, Any]) -> None:
    """Fail where the result of a command that succeeded is not as AsyncAPI tells; *payload* is the reply's."""
    validator = _validator(kind)
    if validator is None or "result" not in payload:
        return
    faults = [
        f"{'.'.join(map(str, fault.path))}: {fault.message}" for fault in validator.iter_errors(payload["result"])
    ]
    assert not faults, f"{kind} answered what its contract does not say: {faults}"


@cache
def _validator(kind: str) -> Draft202012Validator | None:
    found = RESULTS.get(kind)
    for contract in REGISTRY.contracts(Family.COMMAND, Family.OPS):
        if contract.kind == kind and contract.result is not None:
            found = contract.result
    return None if found is None else Draft202012Validator(TypeAdapter(found).json_schema(by_alias=True))
