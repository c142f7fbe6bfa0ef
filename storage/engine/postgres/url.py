"""PostgreSQL's URL in libpq's words, as ``psql`` and ``pg_dump`` take it, for a driver that knows some of them.

What asyncpg understands goes to it as it is; some words it would send to the server as settings: those are taken here.
A word that cannot be honoured is refused: leaving it out in silence would connect less safely than was asked for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

_DRIVER: Final = frozenset(
    {
        "dbname",
        "gsslib",
        "host",
        "krbsrvname",
        "passfile",
        "password",
        "port",
        "service",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcrl",
        "sslkey",
        "sslmode",
        "sslnegotiation",
        "sslrootcert",
        "target_session_attrs",
        "user",
    }
)
_SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NAME: Final = "application_name"
_FALLBACK_NAME: Final = "fallback_application_name"


def _one_of(*values: str, hint: str = "") -> Callable[[str], str | None]:
    def judge(value: str) -> str | None:
        return None if value in values else f"must be one of {', '.join(values)}{hint}"

    return judge


def _seconds(value: str) -> str | None:
    digits = value.strip().removeprefix("-")
    return None if digits.isascii() and digits.isdecimal() else "must be a whole number of seconds"


_JUDGED: Final[Mapping[str, Callable[[str], str | None]]] = MappingProxyType(
    {
        "channel_binding": _one_of(
            "disable", "prefer", hint=": the driver has none, sslmode=verify-full proves the server"
        ),
        "client_encoding": _one_of("UTF8", "utf8", "UTF-8", "utf-8", "auto"),
        "connect_timeout": _seconds,
        "gssencmode": _one_of("disable", "prefer"),
        "sslmode": _one_of(*_SSL_MODES),
    }
)
_TAKEN: Final = frozenset({*_JUDGED, _NAME, _FALLBACK_NAME, "options"})
KNOWN: Final = tuple(sorted(_DRIVER | _TAKEN))
"""The words that a URL may have."""


class UrlFault(ValueError):
    """A URL that cannot be honoured: what is wrong with it, as the end of a sentence, without any of its values."""


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """``dsn`` and ``server_settings`` are for the driver; ``timeout_s`` is how long a connection may take, if that was
    said. ``dump`` is the whole of it for libpq's programs, but for ``password``, which is no argument for all to read.
    """

    dsn: str
    server_settings: Mapping[str, str]
    timeout_s: float | None
    dump: str
    password: str | None
    name: str
    """What a person calls the database."""


def read_postgres_url(url: str) -> PostgresUrl:
    """Raises :class:`UrlFault`."""
    parts = urlsplit(url)
    words = _words(parts.query)
    account, _, place = parts.netloc.rpartition("@")
    user, _, password = account.partition(":")
    secret = words.pop("password", None) or unquote(password) or None
    account = quote(unquote(user), safe="")
    shown = f"postgresql://{account}{'@' if account else ''}{place}{parts.path}"
    if secret is not None:
        account += f":{quote(secret, safe='')}"
    settings = {_NAME: words.get(_NAME) or words.get(_FALLBACK_NAME) or "headgate"}
    if "options" in words:
        settings["options"] = words["options"]
    timeout_s = float(words["connect_timeout"]) if "connect_timeout" in words else 0.0
    return PostgresUrl(
        dsn=_with_query(
            f"postgresql://{account}{'@' if account else ''}{place}{parts.path}",
            {name: value for name, value in words.items() if name in _DRIVER},
        ),
        server_settings=settings,
        timeout_s=timeout_s if timeout_s > 0 else None,  # libpq's 0 is "for ever"; every wait here has an end
        dump=_with_query(shown, {_FALLBACK_NAME: "headgate"} | words),
        password=secret,
        name=shown,
    )


def _words(query: str) -> dict[str, str]:
    try:
        words = dict(parse_qsl(query, keep_blank_values=True, strict_parsing=True)) if query else {}
    except ValueError:
        raise UrlFault("must have word=value, joined by &, after the ?") from None
    for name, value in words.items():
        if name not in _DRIVER and name not in _TAKEN:
            meant = " (sslmode is meant)" if name in {"ssl", "tls"} else ""
            raise UrlFault(f"has {_shown(name)}{meant}, which is not among the words taken here: {', '.join(KNOWN)}")
        if name in _JUDGED and (fault := _JUDGED[name](value)) is not None:
            raise UrlFault(f"has {name}, which {fault}")
    return words


def _shown(name: str) -> str:
    return name if name.isidentifier() and name.isascii() and len(name) < 64 else "a word after ?"


def _with_query(url: str, words: Mapping[str, str]) -> str:
    return f"{url}?{urlencode(words, quote_via=quote)}" if words else url
