"""The contracts as files: a JSON Schema (2020-12) for each kind and version, the envelopes, and AsyncAPI."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import orjson
import yaml
from pydantic import TypeAdapter

from contracts.contract import Contract, Registry, result_of
from contracts.envelope import Envelope1, Envelope2
from contracts.errors import JsonObject
from contracts.registry import REGISTRY
from contracts.schemas.asyncapi import asyncapi
from contracts.schemas.generator import PlainJsonSchema
from contracts.subjects import Subjects

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
ASYNCAPI_FILE: Final = "asyncapi.yaml"


def export(directory: Path, registry: Registry = REGISTRY, prefix: str = "hg", *, version: str) -> list[Path]:
    """Write all documents of the program's *version* into ``directory``, which is made where missing; answers what was
    written."""
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name, content in documents(registry, prefix, version):
        path = directory / name
        path.write_bytes(content)
        written.append(path)
    return written


def documents(registry: Registry, prefix: str, version: str) -> Iterator[tuple[str, bytes]]:
    """File names and contents."""
    yield "envelope-1.schema.json", _as_bytes(schema_of(Envelope1))
    yield "envelope-2.schema.json", _as_bytes(schema_of(Envelope2))
    kinds = Counter[str]()
    for contract in registry.contracts():
        kinds[contract.kind] += 1
        for named, versioned in contract.schemas.items():
            yield _file_name(contract, named, kinds[contract.kind] > 1), _as_bytes(schema_of(versioned.schema.model))
        if (result := result_of(contract)) is not None:
            name = f"{contract.kind}-{contract.newest.version}.result.schema.json"
            yield name, _as_bytes(schema_of(result))
    document = asyncapi(registry, Subjects(prefix), version=version)
    yield ASYNCAPI_FILE, _as_yaml(document)


def schema_of(model: type) -> JsonObject:
    """The JSON Schema of what a model, or one of several, accepts."""
    schema: JsonObject = {"$schema": DIALECT}
    accepted = TypeAdapter[object](model)
    schema.update(accepted.json_schema(by_alias=True, mode="validation", schema_generator=PlainJsonSchema))
    return schema


def _file_name(contract: Contract, version: str, taken: bool) -> str:
    """Named by the kind; a second family with the same kind (a command and the work it leads to) is named as well."""
    kind = f"{contract.family}.{contract.kind}" if taken else contract.kind
    return f"{kind}-{version}.schema.json"


def _as_bytes(schema: JsonObject) -> bytes:
    return orjson.dumps(schema, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _as_yaml(document: JsonObject) -> bytes:
    """By libyaml, which PyYAML's wheels bring along: a tenth of the time."""
    written = yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
    return written.encode()


class _Dumper(yaml.CSafeDumper):
    """What stands in several places is written in each: anchors are for machines only."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002 - the library asks for each
        return True
