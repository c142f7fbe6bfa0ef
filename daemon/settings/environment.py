"""Overrides from the environment: ``HEADGATE_<SECTION>__<KEY>``, deeper tables by further ``__``.

Text is taken as it stands, everything else is read as JSON (``300``, ``true``, ``["a", "b"]``). Letters' case does not
matter, and a dot in a type of work may be written ``_``: ``HEADGATE_WORK__JOB_PROCESS__DEADLINE_S=900``.
"""

import json
from collections.abc import Mapping
from datetime import date
from pathlib import PurePath
from typing import Final, Literal, get_args, get_origin

from pydantic import BaseModel, SecretStr

from daemon.settings.faults import Fault, Origins, Path, annotation_at, field_name, unknown_key

PREFIX: Final = "HEADGATE_"
_SEPARATOR: Final = "__"


def overlay(
    document: dict[str, object], root: type[BaseModel], environment: Mapping[str, str], origins: Origins
) -> list[Fault]:
    """Write the environment's values over *document* and note their origin; answer what is wrong with their names.

    A variable without ``__`` is not a setting: container platforms invent such names (``HEADGATE_PORT_4222_TCP``).
    """
    faults: list[Fault] = []
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or _SEPARATOR not in variable:
            continue
        tokens = variable.removeprefix(PREFIX).split(_SEPARATOR)
        path, annotation = _place(root, tokens)
        origins.variables[path] = variable
        if annotation is None:
            faults.append(Fault(path, unknown_key(path, root)))
        elif not _set(document, path, _parsed(environment[variable], annotation)):
            faults.append(Fault(path, "cannot be set, for what is above it is not a table"))
    return faults


def _place(root: type[BaseModel], tokens: list[str]) -> tuple[tuple[str, ...], object]:
    """The path in the document that the tokens name and the type of what belongs there (``None``: nothing does)."""
    path: tuple[str, ...] = ()
    annotation: object = root
    for token in tokens:
        key, annotation = _step(annotation, token)
        path = (*path, key)
        if annotation is None:
            return (*path, *(rest.lower() for rest in tokens[len(path) :])), None
    return path, annotation


def _step(annotation: object, token: str) -> tuple[str, object]:
    if get_origin(annotation) is dict:
        return token.lower(), get_args(annotation)[1]
    if not (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return token.lower(), None
    name = field_name(annotation, token)
    if name is None:
        return token.lower(), None
    return annotation.model_fields[name].alias or name, annotation_at(annotation, name)


def _parsed(text: str, annotation: object) -> object:
    if _is_text(annotation):
        return text
    try:
        value: object = json.loads(text)
    except ValueError:
        return text  # the model says what it must be
    return value


def _is_text(annotation: object) -> bool:
    if get_origin(annotation) is Literal:
        return True
    if get_args(annotation) and get_origin(annotation) not in {dict, tuple}:  # an optional value
        return all(_is_text(part) for part in get_args(annotation))
    return isinstance(annotation, type) and issubclass(annotation, (str, SecretStr, PurePath, date, type(None)))


def _set(document: dict[str, object], path: Path, value: object) -> bool:
    table = document
    for key in path[:-1]:
        below = table.setdefault(str(key), {})
        if not isinstance(below, dict):
            return False
        table = below
    table[str(path[-1])] = value
    return True
