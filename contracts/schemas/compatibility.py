"""What changed between two exports of the contracts, and whom it breaks.

What comes in must not become narrower for producers: all that was accepted before is accepted still. What is sent must
not become wider for consumers: whoever read everything before reads everything still. So one walk over two schemas
serves both: it says of each difference whether the new schema takes less, more, or something else, and the direction of
the kind says what that means.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from contracts.errors import JsonObject, JsonValue

Path: TypeAlias = tuple[str, ...]
Pairs: TypeAlias = frozenset[tuple[int, int]]
"""References that are being followed, old and new, by their identity: written out, one can be a whole document."""

_REFERENCES_DEEP: Final = 40
_LOWER: Final = ("minimum", "exclusiveMinimum", "minLength", "minItems", "minProperties")
_UPPER: Final = ("maximum", "exclusiveMaximum", "maxLength", "maxItems", "maxProperties")
_EXACT: Final = ("pattern", "format", "const", "multipleOf", "uniqueItems")
_RULES: Final = ("allOf", "not", "if", "then", "else")


class Effect(StrEnum):
    """What the new schema takes of what the old one took."""

    LESS = "less"
    MORE = "more"
    OTHER = "other"


class Audience(StrEnum):
    PRODUCERS = "producers"
    """They write what comes in."""
    CONSUMERS = "consumers"
    """They read what is sent."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One difference of two schemas, at a path within the payload."""

    path: Path
    effect: Effect
    what: str


@dataclass(frozen=True, slots=True)
class Change:
    """A difference and whom it concerns. ``contract`` is the kind with its schema version."""

    breaking: bool
    contract: str
    field: str
    audience: Audience
    what: str

    def as_json(self) -> JsonObject:
        return {
            "change": "breaking" if self.breaking else "compatible",
            "contract": self.contract,
            "field": self.field,
            "for": str(self.audience),
            "what": self.what,
        }


@dataclass(frozen=True, slots=True)
class Exported:
    """An export: the schemas by contract, and who is concerned by each."""

    schemas: Mapping[str, JsonObject]
    audiences: Mapping[str, frozenset[Audience]]


def compare(old: Exported, new: Exported) -> list[Change]:
    """Every change, breaking ones first, then by contract and field."""
    found = [change for contract in {*old.schemas, *new.schemas} for change in _of_contract(contract, old, new)]
    return sorted(found, key=lambda change: (not change.breaking, change.contract, change.field, change.what))


def _of_contract(contract: str, old: Exported, new: Exported) -> Iterator[Change]:
    before, after = old.schemas.get(contract), new.schemas.get(contract)
    audiences = old.audiences.get(contract, frozenset()) | new.audiences.get(contract, frozenset())
    for audience in sorted(audiences):
        if before is None:
            yield Change(False, contract, "", audience, "added")
        elif after is None:
            yield Change(True, contract, "", audience, "removed")
        else:
            for difference in differences(before, after):
                yield _change(contract, audience, difference)


def _change(contract: str, audience: Audience, difference: Difference) -> Change:
    harmless = Effect.MORE if audience is Audience.PRODUCERS else Effect.LESS
    breaking = difference.effect is not harmless
    if audience is Audience.CONSUMERS and difference.what in _TOLERATED:
        breaking = False
    elif audience is Audience.CONSUMERS and difference.what == _REMOVED:
        breaking = True
    return Change(breaking, contract, ".".join(difference.path), audience, difference.what)


_ADDED: Final = "optional field added"
_ADDED_REQUIRED: Final = "required field added"
_REMOVED: Final = "field removed"
_OPENED: Final = "unknown fields are taken now"
# Readers ignore fields that they do not know.
_TOLERATED: Final = frozenset({_ADDED, _ADDED_REQUIRED, _OPENED})


def differences(old: JsonObject, new: JsonObject) -> list[Difference]:
    """How *new* differs from *old*, both whole JSON Schemas with their own ``$defs``."""
    found = _Walk(old, new).schemas(old, new, (), frozenset())
    return list(dict.fromkeys(found))


class _Walk:
    """Two documents side by side; references are followed in each."""

    def __init__(self, old: JsonObject, new: JsonObject) -> None:
        self._old = old
        self._new = new

    def schemas(self, old: JsonValue, new: JsonValue, path: Path, within: Pairs) -> Iterator[Difference]:
        if _refers(old) or _refers(new):
            # Any JSON value is one of two that hold themselves: followed into the depth they would never end.
            pair = (id(old), id(new))
            if pair in within:
                return
            within |= {pair}
        before, after = _resolved(old, self._old), _resolved(new, self._new)
        if not before and not after:
            return
        if _alternatives(before) is not None or _alternatives(after) is not None:
            yield from self._any_of(before, after, path, within)
            return
        yield from _of_type(before, after, path)
        yield from _of_enum(before, after, path)
        yield from _of_ranges(before, after, path)
        yield from _of_exact(before, after, path)
        yield from self._properties(before, after, path, within)
        for key, step in (("items", "[]"), ("additionalProperties", "*")):
            inner_before, inner_after = before.get(key), after.get(key)
            if isinstance(inner_before, dict) and isinstance(inner_after, dict):
                yield from self.schemas(inner_before, inner_after, (*path, step), within)

    def _any_of(self, before: JsonObject, after: JsonObject, path: Path, within: Pairs) -> Iterator[Difference]:
        """Alternatives are told apart by their type; a null among them is an absent value."""
        old = {_signature(each, self._old): each for each in _alternatives(before) or [before]}
        new = {_signature(each, self._new): each for each in _alternatives(after) or [after]}
        for gone in sorted(old.keys() - new.keys()):
            yield Difference(path, Effect.LESS, f"type {gone} removed")
        for come in sorted(new.keys() - old.keys()):
            yield Difference(path, Effect.MORE, f"type {come} added")
        for signature in sorted(old.keys() & new.keys()):
            yield from self.schemas(old[signature], new[signature], path, within)

    def _properties(self, before: JsonObject, after: JsonObject, path: Path, within: Pairs) -> Iterator[Difference]:
        old, new = _object(before.get("properties")), _object(after.get("properties"))
        had, has = _strings(before.get("required")), _strings(after.get("required"))
        closed = after.get("additionalProperties") is False
        for name in sorted(old.keys() - new.keys()):
            # Where unknown fields are taken, a producer may go on sending it.
            yield Difference((*path, name), Effect.LESS if closed else Effect.MORE, _REMOVED)
        for name in sorted(new.keys() - old.keys()):
            if name in has:
                yield Difference((*path, name), Effect.LESS, _ADDED_REQUIRED)
            else:
                yield Difference((*path, name), Effect.MORE, _ADDED)
        for name in sorted(old.keys() & new.keys()):
            if name in has - had:
                yield Difference((*path, name), Effect.LESS, "field became required")
            elif name in had - has:
                yield Difference((*path, name), Effect.MORE, "field became optional")
            yield from self.schemas(old[name], new[name], (*path, name), within)
        if old or new:
            yield from _of_openness(before, after, path)


