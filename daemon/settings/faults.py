"""Faults in the settings, as lines that an operator can act on: where, which key, what it must be."""

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

Path: TypeAlias = tuple[str | int, ...]
"""Where a key is: ``("alerts", "rules", "failure_rate", "warning")``."""

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")

# pydantic's own words are for programmers; these are for the editor of the file. None repeats the value.
_SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "missing": "must be set",
        "int_type": "must be a whole number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "bool_type": "must be true or false",
        "string_type": "must be text in quotes",
        "tuple_type": 'must be a list, such as ["a", "b"]',
        "dict_type": "must be a table",
        "model_type": "must be a table",
        "path_type": "must be a path in quotes",
        "finite_number": "must be a finite number",
        "greater_than": "must be more than {gt}",
        "greater_than_equal": "must be {ge} or more",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be {le} or less",
        "literal_error": "must be {expected}",
        "too_short": "must have at least {min_length} value",
        "string_too_short": "must not be empty",
        "string_pattern_mismatch": "must match {pattern}",
    }
)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing wrong: the key and a sentence about it."""

    path: Path
    sentence: str


@dataclass(slots=True)
class Origins:
    """Where each value came from, so that a line can name the file or the variable."""

    file: str
    variables: dict[Path, str] = field(default_factory=dict)

    def line(self, fault: Fault) -> str:
        for length in range(len(fault.path), 0, -1):
            variable = self.variables.get(fault.path[:length])
            if variable:
                rest = dotted(fault.path[length:])
                return f"{variable}: {rest + ': ' if rest else ''}{fault.sentence}"
        return f"{self.file}: {dotted(fault.path)}: {fault.sentence}"


def dotted(path: Path) -> str:
    """The key as one writes it in TOML: ``work."job.process".deadline_s``, ``callbacks.secrets[0]``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE_KEY.fullmatch(part) else f'"{part}"')
    return text


def faults_of(error: ValidationError, root: type[BaseModel]) -> list[Fault]:
    """A fault for each of pydantic's errors, in the order of the settings."""
    details = error.errors(include_url=False, include_input=False)
    return [_fault(detail, root) for detail in details if not _follows(detail, details)]


def _follows(detail: ErrorDetails, details: list[ErrorDetails]) -> bool:
    """Whether a list is too short only because its values were refused."""
    place = detail["loc"]
    return detail["type"] == "too_short" and any(
        len(other["loc"]) > len(place) and other["loc"][: len(place)] == place for other in details
    )


def _fault(detail: ErrorDetails, root: type[BaseModel]) -> Fault:
    path = tuple(part for part in detail["loc"] if part != "[key]")
    if detail["type"] == "extra_forbidden":
        return Fault(path, unknown_key(path, root))
    return Fault(path, _sentence(detail))


def _sentence(detail: ErrorDetails) -> str:
    kind = detail["type"]
    context = detail.get("ctx", {})
    if kind == "value_error":
        return str(context["error"])
    if kind.startswith("date_"):
        return "must be a date such as 2026-12-31"
    template = _SENTENCES.get(kind)
    if template is None:
        return f"is not valid: {detail['msg']}"
    return template.format(**{name: _number(value) for name, value in context.items()})


def _number(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


def unknown_key(path: Path, root: type[BaseModel]) -> str:
    """What to say about a key that no setting has: the same name elsewhere, else the nearest one beside it."""
    *parents, name = (str(part) for part in path)
    beside = model_at(tuple(parents), root)
    names = [_name(key, info.alias) for key, info in beside.model_fields.items()] if beside else []
    if elsewhere := [known for known in all_keys(root) if known[-1] == name]:
        return f"unknown key, did you mean {dotted(elsewhere[0])}?"
    if near := difflib.get_close_matches(name, names, n=1, cutoff=0.6):
        return f"unknown key, did you mean {dotted((*parents, near[0]))}?"
    return "unknown key"


def model_at(path: tuple[str, ...], root: type[BaseModel]) -> type[BaseModel] | None:
    """The model whose fields are the keys of the table at *path*; ``None`` where there is no such table."""
    model: type[BaseModel] | None = root
    parts = iter(path)
    for part in parts:
        annotation = annotation_at(model, part) if model else None
        if get_origin(annotation) is dict:
            next(parts, None)  # the name of an entry
            annotation = get_args(annotation)[1]
        model = annotation if isinstance(annotation, type) and issubclass(annotation, BaseModel) else None
    return model


def annotation_at(model: type[BaseModel], key: str) -> object:
    """The type of a key, without its constraints; ``None`` where the model has no such key."""
    name = field_name(model, key)
    if name is None:
        return None
    annotation: object = model.model_fields[name].annotation
    return get_args(annotation)[0] if get_origin(annotation) is Annotated else annotation


def field_name(model: type[BaseModel], key: str) -> str | None:
    """The field that *key* means, by its name or its alias, in any case of letters."""
    folded = key.casefold()
    return next(
        (name for name, info in model.model_fields.items() if folded in {name, (info.alias or name).casefold()}), None
    )


def all_keys(model: type[BaseModel], above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every key that has a fixed place, as a path."""
    for name, info in model.model_fields.items():
        path = (*above, _name(name, info.alias))
        if isinstance(info.annotation, type) and issubclass(info.annotation, BaseModel):
            yield from all_keys(info.annotation, path)
        else:
            yield path


def _name(name: str, alias: str | None) -> str:
    return alias or name
