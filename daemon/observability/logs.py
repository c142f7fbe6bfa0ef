"""Logs: structlog, one JSON object a line on standard output, or text for people.

Everything goes through one pipeline, also what libraries say through :mod:`logging`. Call sites pass facts as keys
(``log.info("ready", nats_url=...)``); the pipeline strikes out secrets by the name of the key and by their form,
whoever passes them. No message bodies are logged anywhere.
"""

import json
import logging
import os
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TypeAlias

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from daemon.observability.log_output import LineOutput
from daemon.settings.process import LogSettings
from daemon.terminal import escaped, escaped_lines

_log = structlog.get_logger(__name__)

REDACTED: Final = "redacted"
STANDARD_OUTPUT: Final = 1

_SECRET_KEYS: Final = re.compile(
    r"authorization|webhook-signature|(^|[_-])(secrets?|token|password|passwd|jwt|api_?key|credentials)$", re.IGNORECASE
)
_SECRET_FORMS: Final = re.compile(
    r"(?P<url>(?<=://)[^\s<>]*@)|(?P<bearer>\bBearer\s+\S+)|(?P<signing>\bwhsec_[A-Za-z0-9+/=]+)", re.IGNORECASE
)
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.:+-]*")
"""Nothing of which a URL or a header could be made: looking for the forms costs ten times as much."""
_SIMPLE: Final = frozenset({str, int, float, bool})
_FIRST: Final = ("timestamp", "level", "event", "logger")
_MULTILINE: Final = frozenset({"exception", "stack"})

# Access lines tell signed URLs, HTTP clients the addresses of web hooks, which are secrets; FastStream says something
# about every message. Their warnings and errors are wanted.
_QUIET: Final = ("uvicorn.access", "httpx", "httpcore", "faststream.access", "alembic", "aiosqlite", "asyncio")
_OWN_HANDLERS: Final = ("faststream", "uvicorn", "alembic", "nats", "sqlalchemy")


class _PipelineHandler(logging.Handler):
    """Takes what libraries log into the same pipeline."""

    def __init__(self, output: LineOutput, formatter: logging.Formatter) -> None:
        super().__init__()
        self._output = output
        self.setFormatter(formatter)

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._output.write_line(self.format(record).encode("utf-8", "backslashreplace"))
        except Exception:  # noqa: BLE001 - a library's record that cannot be formatted must not fail the library's call
            self.handleError(record)


def configure_logs(settings: LogSettings, descriptor: int = STANDARD_OUTPUT) -> LineOutput:
    """Send every log line, ours and the libraries', to *descriptor* in the format that the settings ask for."""
    output = LineOutput(descriptor)
    level = logging.getLevelNamesMapping()[settings.level.upper()]
    render = _renderer(settings, descriptor)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        without_secrets,
    ]
    structlog.configure(
        processors=[*shared, render, _to_bytes],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_args: output,
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.ExtraAdder(), structlog.stdlib.add_logger_name, *shared],
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, render],
    )
    logging.root.handlers[:] = [_PipelineHandler(output, formatter)]
    logging.root.setLevel(level)
    logging.captureWarnings(capture=True)
    adopt_library_loggers()
    return output


WriteEvents: TypeAlias = Callable[[Sequence[tuple[str, Mapping[str, object]]]], None]
"""Writes lines of level ``info``, each an event and its facts."""


def write_each(events: Sequence[tuple[str, Mapping[str, object]]]) -> None:
    """One line after the other through the pipeline."""
    for event, facts in events:
        _log.info(event, **facts)


def writes_together(settings: LogSettings, output: LineOutput) -> WriteEvents:
    """Writes the events of one moment by one write and, as JSON, makes their lines at a fifth of the pipeline's cost:
    there are several for each job."""
    if settings.format != "json" or logging.getLevelNamesMapping()[settings.level.upper()] > logging.INFO:

        def write_together(events: Sequence[tuple[str, Mapping[str, object]]]) -> None:
            with output.together():
                write_each(events)

        return write_together

    def write_json(events: Sequence[tuple[str, Mapping[str, object]]]) -> None:
        now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
        bound = structlog.contextvars.get_contextvars()
        with output.together():
            for event, facts in events:
                output.write_line(_event_line({"timestamp": now, "level": "info", "event": event, **bound, **facts}))

    return write_json


