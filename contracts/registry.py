"""Every kind that can come or go: its schema versions, their models, and the way from each to the newest.

A new kind is one line in :data:`REGISTRY` beside its payload model.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal, TypeVar, cast

from pydantic import create_model

from contracts.envelope import Proven1, Proven2
from contracts.errors import JsonValue
from contracts.payloads import session
from contracts.payloads.base import Payload
from contracts.subjects import Family, ingest

Old = TypeVar("Old", bound=Payload)


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one kind. ``adapt`` makes the newest model of it; None where it is the newest."""

    version: str
    model: type[Payload]
    adapt: Callable[[Payload], Payload] | None = None


def older(version: str, model: type[Old], adapt: Callable[[Old], Payload]) -> Schema:
    """A version that still comes in, and its adapter to the newest."""
    return Schema(version, model, cast("Callable[[Payload], Payload]", adapt))


@dataclass(frozen=True, slots=True)
class Door:
    """A schema with the validators of its whole envelopes, so that one pass tells every violation under its path.

    Both raise pydantic's ``ValidationError``.
    """

    schema: Schema
    prove_1: Callable[[JsonValue], Proven1]
    prove_2: Callable[[JsonValue], Proven2]


@dataclass(frozen=True, slots=True)
class Contract:
    """A kind with its versions, oldest first."""

    kind: str
    family: Family
    doors: Mapping[str, Door] = field(repr=False)

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(self.doors)

    @property
    def newest(self) -> Schema:
        return self.doors[self.versions[-1]].schema


def contract(family: Family, kind: str, *schemas: Schema) -> Contract:
    """Declare a kind; schemas are given oldest first, each but the last with its adapter."""
    if [schema for schema in schemas[:-1] if schema.adapt is None] or schemas[-1].adapt is not None:
        raise ValueError(f"{kind}: every schema but the newest has an adapter, and only those")
    return Contract(kind, family, MappingProxyType({schema.version: _door(kind, schema) for schema in schemas}))


def _door(kind: str, schema: Schema) -> Door:
    name = f"{kind}-{schema.version}".replace(".", "_")
    version, payload = (_only(schema.version), ...), (schema.model, ...)
    first = create_model(f"{name}_envelope_1", __base__=Proven1, schema_version=version, payload=payload)
    second = create_model(
        f"{name}_envelope_2", __base__=Proven2, kind=(_only(kind), ...), schema_version=version, payload=payload
    )
    # The core validators themselves: `model_validate` is a layer of Python around them.
    return Door(schema, first.__pydantic_validator__.validate_python, second.__pydantic_validator__.validate_python)


def _only(word: str) -> type[str]:
    """A literal type that is known only at run time; to the type checker it is text."""
    return cast("type[str]", Literal[word])


class Registry:
    """The contracts by kind."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._contracts: Final = {contract.kind: contract for contract in contracts}
        self._by_subject: Final = {
            ingest(contract.kind): contract for contract in self._contracts.values() if contract.family is Family.INGEST
        }

    def contract(self, kind: str) -> Contract | None:
        return self._contracts.get(kind)

    def addressed(self, subject: str) -> Contract | None:
        """The contract that a subject (without prefix) names; None where it names no known kind."""
        return self._by_subject.get(subject)

    def supported(self, kind: str) -> tuple[str, ...]:
        """The schema versions of a kind, oldest first; empty where the kind is unknown."""
        known = self._contracts.get(kind)
        return known.versions if known else ()

    def contracts(self, family: Family | None = None) -> tuple[Contract, ...]:
        """All contracts, or those of a family, in the order in which they were declared."""
        return tuple(known for known in self._contracts.values() if family in (None, known.family))


REGISTRY: Final = Registry(
    [
        contract(Family.INGEST, "session.event", Schema("1.0", session.SessionEvent)),
        contract(
            Family.INGEST,
            "session.usage",
            older("1.0", session.SessionUsage1, session.usage_from_1),
            Schema("2.0", session.SessionUsage),
        ),
    ]
)
