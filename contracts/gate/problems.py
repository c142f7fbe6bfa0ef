"""From pydantic's errors to details: a path, a code and a sentence, never the value.

Sentences of codes that this package can meet are taken from pydantic where they name only the rule. Any other code gets
a general sentence, so that no version of the library can begin to repeat input.
"""

from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from pydantic import ValidationError

from contracts.errors import Detail, Problem, invalid

MAX_DETAILS: Final = 50
_MAX_NAME: Final = 64

_RULE_ONLY: Final = frozenset(
    {
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
        "int_type",
        "less_than",
        "less_than_equal",
        "list_type",
        "literal_error",
        "missing",
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
    "unexpected_keyword_argument": ("extra_forbidden", "Extra inputs are not permitted"),
}
_GENERAL: Final = "Input should keep the rule that the code names"


def details_of(error: ValidationError, prefix: tuple[str | int, ...] = ()) -> list[Detail]:
    """One detail for each violation, in the library's order."""
    return [
        Detail(dotted((*prefix, *known["loc"])), *_words(known["type"], known["msg"]))
        for known in error.errors(include_url=False, include_context=False, include_input=False)
    ]


def _words(code: str, sentence: str) -> tuple[str, str]:
    return _OWN_WORDS.get(code) or (code, sentence if code in _RULE_ONLY else _GENERAL)


def refused(details: Iterable[Detail]) -> Problem:
    """A ``VALIDATION_ERROR`` that counts all wrong fields and lists the first :data:`MAX_DETAILS` violations."""
    problem = invalid(details)
    return replace(problem, details=problem.details[:MAX_DETAILS])


def dotted(path: Iterable[str | int]) -> str:
    """``payload.scenes.0.text``; names that nobody declared are shortened and their unprintable characters escaped."""
    return ".".join(_name(step) for step in path)


def _name(step: str | int) -> str:
    if isinstance(step, int):
        return str(step)
    shown = step[:_MAX_NAME]
    if not shown.isprintable():
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return shown if len(step) <= _MAX_NAME else shown + "…"