def _of_type(before: JsonObject, after: JsonObject, path: Path) -> Iterator[Difference]:
    old, new = before.get("type"), after.get("type")
    if old == new:
        return
    if old == "integer" and new == "number":
        yield Difference(path, Effect.MORE, "type integer widened to number")
    elif old == "number" and new == "integer":
        yield Difference(path, Effect.LESS, "type number narrowed to integer")
    elif old is None or new is None:
        yield Difference(path, Effect.LESS if old is None else Effect.MORE, f"type {old} became {new}")
    else:
        yield Difference(path, Effect.OTHER, f"type {old} became {new}")


def _of_enum(before: JsonObject, after: JsonObject, path: Path) -> Iterator[Difference]:
    old, new = before.get("enum"), after.get("enum")
    if isinstance(old, list) and isinstance(new, list):
        for gone in [each for each in old if each not in new]:
            yield Difference(path, Effect.LESS, f"value {gone} removed")
        for come in [each for each in new if each not in old]:
            yield Difference(path, Effect.MORE, f"value {come} added")
    elif isinstance(old, list) != isinstance(new, list):
        yield Difference(path, Effect.LESS if old is None else Effect.MORE, "list of values changed")


def _of_ranges(before: JsonObject, after: JsonObject, path: Path) -> Iterator[Difference]:
    for keys, grows in ((_LOWER, Effect.LESS), (_UPPER, Effect.MORE)):
        shrinks = Effect.MORE if grows is Effect.LESS else Effect.LESS
        for key in keys:
            old, new = before.get(key), after.get(key)
            if old == new:
                continue
            if isinstance(old, int | float) and isinstance(new, int | float):
                yield Difference(path, grows if new > old else shrinks, f"{key} {old} became {new}")
            elif old is None:
                yield Difference(path, Effect.LESS, f"{key} {new} added")
            else:
                yield Difference(path, Effect.MORE, f"{key} {old} removed")


def _of_exact(before: JsonObject, after: JsonObject, path: Path) -> Iterator[Difference]:
    for key in (*_EXACT, *_RULES):
        old, new = before.get(key), after.get(key)
        if old == new:
            continue
        if old is None:
            yield Difference(path, Effect.LESS, f"{key} added")
        elif new is None:
            yield Difference(path, Effect.MORE, f"{key} removed")
        else:
            yield Difference(path, Effect.OTHER, f"{key} changed")


def _of_openness(before: JsonObject, after: JsonObject, path: Path) -> Iterator[Difference]:
    was, now = before.get("additionalProperties") is False, after.get("additionalProperties") is False
    if now and not was:
        yield Difference(path, Effect.LESS, "unknown fields are refused now")
    elif was and not now:
        yield Difference(path, Effect.MORE, _OPENED)


def _alternatives(schema: JsonObject) -> list[JsonValue] | None:
    for key in ("anyOf", "oneOf"):
        found = schema.get(key)
        if isinstance(found, list):
            return found
    return None


def _signature(schema: JsonValue, document: JsonObject) -> str:
    """What tells one alternative from another: its type, and the constants of an object that is one of several."""
    resolved = _resolved(schema, document)
    kind = str(resolved.get("type", "any"))
    constants = [
        f"{name}={value['const']}"
        for name, value in sorted(_object(resolved.get("properties")).items())
        if isinstance(value, dict) and "const" in value
    ]
    return f"{kind}({', '.join(constants)})" if constants else kind


def _refers(schema: JsonValue) -> bool:
    return isinstance(schema, dict) and "$ref" in schema


def _resolved(schema: JsonValue, document: JsonObject) -> JsonObject:
    """The schema behind its references; what stands beside one counts too."""
    found = schema if isinstance(schema, dict) else {}
    for _ in range(_REFERENCES_DEEP):
        reference = found.get("$ref")
        if not isinstance(reference, str):
            break
        target: JsonValue = document
        for step in reference.removeprefix("#/").split("/"):
            target = _object(target).get(step)
        found = {**_object(target), **{key: value for key, value in found.items() if key != "$ref"}}
    return found


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _strings(value: JsonValue) -> set[str]:
    return {str(each) for each in value} if isinstance(value, list) else set()
