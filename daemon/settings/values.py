"""The types that settings are made of. Every message completes the sentence "<key> ..." and never repeats the value."""

import base64
import binascii
import re
import shlex
from pathlib import Path
from typing import Annotated, Final
from urllib.parse import SplitResult, unquote, urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    SecretStr,
    ValidationInfo,
)

from storage.engine.postgres.url import read_postgres_url

BASE: Final = "base"
"""Key of the validation context: the folder that relative paths start from (the one of the settings file)."""

_LONGEST_S: Final = 366 * 86_400.0
# Greedy: a password may hold any character, also one that should have been written in percent form.
_CREDENTIALS: Final = re.compile(r"(?<=://).*@")
_NEXT_URL: Final = re.compile(r",(?=\s*[A-Za-z][A-Za-z0-9+.-]*://)")
_SECRET_NAME: Final = re.compile(
    r"pass(word|wd|phrase)?$|secret|token|api_?key|credential|signature|auth", re.IGNORECASE
)
_LOCAL_FILE: Final = "sqlite:///"


class Section(BaseModel):
    """A table of the settings file. Values are strict: ``port = "80"`` is refused, not guessed at."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        strict=True,
        validate_default=True,
        validate_by_name=True,
        validate_by_alias=True,
        hide_input_in_errors=True,
    )


def resolved(path: Path, base: Path) -> Path:
    """The path as seen from the folder of the settings file; a leading ``~`` is the home directory."""
    return base / path.expanduser()


def _from_base(path: Path, info: ValidationInfo) -> Path:
    context: dict[str, Path] = info.context or {}
    return resolved(path, context.get(BASE, Path()))


def _no_nul(value: object) -> object:
    if isinstance(value, str) and "\0" in value:
        raise ValueError("must not contain a null character")
    return value


def without_credentials(url: str) -> str:
    """The URLs (separated by commas) with user, password and token struck out, wherever in a URL they stand."""
    return ",".join(_without_credentials(each) for each in _NEXT_URL.split(url))


def _without_credentials(url: str) -> str:
    if url.startswith(_LOCAL_FILE):
        return url
    place, mark, query = url.partition("?")
    if "@" not in place and "@" in query:  # perhaps a password with a question mark in it
        place, mark, query = url, "", ""
    return f"{_CREDENTIALS.sub('***@', place)}{mark}{'&'.join(map(_without_value, query.split('&')))}"


def _without_value(part: str) -> str:
    name, mark, _ = part.partition("=")
    return f"{name}{mark}***" if mark and _SECRET_NAME.search(unquote(name)) else part


def _storage_url(url: str, info: ValidationInfo) -> str:
    if url.startswith("postgresql://"):
        parts = _split(url)
        if not parts.hostname and "host=" not in parts.query:
            raise ValueError("must name a host: postgresql://user:password@host/database")
        read_postgres_url(url)
        return url
    path = url.removeprefix(_LOCAL_FILE)
    if path == url:
        raise ValueError("must be sqlite:///relative.db, sqlite:////absolute.db or postgresql://...")
    if not path or path.endswith("/") or path.startswith(":") or "?" in path:
        raise ValueError("must name a database file: sqlite:///relative.db or sqlite:////absolute.db")
    return f"{_LOCAL_FILE}{_from_base(Path(path), info).absolute()}"


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port  # only reading it checks it
    except ValueError:
        raise ValueError("must be a URL with a valid host and port") from None
    return parts


def _nats_url(urls: str) -> str:
    for url in urls.split(","):
        parts = _split(url.strip())
        if parts.scheme not in {"nats", "tls", "ws", "wss"} or not parts.hostname:
            raise ValueError("must be one or more URLs (separated by commas) such as nats://host:4222")
    return urls


def nats_hosts(urls: str) -> tuple[str, ...]:
    """The host of each server in ``nats.url``."""
    return tuple(urlsplit(url.strip()).hostname or "" for url in urls.split(","))


def _http_url(url: str) -> str:
    if url and (_split(url).scheme not in {"http", "https"} or not _split(url).hostname):
        raise ValueError("must be a URL that begins with http:// or https://")
    return url


def _secret_http_url(url: SecretStr) -> SecretStr:
    _http_url(url.get_secret_value())
    return url


def _websocket_url(url: str) -> str:
    if url and (_split(url).scheme not in {"ws", "wss"} or not _split(url).hostname):
        raise ValueError("must be a URL that begins with ws:// or wss://")
    if any(mark in url for mark in " ;,'\""):
        raise ValueError("must be a URL without blanks, quotes, commas and semicolons")
    return url


def _subject_token(token: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,32}", token):
        raise ValueError("must be 1 to 32 letters, digits, dashes or underscores")
    return token


def _literal_subject(prefix: str) -> str:
    if not re.fullmatch(r"[^\s*>.$\0][^\s*>\0]*", prefix) or ".." in prefix:
        raise ValueError("must be the beginning of a literal subject: no wildcard, no space, not under $")
    return prefix


def _signing_secret(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    key = text.removeprefix("whsec_")
    try:
        size = len(base64.b64decode(key, validate=True))
    except (binascii.Error, ValueError):
        size = 0
    if key == text or not 24 <= size <= 64:
        raise ValueError("must be whsec_ followed by the base64 of 24 to 64 bytes")
    return secret


def signing_secret_fault(secret: SecretStr) -> str | None:
    """What is wrong with a secret that may be absent."""
    try:
        if secret.get_secret_value():
            _signing_secret(secret)
    except ValueError as error:
        return str(error)
    return None


def _words(value: object) -> object:
    """A command may be written as one line or as a list of words; it never goes through a shell."""
    if not isinstance(value, str):
        return value
    try:
        return shlex.split(value)
    except ValueError:
        raise ValueError("must be a command whose quotes are closed") from None


def _absent_when_empty(value: object) -> object:
    return None if value == "" else value


Seconds = Annotated[float, Field(gt=0, le=_LONGEST_S, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=2**53 - 1)]
EveryHours = Annotated[float, Field(ge=0, le=8_784, allow_inf_nan=False)]
"""How often something is done by itself, in hours; 0 never."""
Days = Annotated[int, Field(ge=0, le=36_500)]
"""Days to keep something; 0 keeps it for ever."""
Port = Annotated[int, Field(ge=0, le=65_535)]
"""A TCP port; 0 takes any free one."""
LocalPath = Annotated[Path, Field(strict=False), BeforeValidator(_no_nul), AfterValidator(_from_base)]
Paths = Annotated[tuple[LocalPath, ...], Field(strict=False)]
Texts = Annotated[tuple[str, ...], Field(strict=False)]
Words = Annotated[Texts, BeforeValidator(_words)]
OptionalPath = Annotated[LocalPath | None, BeforeValidator(_absent_when_empty)]
_masked = PlainSerializer(without_credentials, return_type=str, when_used="json")
StorageUrl = Annotated[str, BeforeValidator(_no_nul), AfterValidator(_storage_url), Field(repr=False), _masked]
NatsUrl = Annotated[str, AfterValidator(_nats_url), Field(repr=False), _masked]
HttpUrl = Annotated[str, AfterValidator(_http_url), Field(repr=False), _masked]
SecretHttpUrl = Annotated[SecretStr, AfterValidator(_secret_http_url)]
WebsocketUrl = Annotated[str, AfterValidator(_websocket_url)]
SubjectToken = Annotated[str, AfterValidator(_subject_token)]
SubjectPrefix = Annotated[str, AfterValidator(_literal_subject)]
SigningSecret = Annotated[SecretStr, AfterValidator(_signing_secret)]
EmptyIsAbsent = BeforeValidator(_absent_when_empty)
