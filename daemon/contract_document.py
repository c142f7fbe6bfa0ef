"""What may be said to this daemon, as one AsyncAPI document, and the digest by which others see that it changed."""

import asyncio
import hashlib
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Final, cast

import orjson

from contracts.errors import JsonObject
from contracts.subjects import Subjects
from daemon.version import VERSION

_MAKING: Final = Lock()


@dataclass(frozen=True, slots=True)
class ContractDocument:
    """The document, its JSON, and the SHA-256 of it without the program's version: it changes with every contract, not
    with every release."""

    document: JsonObject
    json: bytes
    digest: str


async def contract_document(subjects: Subjects) -> ContractDocument:
    """Making it takes a third of a second: it is made once, when it is first asked for, and beside the loop, so that
    the first page that opens does not stop everybody else's messages."""
    return await asyncio.to_thread(_made_once, subjects)


def _made_once(subjects: Subjects) -> ContractDocument:
    with _MAKING:
        return _made(subjects)


@cache
def _made(subjects: Subjects) -> ContractDocument:
    from contracts.registry import REGISTRY
    from contracts.schemas.asyncapi import asyncapi

    document = asyncapi(REGISTRY, subjects, version="")
    digest = hashlib.sha256(orjson.dumps(document, option=orjson.OPT_SORT_KEYS)).hexdigest()
    info = cast("JsonObject", document["info"])
    document = {**document, "info": {**info, "version": VERSION}}
    return ContractDocument(document, orjson.dumps(document), f"sha256:{digest}")
