"""``find``: what bears exactly this id."""

from typing import Final

from contracts.errors import JsonObject
from contracts.payloads.operations import questions as asked
from contracts.registry import REGISTRY
from contracts.subjects import DURABLE
from contracts.values.times import format_micros
from handlers.commands.command import Command, Reply, ok, payload_of
from handlers.effects import Context
from storage.questions.ids import MOST_FOUND, FoundId
from storage.unit_of_work import UnitOfWork

KINDS: Final = tuple(sorted({contract.kind for contract in REGISTRY.contracts(*DURABLE)}))
"""The kinds of messages that the inbox may hold."""
_ONLY_EXPLAINED: Final = frozenset({"export", "alert"})
"""What ``explain`` knows by an id and the contract of ``find`` does not name."""


def find_id(command: Command, uow: UnitOfWork, context: Context) -> Reply:  # noqa: ARG001 - every query is given one
    """Newest first; a trace is there once."""
    wanted = payload_of(command, asked.Find).id
    found = [each for each in things(wanted, uow) if each.what not in _ONLY_EXPLAINED]
    return ok({"items": [_view(each) for each in found[:MOST_FOUND]]})


def things(wanted: str, uow: UnitOfWork) -> list[FoundId]:
    """What bears the id, each thing once."""
    found: dict[tuple[str, str, str | None], FoundId] = {}
    for each in uow.ids.find(wanted, KINDS):
        known = found.get((each.what, each.id, each.kind))
        if known is None or each.at < known.at:
            found[each.what, each.id, each.kind] = each
    return sorted(found.values(), key=lambda each: (-each.at, each.what, each.id))


def _view(found: FoundId) -> JsonObject:
    view: JsonObject = {"what": found.what, "id": found.id, "at": format_micros(found.at), "label": found.label}
    return view if found.kind is None else {**view, "kind": found.kind}
