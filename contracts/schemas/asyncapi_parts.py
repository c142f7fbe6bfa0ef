"""What AsyncAPI says beside channels and operations: the server, who may come, the headers that messages bear."""

from typing import Final

from contracts.errors import JsonObject, JsonValue
from contracts.gate.examination import MESSAGE_ID_HEADER
from contracts.gate.receipts import RECEIPT_HEADER
from contracts.gate.webhooks import ID_HEADER, SIGNATURE_HEADER, TIMESTAMP_HEADER
from contracts.subjects import Family

AUTHORIZATION_HEADER: Final = "Authorization"
TRACE_HEADER: Final = "traceparent"
ERROR_HEADER: Final = "Nats-Service-Error"
ERROR_CODE_HEADER: Final = "Nats-Service-Error-Code"

_TEXT: Final[JsonObject] = {"type": "string"}
_HEADERS: Final[dict[str, JsonObject]] = {
    AUTHORIZATION_HEADER: {**_TEXT, "description": "`Bearer` and a JSON Web Token, where the daemon asks for one."},
    TRACE_HEADER: {
        **_TEXT,
        "pattern": "^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$",
        "description": "W3C trace context: goes on in what follows from this message.",
    },
    MESSAGE_ID_HEADER: {
        **_TEXT,
        "description": "The stream's own deduplication; the message id of a version 1 envelope.",
    },
    RECEIPT_HEADER: {
        **_TEXT,
        "description": "A literal subject under an allowed reply prefix: gets the outcome after the commit.",
    },
    ID_HEADER: {**_TEXT, "description": "Standard Webhooks: the event_id of the payload."},
    TIMESTAMP_HEADER: {
        **_TEXT,
        "pattern": "^[0-9]{1,12}$",
        "description": "Standard Webhooks: seconds since 1970, within five minutes of when the stream stores it.",
    },
    SIGNATURE_HEADER: {
        **_TEXT,
        "description": "Standard Webhooks: `v1,` and the base64 of HMAC-SHA256 over id, timestamp and body.",
    },
    ERROR_HEADER: {**_TEXT, "description": "ADR-32: the error's code, where the command was refused or failed."},
    ERROR_CODE_HEADER: {**_TEXT, "description": "ADR-32: the error's status."},
}
_SENT: Final = (MESSAGE_ID_HEADER, TRACE_HEADER)
REPLY_HEADERS: Final = (ERROR_HEADER, ERROR_CODE_HEADER)
_OF_FAMILY: Final[dict[Family, tuple[str, ...]]] = {
    Family.INGEST: (MESSAGE_ID_HEADER, RECEIPT_HEADER, AUTHORIZATION_HEADER, TRACE_HEADER),
    Family.CALLBACK: (
        ID_HEADER,
        TIMESTAMP_HEADER,
        SIGNATURE_HEADER,
        MESSAGE_ID_HEADER,
        RECEIPT_HEADER,
        TRACE_HEADER,
    ),
    Family.REPLAY: (MESSAGE_ID_HEADER, RECEIPT_HEADER, TRACE_HEADER),
    Family.COMMAND: (AUTHORIZATION_HEADER, TRACE_HEADER),
    Family.OPS: (AUTHORIZATION_HEADER, TRACE_HEADER),
    Family.PULSE: (),
}
_REQUIRED: Final = {Family.CALLBACK: (ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER)}


def headers_of(family: Family | None) -> tuple[str, ...]:
    """The headers that a family's messages may bear; answers have those of a service."""
    return () if family is None else _OF_FAMILY.get(family, _SENT)


def headers_schema(names: tuple[str, ...]) -> JsonObject:
    required: list[JsonValue] = [name for name in names if name in _REQUIRED[Family.CALLBACK]]
    schema: JsonObject = {"type": "object", "properties": {name: _HEADERS[name] for name in names}}
    return {**schema, "required": required} if required else schema


SERVERS: Final[JsonObject] = {
    "nats": {
        "host": "localhost:4222",
        "protocol": "nats",
        "description": "NATS with JetStream, 2.12.5 or newer; where it is, and by which user, is the deployment's.",
        "security": [
            {"$ref": "#/components/securitySchemes/nats-user"},
            {"$ref": "#/components/securitySchemes/nats-credentials"},
        ],
    }
}

SECURITY_SCHEMES: Final[JsonObject] = {
    "nats-user": {
        "type": "userPassword",
        "description": "A NATS user for each role; what it may publish and hear is in deploy/nats/accounts.conf.",
    },
    "nats-credentials": {
        "type": "asymmetricEncryption",
        "description": "A .creds file: a NATS JWT and the nkey that signs the server's challenge.",
    },
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "HS256 or EdDSA in the header Authorization of the message; `sub` owns, `scope` permits.",
    },
    "webhook": {
        "type": "httpApiKey",
        "name": SIGNATURE_HEADER,
        "in": "header",
        "description": "Standard Webhooks, with a secret that daemon and workers share.",
    },
}


def security_of(family: Family) -> list[JsonValue]:
    """What a message of the family must prove beside its sender's NATS user."""
    names = {
        Family.COMMAND: ["bearer"],
        Family.OPS: ["bearer"],
        Family.CALLBACK: ["webhook"],
        Family.INGEST: ["bearer"],
    }
    return [{"$ref": f"#/components/securitySchemes/{name}"} for name in names.get(family, [])]
