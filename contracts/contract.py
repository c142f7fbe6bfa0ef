"""What a contract is: a kind, its schema versions, and the validators of whole envelopes around them."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Final, Literal, TypeVar, cast

from pydantic import create_model

from contracts.envelope import Proven1, Proven2
from contracts.errors import JsonValue
from contracts.gate.typed_message import TypedDecoder
from contracts.outgoing import REPLY_KIND
from contracts.payloads.base import Facts, Payload
from contracts.payloads.sent import outgoing
from contracts.results import RESULTS
from contracts.subjects import DURABLE, Family, parse_callback

Old = TypeVar("Old", bound=Payload)

_REQUESTS: Final = frozenset({Family.COMMAND, Family.OPS})


@dataclass(frozen=True, slots=True)
class Schema:
    """One version of one kind.

    ``adapt`` makes of its model what handlers are given: the newest model, or the value that all schemas of the kind
    are adapted to; None where that is the model itself.

    ``decode`` may prove a whole envelope of version 2 ahead of the models, for kinds that come by the thousand.
    """

    version: str
    model: type[Payload]
    adapt: Callable[[Payload], Facts] | None = None
    decode: TypedDecoder | None = None


def adapted(
    version: str, model: type[Old], adapt: Callable[[Old], Facts], decode: TypedDecoder | None = None
) -> Schema:
    """A version and its adapter: an older one's to the newest, or any one's to the value that handlers are given."""
    return Schema(version, model, cast("Callable[[Payload], Facts]", adapt), decode)


class VersionedSchema:
    """A schema with the validators of its whole envelopes, so that one pass tells every violation under its path.

    Both raise pydantic's ``ValidationError``. Models and validators are made when they are first needed: a daemon is
    ready before it has built those of a hundred kinds that it may never meet.
    """

    def __init__(self, kind: str, schema: Schema, name: str) -> None:
        self.schema: Final = schema
        self._kind = kind
        self._name = f"{name}-{schema.version}".replace(".", "_")

    @cached_property
    def envelope_1(self) -> type[Proven1]:
        """Envelope version 1 around the payload."""
        return create_model(
            f"{self._name}_envelope_1",
            __base__=Proven1,
            __doc__=f"Envelope version 1 around {self._kind} {self.schema.version}; the kind comes from the subject.",
            schema_version=(_only(self.schema.version), ...),
            payload=(self.schema.model, ...),
        )

    @cached_property
    def envelope_2(self) -> type[Proven2]:
        """Envelope version 2 around the payload."""
        return create_model(
            f"{self._name}_envelope_2",
            __base__=Proven2,
            __doc__=f"Envelope version 2 around {self._kind} {self.schema.version}.",
            kind=(_only(self._kind), ...),
            schema_version=(_only(self.schema.version), ...),
            payload=(self.schema.model, ...),
        )

    # The core validators themselves: `model_validate` is a layer of Python around them.

    @cached_property
    def prove_1(self) -> Callable[[JsonValue], Proven1]:
        """The validator of whole envelopes of version 1."""
        return self.envelope_1.__pydantic_validator__.validate_python

    @cached_property
    def prove_2(self) -> Callable[[JsonValue], Proven2]:
        """The validator of whole envelopes of version 2."""
        return self.envelope_2.__pydantic_validator__.validate_python


@dataclass(frozen=True, slots=True)
class Contract:
    """A kind with its versions, oldest first.

    ``address`` is its subject without prefix, ``{…}`` standing for what varies; answers have none, and no family: they
    go where the asker said.
    """

    kind: str
    family: Family | None
    address: str | None
    schemas: Mapping[str, VersionedSchema] = field(repr=False)
    result: type[Payload] | None = None
    """What a command answers where it succeeds."""

    @property
    def versions(self) -> tuple[str, ...]:
        return tuple(self.schemas)

    @property
    def newest(self) -> Schema:
        return self.schemas[self.versions[-1]].schema


def contract(
    family: Family, kind: str, *schemas: Schema, address: str | None = None, result: type[Payload] | None = None
) -> Contract:
    """Declare a kind; schemas are given oldest first, each but the last with its adapter.

    Without an ``address`` its subject is ``<family>.<kind>``. A command says what its ``result`` is.
    """
    # A command and the work that it leads to may bear one name.
    name = f"{family}.{kind}" if family in _REQUESTS else kind
    return Contract(kind, family, address or f"{family}.{kind}", _versions(kind, schemas, name), result)


def result_of(command: Contract) -> type | None:
    """What a command or an operation answers where it succeeds."""
    if command.family not in _REQUESTS:
        return None
    return command.result or RESULTS.get(command.kind)


def reply_to(command: Contract) -> VersionedSchema | None:
    """The reply to a command that says what its result is: one like any other, whose result has that shape."""
    result = result_of(command)
    if result is None:
        return None
    name = f"{command.family}.{command.kind}.reply"
    reply = create_model(
        name.replace(".", "_"),
        __base__=outgoing.Reply,
        __doc__=f"The answer to {command.kind}.",
        result=(cast("type[Payload]", result | None), None),
    )
    return VersionedSchema(REPLY_KIND, Schema("1.0", reply), name)


def answer(kind: str, *schemas: Schema) -> Contract:
    """Declare a kind that goes to the subject which the asker named."""
    return Contract(kind, None, None, _versions(kind, schemas, kind))


def _versions(kind: str, schemas: tuple[Schema, ...], name: str) -> Mapping[str, VersionedSchema]:
    *old, newest = schemas
    if any(schema.adapt is None for schema in old):
        raise ValueError(f"{kind}: every schema but the newest needs an adapter ({newest.version} may do without)")
    return MappingProxyType({schema.version: VersionedSchema(kind, schema, name) for schema in schemas})


def _only(word: str) -> type[str]:
    """A literal type that is known only at run time; to the type checker it is text."""
    return cast("type[str]", Literal[word])


class Registry:
    """The contracts, in the order in which they were declared."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        self._contracts: Final = tuple(contracts)
        self._by_kind: Final = {(contract.family, contract.kind): contract for contract in self._contracts}
        streamed = [contract for contract in self._contracts if contract.family in DURABLE and contract.address]
        self._by_subject: Final = {contract.address: contract for contract in streamed}
        # A callback's subject ends in an id: what stands before it names the kind.
        self._by_callback: Final = {
            parsed.family: contract
            for contract in streamed
            if (parsed := parse_callback(contract.address or "")) is not None
        }
        if len(self._by_kind) < len(self._contracts):
            raise ValueError("a kind is declared twice in one family")

    def contract(self, kind: str, family: Family | None = Family.INGEST) -> Contract | None:
        return self._by_kind.get((family, kind))

    def addressed(self, subject: str) -> Contract | None:
        """The contract that a subject of a stream (without prefix) names; None where it names no known kind."""
        known = self._by_subject.get(subject)
        if known is None and (parsed := parse_callback(subject)) is not None:
            return self._by_callback.get(parsed.family)
        return known

    def supported(self, kind: str, family: Family | None = Family.INGEST) -> tuple[str, ...]:
        """The schema versions of a kind, oldest first; empty where the kind is unknown."""
        known = self.contract(kind, family)
        return known.versions if known else ()

    def contracts(self, *families: Family | None) -> tuple[Contract, ...]:
        """All contracts, or those of some families."""
        return tuple(known for known in self._contracts if not families or known.family in families)
