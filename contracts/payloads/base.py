"""What every payload model is: closed, immutable, and with the rules that span fields told beside all others."""

from collections.abc import Sequence
from typing import ClassVar, Final, LiteralString, NamedTuple, Self, TypeAlias

from pydantic import BaseModel, ConfigDict, ModelWrapValidatorHandler, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from contracts.errors import JsonObject

Path: TypeAlias = tuple[str | int, ...]


CLOSED: Final = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)
"""Unknown fields are refused. Objects inside payloads are slotted dataclasses with this: cheaper than models.
Validators are built at their first use."""


class Payload(BaseModel):
    """One schema version of one kind. Field names are those of the wire unless an alias says so."""

    model_config = ConfigDict(**CLOSED, frozen=True)

    may_hold_nul: ClassVar[frozenset[str]] = frozenset()
    """The wire names of fields in which U+0000 is data."""


class BrokenRule(NamedTuple):
    """A rule that spans fields and does not hold: where it is told, its code, its sentence."""

    path: Path
    code: LiteralString
    message: LiteralString


class RuledPayload(Payload):
    """A payload with rules that span fields.

    The rules read what came, not the finished model: so they are told together with the violations of single fields,
    where a validator after the fields would stay silent until those are mended.
    """

    @classmethod
    def broken_rules(cls, raw: JsonObject) -> Sequence[BrokenRule]:
        """The rules that ``raw`` breaks; bears any JSON, and keeps quiet about fields that are wrong in themselves."""
        raise NotImplementedError

    @model_validator(mode="wrap")
    @classmethod
    def _with_rules(cls, raw: object, fields: ModelWrapValidatorHandler[Self]) -> Self:
        broken = cls.broken_rules(raw) if type(raw) is dict else ()
        if not broken:
            return fields(raw)
        errors = [_error(*rule) for rule in broken]
        try:
            fields(raw)
        except ValidationError as error:
            errors += _errors_of(error)
        raise ValidationError.from_exception_data(cls.__name__, errors)


def _error(path: Path, code: LiteralString, message: LiteralString) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError(code, message), loc=path, input=None)


def _errors_of(error: ValidationError) -> list[InitErrorDetails]:
    """The same errors in the form in which they can be raised again: code and sentence as they were."""
    return [
        InitErrorDetails(type=PydanticCustomError(known["type"], known["msg"]), loc=known["loc"], input=None)
        for known in error.errors(include_url=False, include_context=False, include_input=False)
    ]
