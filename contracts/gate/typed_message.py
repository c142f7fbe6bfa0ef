"""A message that one typed decoding of its bytes has proven, without a look by the models."""

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from contracts.values.usage import Usage


class TypedMessage(Struct, frozen=True, gc=False):
    """What the gate needs to accept it: a version 2 envelope around the newest schema of its kind."""

    message_id: str
    trace_id: str
    created_at: int
    producer: str
    payload_hash: str
    payload: Usage


TypedDecoder: TypeAlias = Callable[[bytes], TypedMessage | None]
"""None where it takes the models to judge: a typed decoder takes only what they take, with the same facts."""