def _event_line(told: EventDict) -> bytes:
    """The line of what has its time and level, as the pipeline would write it."""
    if _SIMPLE.issuperset(map(type, told.values())) and not any(map(_names_secret, told)):
        try:
            line = orjson.dumps(told)
        except orjson.JSONEncodeError:
            pass
        else:
            if _is_harmless(line):
                return line
    return _to_bytes(None, "info", _json_line(None, "info", without_secrets(None, "info", told)))


def adopt_library_loggers() -> None:
    """Take away the handlers that libraries gave their own loggers. Once more after a library was imported late."""
    for name, logger in list(logging.root.manager.loggerDict.items()):
        if isinstance(logger, logging.Logger) and name.split(".")[0] in _OWN_HANDLERS:
            logger.handlers.clear()
            logger.propagate = True
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.root.level))


def without_secrets(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> EventDict:
    """Strike out secrets: values of keys that are named for one, and what looks like one inside text."""
    return {key: _shown(key, value) for key, value in event_dict.items()}


def _shown(key: object, value: object) -> object:
    if isinstance(key, str) and _names_secret(key):
        return REDACTED
    if isinstance(value, str):
        return value if _is_plain(value) else _SECRET_FORMS.sub(_struck_out, value)
    if isinstance(value, Mapping):
        return {str(inner): _shown(inner, below) for inner, below in value.items()}
    if isinstance(value, (list, tuple)) and key != "_from_structlog":
        return [_shown(None, below) for below in value]
    if isinstance(value, BaseException):
        return _SECRET_FORMS.sub(_struck_out, f"{type(value).__name__}: {value}")
    return value


@lru_cache(maxsize=1_024)
def _names_secret(key: str) -> bool:
    return _SECRET_KEYS.search(key) is not None


def _is_plain(value: str) -> bool:
    """Whether a text plainly holds no secret's form, as ids, names, times and states: most of what is told."""
    return _PLAIN.fullmatch(value) is not None and "whsec_" not in value.lower()


def _is_harmless(line: bytes) -> bool:
    """Whether a line plainly holds no secret's form: less is looked for than a form has, and all of it is ASCII."""
    lower = line.lower()
    return line.isascii() and b"://" not in lower and b"bearer" not in lower and b"whsec_" not in lower


def _struck_out(match: re.Match[str]) -> str:
    return f"{REDACTED}@" if match["url"] else REDACTED


def _renderer(settings: LogSettings, descriptor: int) -> Processor:
    return _json_line if settings.format == "json" else _ConsoleLine(colors=os.isatty(descriptor))


def _json_line(_logger: WrappedLogger, _method: str, event_dict: EventDict) -> str:
    ordered = {key: event_dict.pop(key) for key in _FIRST if key in event_dict}
    ordered.update(event_dict)
    try:
        return orjson.dumps(ordered, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # a lone surrogate, an integer beyond 64 bits: slower, but it says everything
        return json.dumps(ordered, default=str)


class _ConsoleLine:
    """One line for a person; a traceback follows on lines of its own."""

    def __init__(self, *, colors: bool) -> None:
        # Plain tracebacks: the pretty ones show the values of local variables, and so secrets and payloads.
        self._render = structlog.dev.ConsoleRenderer(
            colors=colors, exception_formatter=structlog.dev.plain_traceback, pad_event_to=30
        )

    def __call__(self, logger: WrappedLogger, method: str, event_dict: EventDict) -> str:
        return self._render(logger, method, {_text(key): _printable(key, value) for key, value in event_dict.items()})


def _text(key: str) -> str:
    return escaped(str(key))


def _printable(key: str, value: object) -> object:
    if isinstance(value, (bool, int, float)) or value is None:
        return value
    text = value if isinstance(value, str) else str(value)
    return escaped_lines(text) if key in _MULTILINE else escaped(text)


def _to_bytes(_logger: WrappedLogger, _method: str, line: str | EventDict) -> bytes:
    return str(line).encode("utf-8", "backslashreplace")
