"""Reads an export back: the schemas by contract, and whether each comes in or is sent."""

from collections import defaultdict
from pathlib import Path
from typing import Final

import orjson
import yaml

from contracts.errors import JsonObject, JsonValue
from contracts.schemas.compatibility import Audience, Exported
from contracts.schemas.export import ASYNCAPI_FILE

_SCHEMA_FILE: Final = ".schema.json"
_REPLY: Final = "-reply"
_RESULT_FILE: Final = f".result{_SCHEMA_FILE}"
_BOTH: Final = frozenset(Audience)
_READERS: Final = frozenset({Audience.CONSUMERS})


class NotAnExport(ValueError):
    """The folder does not hold what ``contracts export`` writes."""


def read_export(folder: Path) -> Exported:
    """Raises :class:`NotAnExport`, and ``OSError`` where a file cannot be read."""
    file = folder / ASYNCAPI_FILE
    if not file.is_file():
        raise NotAnExport(f"{folder}: no export of the contracts, {ASYNCAPI_FILE} is missing")
    try:
        document = yaml.load(file.read_bytes(), Loader=yaml.CSafeLoader)
        schemas = {
            path.name.removesuffix(_SCHEMA_FILE): orjson.loads(path.read_bytes())
            for path in sorted(folder.glob(f"*{_SCHEMA_FILE}"))
            # The replies in AsyncAPI tell the same.
            if not path.name.endswith(_RESULT_FILE)
        }
    except (yaml.YAMLError, orjson.JSONDecodeError) as error:
        raise NotAnExport(f"{folder}: cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise NotAnExport(f"{folder}: {ASYNCAPI_FILE} is no AsyncAPI document")
    audiences = _audiences(document, set(schemas))
    replies = _replies(document)
    schemas |= replies
    audiences |= dict.fromkeys(replies, _READERS)
    return Exported(schemas, audiences)


def _audiences(document: JsonObject, contracts: set[str]) -> dict[str, frozenset[Audience]]:
    """Who is concerned by each contract. Envelopes are written and read by everybody."""
    found: defaultdict[str, set[Audience]] = defaultdict(set)
    for operation in _objects(document.get("operations")):
        audience = Audience.PRODUCERS if operation.get("action") == "receive" else Audience.CONSUMERS
        for contract in _messages(operation.get("messages")):
            found[_file_of(contract, contracts)].add(audience)
        reply = operation.get("reply")
        for contract in _messages(reply.get("messages") if isinstance(reply, dict) else None):
            found[_file_of(contract, contracts)].add(Audience.CONSUMERS)
    return {contract: frozenset(found.get(contract, _BOTH)) for contract in contracts}


def _file_of(message: str, contracts: set[str]) -> str:
    """A command's message names its family always, its file only where work has the same kind."""
    bare = message.removesuffix("-envelope-1")
    return bare if bare in contracts else bare.partition(".")[2]


def _replies(document: JsonObject) -> dict[str, JsonObject]:
    """The schemas of what commands answer, by the message that answers."""
    components = _object(document.get("components"))
    shared: JsonObject = {"components": {"schemas": _object(components.get("schemas"))}}
    return {
        name: {**_object(message.get("payload")), **shared}
        for name, message in _object(components.get("messages")).items()
        if name.endswith(_REPLY) and isinstance(message, dict)
    }


def _object(value: JsonValue) -> JsonObject:
    return value if isinstance(value, dict) else {}


def _messages(references: JsonValue) -> list[str]:
    if not isinstance(references, list):
        return []
    return [str(each["$ref"]).rpartition("/")[2] for each in references if isinstance(each, dict) and "$ref" in each]


def _objects(value: JsonValue) -> list[JsonObject]:
    return [each for each in _object(value).values() if isinstance(each, dict)]
