"""Invocations that were refused before they could act: they are runs too."""

from collections.abc import Mapping
from typing import Final

import orjson

from contracts.contract import Contract
from contracts.errors import JsonObject, Problem
from contracts.gate.commands import open_command
from contracts.gate.delivery import Delivery
from contracts.gate.rules import GateRules
from contracts.values.principals import Principal
from daemon.commands.authorization import Authenticator
from daemon.runs.audit import OpsAudit

NOBODY: Final = "unauthenticated"
_MOST_PARAMETERS: Final = 16 * 1024


class Refusals:
    """Writes their rows. What could be read of the request stands in them."""

    def __init__(self, audit: OpsAudit, authenticator: Authenticator, rules: GateRules) -> None:
        self._audit = audit
        self._authenticator = authenticator
        self._rules = rules

    async def note(self, contract: Contract, body: bytes, headers: Mapping[str, str], why: Problem) -> None:
        """Record one; where storage is away the row is owed."""
        now = self._audit.now()
        caller = self._authenticator.authenticate(headers, now)
        if not isinstance(caller, Principal):
            await self._audit.record_stranger(contract.kind, NOBODY, why)
            return
        opened = open_command(Delivery("", body, headers, "", 0, 1, now, ""), contract, self._rules)
        parameters = {} if isinstance(opened, Problem) else _bounded(opened.payload)
        run = self._audit.run_of(contract.kind, parameters, caller.owner, why.trace_id)
        await self._audit.record(run, error=why.as_json())


def _bounded(payload: JsonObject) -> JsonObject:
    """What was asked, unless it is too much to keep: then only its size."""
    size = len(orjson.dumps(payload))
    return payload if size <= _MOST_PARAMETERS else {"bytes": size}
