"""What every payload model is: closed, immutable, and with the rules that span fields told beside all others."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Annotated, ClassVar, Final, LiteralString, NamedTuple, Self, TypeAlias, TypeVar, cast

from pydantic import (
    BaseModel,
    ConfigDict,
    GetCoreSchemaHandler,
    ModelWrapValidatorHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import InitErrorDetails, PydanticCustomError, PydanticKnownError, core_schema

from contracts.errors import MAX_DETAILS, JsonObject
from contracts.values.usage import Usage

Path: TypeAlias = tuple[str | int, ...]
Item = TypeVar("Item")

_MANY: Final = 4 * MAX_DETAILS
_RUN: Final = 50


CLOSED: Final = ConfigDict(extra="forbid", allow_inf_nan=False, defer_build=True)
"""Unknown fields are refused. Objects inside payloads are slotted dataclasses with this: cheaper than models.
Validators are built at their first use."""


class Payload(BaseModel):
    """One schema version of one kind. Field names are those of the wire unless an alias says so."""

    model_config = ConfigDict(**CLOSED, frozen=True)

    may_hold_nul: ClassVar[frozenset[str]] = frozenset()
    """The wire names of fields in which U+0000 is data."""


Facts: TypeAlias = Payload | Usage
"""What handlers are given of a message: the newest model of its kind, or the value its schemas are adapted to."""


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
    def broken_rules(cls, raw: JsonObject) -> Iterable[BrokenRule]:
        """The rules that ``raw`` breaks; bears any JSON, and keeps quiet about fields that are wrong in themselves."""
        raise NotImplementedError

    @model_validator(mode="wrap")
    @classmethod
    def _with_rules(cls, raw: object, fields: ModelWrapValidatorHandler[Self]) -> Self:
        broken = list(islice(cls.broken_rules(raw), MAX_DETAILS + 1)) if type(raw) is dict else []
        if not broken:
            return fields(raw)
        errors = [_error(*rule) for rule in broken]
        try:
            fields(raw)
        except ValidationError as error:
            errors += _errors_of(error)
        raise ValidationError.from_exception_data(cls.__name__, errors)


class FirstViolations:
    """A list that is refused at its first violations: those of the items up to the one that makes them too many.

    ``told_by`` is the field that tells the items' shapes apart. The library puts its value into the path of a
    violation, and names the item where it is wrong; a path is only made of what stands in the document.
    """

    def __init__(self, told_by: str | None = None) -> None:
        self._told_by = told_by

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.WrapValidatorFunctionSchema:
        inner = cast(core_schema.ListSchema, handler(source))
        inner["fail_fast"] = True
        most = inner.get("max_length")

        def validate(value: object, items: core_schema.ValidatorFunctionWrapHandler) -> object:
            if type(value) is list and most is not None and len(value) > most:
                context = {"field_type": "List", "max_length": most, "actual_length": len(value)}
                raise PydanticKnownError("too_long", context)
            try:
                return items(value)
            except ValidationError as error:
                if type(value) is not list or any(not known["loc"] for known in error.errors(include_input=False)):
                    raise
                raise ValidationError.from_exception_data(
                    "list", _first_errors(value, items, most, self._told_by)
                ) from None

        return core_schema.no_info_wrap_validator_function(validate, inner)


FIRST_VIOLATIONS: Final = FirstViolations()
"""The mark of every list in a payload, after its other marks: refusing a long list costs no more than taking it."""


class _OneOrSeveral:
    """A union of one value and a list of them, refused in the words of the form that was meant.

    The library names in the path each form that it has tried, by what the form is called inside: no name of a field.
    """

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.WrapValidatorFunctionSchema:
        return core_schema.no_info_wrap_validator_function(_as_meant, handler(source))


def _as_meant(value: object, forms: core_schema.ValidatorFunctionWrapHandler) -> object:
    try:
        return forms(value)
    except ValidationError as error:
        known = _errors_of(error)
        one, *_, several = (str(each["loc"][0]) for each in known)
        meant = several if isinstance(value, list) else one
        for each in (own := [each for each in known if str(each["loc"][0]) == meant]):
            each["loc"] = each["loc"][1:]
        raise ValidationError.from_exception_data("union", own) from None


ONE_OR_SEVERAL: Final = _OneOrSeveral()
"""The mark of a field that takes one value or, second, a list of such."""

Items: TypeAlias = Annotated[list[Item], FIRST_VIOLATIONS]
"""A list of any length."""


def _first_errors(
    value: Sequence[object], items: core_schema.ValidatorFunctionWrapHandler, most: int | None, told_by: str | None
) -> list[InitErrorDetails]:
    """A run of items at a time, and one by one where something in the run is wrong."""
    errors: list[InitErrorDetails] = []
    step = min(_RUN, most or _RUN)
    for start in range(0, len(value), step):
        try:
            items(value[start : start + step])
        except ValidationError:
            for index in range(start, min(start + step, len(value))):
                try:
                    items([value[index]])
                except ValidationError as error:
                    errors += [{**each, "loc": (index, *_within_item(each, told_by))} for each in _errors_of(error)]
                if len(errors) > MAX_DETAILS:
                    return errors
    return errors


def _within_item(error: InitErrorDetails, told_by: str | None) -> Path:
    """Where in an item of a list the violation is."""
    path = error.get("loc", ())[1:]
    if told_by is None:
        return path
    kind = error["type"]
    shapeless = isinstance(kind, PydanticCustomError) and kind.type in ("union_tag_invalid", "union_tag_not_found")
    return (told_by,) if shapeless else path[1:]


def _error(path: Path, code: LiteralString, message: LiteralString) -> InitErrorDetails:
    return InitErrorDetails(type=PydanticCustomError(code, message), loc=path, input=None)


def _errors_of(error: ValidationError) -> list[InitErrorDetails]:
    """The same errors in the form in which they can be raised again: code and sentence as they were."""
    return [
        InitErrorDetails(type=PydanticCustomError(known["type"], known["msg"]), loc=known["loc"], input=None)
        for known in islice(error.errors(include_url=False, include_context=False, include_input=False), _MANY)
    ]
