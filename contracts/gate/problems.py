"""From pydantic's errors to details: a path, a code and a sentence, never the value.

Sentences of codes that this package can meet are taken from pydantic where they name only the rule. Any other code gets
a general sentence, so that no version of the library can begin to repeat input.
"""

from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from functools import cache
from itertools import islice
from typing import Final

from pydantic import BaseModel, ValidationError

from contracts.errors import MAX_DETAILS, Detail, JsonObject, JsonValue

_MANY: Final = 4 * MAX_DETAILS
_MAX_NAME: Final = 64

_RULE_ONLY: Final = frozenset(
    {
        "asset_or_timestamp",
        "block_or_range",
        "bool_type",
        "data_too_long",
        "datetime_parsing",
        "dict_type",
        "end_before_start",
        "enum",
        "extra_forbidden",
        "filter_required",
        "figure_absent",
        "figure_present",
        "cost_unpriced",
        "finite_number",
        "float_type",
        "greater_than_equal",
        "id_or_filter",
        "int_type",
        "less_than",
        "less_than_equal",
        "list_type",
        "literal_error",
        "missing",
        "not_for_this_action",
        "one_form",
        "path_or_object",
        "repeated",
        "script_or_prompt",
        "string_pattern_mismatch",
        "string_too_long",
        "string_too_short",
        "string_type",
        "text_too_long",
        "timezone_aware",
        "too_long",
        "too_short",
        "uuid_parsing",
        "whole_key",
    }
)
# Whether an object is read by a model or a dataclass is our own affair: one code and one sentence for both.
_OWN_WORDS: Final = {
    "dataclass_type": ("model_type", "Input should be an object"),
    "model_type": ("model_type", "Input should be an object"),
    "model_attributes_type": ("model_type", "Input should be an object"),
    "union_tag_invalid": ("enum", "Input should be one of the types that the contract names"),
    "union_tag_not_found": ("missing", "Field required"),
    "unexpected_keyword_argument": ("extra_forbidden", "Extra inputs are not permitted"),
}
_GENERAL: Final = "Input should keep the rule that the code names"


def details_of(error: ValidationError, prefix: tuple[str | int, ...] = ()) -> list[Detail]:
    """One detail for each of the first violations, in the library's order."""
    known = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        Detail(dotted((*prefix, *each["loc"])), *_words(each["type"], each["msg"]))
        for each in islice(known, MAX_DETAILS + 1)
    ]


def first_details(
    error: ValidationError, value: JsonObject, validate: Callable[[JsonObject], object], model: type[BaseModel]
) -> list[Detail]:
    """As :func:`details_of` for the error that *validate* raised for *value*, at a bounded cost.

    The library builds every violation before the first can be read. Only undeclared names can be wrong by the
    thousand (lists end at their first violations), so a value with too many of them is validated again with fewer.
    """
    if error.error_count() > _MANY:
        try:
            validate(_with_fewer_names(value, _names_of(model)))
        except ValidationError as fewer:
            return details_of(fewer)
    return details_of(error)


def _with_fewer_names(value: JsonObject, declared: AbstractSet[str]) -> JsonObject:
    undeclared = 0
    kept: JsonObject = {}
    for name, part in value.items():
        if name not in declared:
            undeclared += 1
            if undeclared > MAX_DETAILS + 1:
                continue
        kept[name] = _fewer_within(part, declared)
    return kept


def _fewer_within(value: JsonValue, declared: AbstractSet[str]) -> JsonValue:
    if isinstance(value, dict):
        return _with_fewer_names(value, declared)
    return [_fewer_within(part, declared) for part in value] if isinstance(value, list) else value


@cache
def _names_of(model: type[BaseModel]) -> frozenset[str]:
    """Every field name that is declared anywhere in a model, however deep."""
    names: set[str] = set()
    schemas: list[object] = [model.model_json_schema()]
    while schemas:
        schema = schemas.pop()
        if isinstance(schema, dict):
            properties = schema.get("properties")
            names.update(properties if isinstance(properties, dict) else ())
            schemas.extend(schema.values())
        elif isinstance(schema, list):
            schemas.extend(schema)
    return frozenset(names)


def _words(code: str, sentence: str) -> tuple[str, str]:
    return _OWN_WORDS.get(code) or (code, sentence if code in _RULE_ONLY else _GENERAL)


def dotted(path: Iterable[str | int]) -> str:
    """``payload.scenes.0.text``; undeclared names are shortened and their unprintable characters escaped."""
    return ".".join(_name(step) for step in path)


def _name(step: str | int) -> str:
    if isinstance(step, int):
        return str(step)
    shown = step[:_MAX_NAME]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(step) <= _MAX_NAME else shown + "…"
