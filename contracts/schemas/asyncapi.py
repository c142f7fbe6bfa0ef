"""The registry as AsyncAPI 3: a channel for each subject, an operation for each direction, seen from the daemon."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from contracts.contract import Contract, Registry, reply_to
from contracts.envelope import Envelope2
from contracts.errors import JsonObject, JsonValue
from contracts.gate.receipts import RECEIPT_HEADER
from contracts.outgoing import RECEIPT_KIND, REPLY_KIND
from contracts.schemas.asyncapi_parts import (
    REPLY_HEADERS,
    SECURITY_SCHEMES,
    SERVERS,
    headers_of,
    headers_schema,
    security_of,
)
from contracts.schemas.generator import PlainJsonSchema
from contracts.subjects import DURABLE, Family, Subjects

ASYNCAPI_VERSION: Final = "3.0.0"

_SCHEMAS: Final = "#/components/schemas/"
_REQUESTS: Final = (Family.COMMAND, Family.OPS)
_COMES_IN: Final = (*DURABLE, *_REQUESTS)
# Families that carry other kinds' messages, or whose kinds are not declared (yet): one channel for the whole family.
_WHOLE_FAMILIES: Final = {
    Family.CALLBACK: ("{family}.{id}", "What workers report of the work they took; the id may span several tokens."),
    Family.REPLAY: ("{subject}", "Dead letters on their way through the gate again, by their original subject."),
    Family.WORK: ("{type}", "Work for workers, kept until it is acknowledged."),
    Family.EVENT: ("{aggregate}.{id}.{event}", "What happened to an aggregate; the id may span several tokens."),
    Family.CONTROL: ("{agent}", "What an operator tells an agent: kill, spawn, model."),
}
_ABOUT: Final = {
    Family.INGEST: "What producers report.",
    Family.CALLBACK: "What workers report of the work they took.",
    Family.WORK: "Work for workers, kept until it is acknowledged.",
    Family.EVENT: "What happened to an aggregate.",
    Family.DEAD: "Refused messages, byte for byte, with the reason.",
    Family.COMMAND: "A command, answered on the request's reply subject.",
    Family.PULSE: "What each daemon tells of itself every few seconds; no stream keeps it.",
    Family.CONTROL: "What an operator tells an agent: kill, spawn, model.",
    Family.NOTIFY: "What a notifier is to be told: a lane of the daemon's own.",
    Family.OPS: "An operator's command, answered on the request's reply subject.",
}


def asyncapi(registry: Registry, subjects: Subjects, *, version: str) -> JsonObject:
    """The whole document; *version* is the program's."""
    channels: JsonObject = {}
    operations: JsonObject = {}
    messages: JsonObject = {}
    declared = list(_channels(registry, subjects))
    for channel in declared:
        channels[channel.id] = channel.as_json()
        messages.update({message.id: message.as_json() for message in channel.messages})
        if channel.family is not None:
            operations[channel.operation_id] = channel.operation()
    return {
        "asyncapi": ASYNCAPI_VERSION,
        "info": {
            "title": "headgate",
            "version": version,
            "description": "The gate at the head of a content pipeline, spoken to by messages on NATS JetStream.",
        },
        "defaultContentType": "application/json",
        "servers": SERVERS,
        "channels": channels,
        "operations": operations,
        "components": {
            "messages": messages,
            "schemas": _schemas(declared),
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


@dataclass(frozen=True, slots=True)
class _Message:
    id: str
    summary: str
    envelope: type[BaseModel]
    headers: tuple[str, ...] = ()

    def as_json(self) -> JsonObject:
        message: JsonObject = {
            "name": self.id,
            "summary": self.summary,
            "payload": {"$ref": _SCHEMAS + self.envelope.__name__},
        }
        if self.headers:
            message["headers"] = headers_schema(self.headers)
        return message


@dataclass(frozen=True, slots=True)
class _Channel:
    """``family`` is None for answers, which go where the asker said."""

    id: str
    family: Family | None
    address: str | None
    description: str
    messages: tuple[_Message, ...]
    reply: str = f"{REPLY_KIND}-1.0"
    """The message that answers a command."""

    def as_json(self) -> JsonObject:
        channel: JsonObject = {
            "address": self.address,
            "description": self.description,
            "messages": {message.id: {"$ref": f"#/components/messages/{message.id}"} for message in self.messages},
        }
        parameters = _parameters(self.address or "")
        if parameters:
            channel["parameters"] = {
                name: {"description": f"What stands for {name} in the address."} for name in parameters
            }
        return channel

    @property
    def operation_id(self) -> str:
        return f"{'receive' if self.family in _COMES_IN else 'send'}-{self.id}"

    def operation(self) -> JsonObject:
        operation: JsonObject = {
            "action": "receive" if self.family in _COMES_IN else "send",
            "channel": {"$ref": f"#/channels/{self.id}"},
            "summary": self.description,
            "messages": [_in_channel(self.id, message.id) for message in self.messages],
        }
        if self.family is not None and (security := security_of(self.family)):
            operation["security"] = security
        if self.family in _REQUESTS:
            operation["reply"] = _answer(
                REPLY_KIND, "$message.header#/reply", "The request's reply subject.", message=self.reply
            )
        elif self.family in DURABLE:
            operation["reply"] = _answer(
                RECEIPT_KIND, f"$message.header#/{RECEIPT_HEADER}", "Where the producer asked for a receipt."
            )
        return operation


def _channels(registry: Registry, subjects: Subjects) -> Iterator[_Channel]:
    declared = registry.contracts()
    replies = {contract.kind: reply for contract in declared if (reply := _reply(contract)) is not None}
    for contract in declared:
        channel = _channel_of(contract, subjects)
        if contract.kind == REPLY_KIND:
            channel = replace(channel, messages=(*channel.messages, *replies.values()))
        elif contract.family in _REQUESTS and contract.kind in replies:
            channel = replace(channel, reply=replies[contract.kind].id)
        yield channel
    for family, (rest, about) in _WHOLE_FAMILIES.items():
        if family not in {contract.family for contract in declared}:
            name = "any-reported" if family in DURABLE else "any"
            any_kind = _Message(name, "A version 2 envelope of any kind.", Envelope2, headers_of(family))
            yield _Channel(str(family), family, subjects.full(f"{family}.{rest}"), about, (any_kind,))


def _channel_of(contract: Contract, subjects: Subjects) -> _Channel:
    if contract.family is None or contract.address is None:
        return _Channel(
            contract.kind, None, None, "Goes to the subject that the asker named.", tuple(_messages(contract))
        )
    return _Channel(
        f"{contract.family}.{contract.kind}",
        contract.family,
        subjects.full(contract.address),
        _ABOUT[contract.family],
        tuple(_messages(contract)),
    )


def _reply(contract: Contract) -> _Message | None:
    """The answer to a command that says what its result is."""
    reply = reply_to(contract)
    if reply is None:
        return None
    return _Message(f"{contract.kind}-reply", f"The answer to {contract.kind}.", reply.envelope_2, REPLY_HEADERS)


def _messages(contract: Contract) -> Iterator[_Message]:
    """What may stand on a contract's subject: old schemas and old envelopes only where others are the writers."""
    for version, versioned in contract.schemas.items():
        name, durable = f"{contract.kind}-{version}", contract.family in DURABLE
        if contract.family in _REQUESTS:
            name = f"{contract.family}.{name}"
        headers = REPLY_HEADERS if contract.kind == REPLY_KIND else headers_of(contract.family)
        yield _Message(name, f"{contract.kind}, schema {version}.", versioned.envelope_2, headers)
        if durable:
            about = f"{contract.kind}, schema {version}, in a version 1 envelope."
            yield _Message(f"{name}-envelope-1", about, versioned.envelope_1, headers)


def _answer(kind: str, location: str, description: str, *, message: str | None = None) -> JsonObject:
    return {
        "address": {"location": location, "description": description},
        "channel": {"$ref": f"#/channels/{kind}"},
        "messages": [_in_channel(kind, message or f"{kind}-1.0")],
    }


def _in_channel(channel: str, message: str) -> JsonObject:
    return {"$ref": f"#/channels/{channel}/messages/{message}"}


def _parameters(address: str) -> list[str]:
    return [part.split("}")[0] for part in address.split("{")[1:]]


def _schemas(channels: Iterable[_Channel]) -> JsonValue:
    """Every model that a message may refer to, by its name."""
    models: dict[type[BaseModel], None] = {Envelope2: None}
    models |= {message.envelope: None for channel in channels for message in channel.messages}
    _, schemas = models_json_schema(
        [(model, "validation") for model in models],
        ref_template=_SCHEMAS + "{model}",
        by_alias=True,
        schema_generator=PlainJsonSchema,
    )
    definitions: JsonValue = schemas["$defs"]
    return definitions
