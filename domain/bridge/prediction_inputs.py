"""The inputs of a prediction, made from a template in the settings and the work at hand.

A text may hold placeholders: ``{video_uri}``, ``{instruction.blocks.0.text}``; a step ``*`` goes through a list. A text
that is one placeholder alone becomes the value itself, whatever its type; among other words, or with ``*``, it becomes
text, one line for each element. As an element of a list, a placeholder with ``*`` becomes as many elements. What the
work does not have leaves its input out, or an empty place among other words. ``{{`` and ``}}`` stand for braces.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final

import orjson

from contracts.errors import JsonObject, JsonValue

_PLACEHOLDER: Final = re.compile(r"\{\{|\}\}|\{([A-Za-z0-9_.*-]+)\}")
_ALONE: Final = re.compile(r"\{([A-Za-z0-9_.*-]+)\}")


def fill(template: JsonObject, work: JsonObject) -> JsonObject:
    """The inputs; those for which the work has no value are left out."""
    filled = {name: _filled(value, work) for name, value in template.items()}
    return {name: value for name, value in filled.items() if value is not None or template[name] is None}


def _filled(template: JsonValue, work: JsonObject) -> JsonValue:
    if isinstance(template, str):
        return _filled_text(template, work)
    if isinstance(template, dict):
        return fill(template, work)
    if isinstance(template, list):
        return [element for entry in template for element in _filled_element(entry, work)]
    return template


def _filled_element(template: JsonValue, work: JsonObject) -> Iterator[JsonValue]:
    alone = _ALONE.fullmatch(template) if isinstance(template, str) else None
    if alone is not None:
        yield from _values(work, alone[1].split("."))
    else:
        yield _filled(template, work)


def _filled_text(template: str, work: JsonObject) -> JsonValue:
    alone = _ALONE.fullmatch(template)
    if alone is None:
        return _PLACEHOLDER.sub(lambda match: _as_words(match, work), template)
    path = alone[1].split(".")
    values = [*_values(work, path)]
    if not values:
        return None
    return "\n".join(map(_text, values)) if "*" in path else values[0]


def _as_words(match: re.Match[str], work: JsonObject) -> str:
    if match[1] is None:
        return match[0][0]
    return "\n".join(_text(value) for value in _values(work, match[1].split(".")))


def _values(value: JsonValue, path: list[str]) -> Iterator[JsonValue]:
    if not path:
        if value is not None:
            yield value
        return
    step, rest = path[0], path[1:]
    for child in _children(value, step):
        yield from _values(child, rest)


def _children(value: JsonValue, step: str) -> Iterator[JsonValue]:
    if isinstance(value, list):
        if step == "*":
            yield from value
        elif step.isdecimal() and int(step) < len(value):
            yield value[int(step)]
    elif isinstance(value, dict) and step in value:
        yield value[step]


def _text(value: JsonValue) -> str:
    return value if isinstance(value, str) else orjson.dumps(value).decode()


def urls_in(inputs: JsonValue) -> list[str]:
    """Every input that is a URL, each once, in order."""
    return [*dict.fromkeys(text for text in _texts(inputs) if text.startswith(("http://", "https://")))]


def _texts(value: JsonValue) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for child in value.values() if isinstance(value, dict) else value:
            yield from _texts(child)


def with_replaced(inputs: JsonObject, fresh: Mapping[str, str]) -> JsonObject:
    """The same inputs with each URL that *fresh* knows replaced by the one it names."""
    return {name: _replaced(value, fresh) for name, value in inputs.items()}


def _replaced(value: JsonValue, fresh: Mapping[str, str]) -> JsonValue:
    if isinstance(value, str):
        return fresh.get(value, value)
    if isinstance(value, dict):
        return with_replaced(value, fresh)
    return [_replaced(child, fresh) for child in value] if isinstance(value, list) else value
