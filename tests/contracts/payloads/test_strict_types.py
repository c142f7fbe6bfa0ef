"""No field of any model takes a value of another type for its own: ``"yes"`` is no truth, ``true`` no number."""

from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, TypeAdapter

from contracts.envelope import Envelope1, Envelope2
from contracts.registry import REGISTRY

LAX = {"bool", "int", "float"}
MODELS: list[type[BaseModel]] = [
    Envelope1,
    Envelope2,
    *dict.fromkeys(each.schema.model for known in REGISTRY.contracts() for each in known.schemas.values()),
]


def scalars(schema: Any, path: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every schema of a scalar inside a core schema, with where it stands."""
    if isinstance(schema, dict):
        if schema.get("type") in LAX:
            yield path, schema
        for key, value in schema.items():
            if key not in ("serialization", "metadata", "ref"):
                yield from scalars(value, f"{path}.{key}")
    elif isinstance(schema, (list, tuple)):
        for index, value in enumerate(schema):
            yield from scalars(value, f"{path}[{index}]")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_truths_and_numbers_are_strict_in_every_model(model: type[BaseModel]) -> None:
    lax = [path for path, schema in scalars(TypeAdapter(model).core_schema) if schema.get("strict") is not True]

    assert lax == []
