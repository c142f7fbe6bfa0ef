"""Logs: one line for each event through one pipeline, without secrets, and harmless to a terminal."""

import atexit
import json
import os
import socket
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeAlias

import pytest

from daemon.observability.log_output import LineOutput
from daemon.observability.logs import without_secrets
from daemon.terminal import escaped, escaped_lines

Line: TypeAlias = dict[str, object]

PREAMBLE = """
output = configure_logs(LogSettings(level={level!r}, format={format!r}))
log = structlog.get_logger("test")
"""

FORKS = """
import json, logging, os, sys
import structlog
from daemon.observability.logs import adopt_library_loggers, configure_logs
from daemon.settings.process import LogSettings
for line in sys.stdin:
    asked = json.loads(line)
    if (pid := os.fork()) == 0:
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(asked[name], os.O_WRONLY | os.O_CREAT), number)
        exec(compile(asked["program"], "<program>", "exec"))
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


@cache
def forks() -> "subprocess.Popen[str]":
    """What logs has been imported once; each program is a process of its own, forked from there."""
    process = subprocess.Popen(
        [sys.executable, "-c", FORKS], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, encoding="utf-8"
    )
    atexit.register(process.communicate)
    return process


def logged(code: str, *, level: str = "info", style: str = "json") -> str:
    process = forks()
    assert process.stdin is not None
    assert process.stdout is not None
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        asked = {"program": PREAMBLE.format(level=level, format=style) + code, "out": str(out), "err": str(err)}
        print(json.dumps(asked), file=process.stdin, flush=True)
        assert process.stdout.readline() == "0\n", err.read_text()
        assert err.read_text() == ""
        return out.read_bytes().decode()


def json_lines(code: str, level: str = "info") -> list[Line]:
    return [json.loads(line) for line in logged(code, level=level).splitlines()]


def test_an_event_is_one_json_object_a_line() -> None:
    (line,) = json_lines("log.info('ready', nats_url='nats://127.0.0.1:1', messages=3, text='a\\nb')")
    assert line.pop("timestamp") is not None
    assert line == {"event": "ready", "level": "info", "nats_url": "nats://127.0.0.1:1", "messages": 3, "text": "a\nb"}


def test_context_that_was_bound_stands_in_every_line() -> None:
    (line,) = json_lines("structlog.contextvars.bind_contextvars(trace_id='t-1'); log.warning('slow')")
    assert (line["trace_id"], line["level"]) == ("t-1", "warning")


def test_lines_below_the_level_are_not_written() -> None:
    code = "log.info('a'); logging.getLogger('nats.aio').info('b'); log.error('c')"
    assert [line["event"] for line in json_lines(code, level="error")] == ["c"]


def test_libraries_speak_through_the_same_pipeline() -> None:
    (line,) = json_lines("logging.getLogger('nats.aio.client').error('lost %s', 'x')")
    assert (line["event"], line["level"], line["logger"]) == ("lost x", "error", "nats.aio.client")


def test_warnings_are_log_lines() -> None:
    (line,) = json_lines("import warnings; warnings.warn('old')")
    assert line["logger"] == "py.warnings"
    assert "old" in str(line["event"])


def test_a_library_with_a_handler_of_its_own_is_adopted() -> None:
    code = "import faststream\nadopt_library_loggers()\nlogging.getLogger('faststream').error('down')"
    assert [(line["event"], line["level"]) for line in json_lines(code)] == [("down", "error")]


def test_lines_about_every_request_are_left_out_for_they_tell_signed_addresses() -> None:
    code = "logging.getLogger('httpx').info('POST https://x'); logging.getLogger('uvicorn.access').info('GET /')"
    assert json_lines(code, level="debug") == []


def test_an_exception_is_told_with_its_traceback_but_without_the_values_of_variables() -> None:
    code = "payload = 'hid' + 'den'\ntry:\n    1 / 0\nexcept ZeroDivisionError:\n    log.exception('failed')"
    (line,) = json_lines(code)
    assert "ZeroDivisionError" in str(line["exception"])
    assert "hidden" not in logged(code, style="console")
    assert "ZeroDivisionError" in logged(code, style="console")


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    "call",
    [
        "log.info('x', authorization='Bearer hidden')",
        "log.info('x', headers={'Authorization': 'Bearer hidden', 'WEBHOOK-SIGNATURE': 'v1,hidden'})",
        "log.info('x', jwt_secret='hidden', token='hidden', api_key='hidden', password='hidden')",
        "log.info('x', url='nats://user:hidden@127.0.0.1:4222')",
        "log.info('cannot reach nats://hidden@127.0.0.1')",
        "log.info('x', seen=['whsec_hidden', ('Bearer hidden',)])",
        "log.info('x', error=ValueError('postgresql://u:hidden@h/d'))",
        "logging.getLogger('nats').error('no: nats://hidden@h')",
        "logging.getLogger('nats').error('no: %s', 'Bearer hidden')",
    ],
)
def test_no_secret_is_logged_whoever_passes_it(call: str, style: str) -> None:
    text = logged(call, style=style)
    assert "hidden" not in text
    assert "redacted" in text


TOLD_TOGETHER = """
from daemon.observability.logs import writes_together
write = writes_together(LogSettings(level={level!r}, format={format!r}), output)
"""


def told(events: str, *, level: str = "info", style: str = "json") -> str:
    """What is written of *events*, the story of one transaction."""
    return logged(TOLD_TOGETHER.format(level=level, format=style) + f"write({events})", level=level, style=style)


def test_a_story_is_told_in_the_lines_that_each_event_would_have() -> None:
    facts = {"job_id": "j-1", "from": "QUEUED", "to": "DONE", "attempt": 2, "text": "Grüße\n", "odd": None}
    one_by_one = [json.loads(line) for line in logged(f"log.info('moved', **{facts}); log.info('x')").splitlines()]
    together = [json.loads(line) for line in told(f"[('moved', {facts}), ('x', {{}})]").splitlines()]

    assert [list(line) for line in together] == [list(line) for line in one_by_one]
    assert [line | {"timestamp": ""} for line in together] == [line | {"timestamp": ""} for line in one_by_one]
    assert {len(str(line["timestamp"])) for line in [*together, *one_by_one]} == {27}


@pytest.mark.parametrize("style", ["json", "console"])
@pytest.mark.parametrize(
    "facts",
    [
        "{'token': 'hidden'}",
        "{'by': 'nats://user:hidden@127.0.0.1'}",
        "{'by': 'BEARER hidden'}",
        "{'by': 'wh\u017fec_hidden'}",
        "{'by': 'x.whsec_hidden'}",
        "{'details': {'authorization': 'hidden'}}",
        "{'details': ['Bearer\thidden']}",
        "{'by': '\\ud800 whsec_hidden'}",
    ],
)
def test_no_secret_is_told_in_a_story(facts: str, style: str) -> None:
    text = told(f"[('moved', {facts})]", style=style)
    assert "hidden" not in text
    assert "redacted" in text


def test_a_story_below_the_level_is_not_told() -> None:
    assert told("[('moved', {})]", level="warning") == ""


def test_context_that_was_bound_stands_in_a_story_too() -> None:
    code = TOLD_TOGETHER.format(level="info", format="json")
    (line,) = json_lines(f"{code}structlog.contextvars.bind_contextvars(run_id='r-1'); write([('moved', {{}})])")
    assert line["run_id"] == "r-1"


def test_counts_of_tokens_are_not_secrets() -> None:
    (line,) = json_lines("log.info('usage', input_tokens=5, secrets_count=2)")
    assert (line["input_tokens"], line["secrets_count"]) == (5, 2)


@pytest.mark.parametrize("value", ["'\\ud800'", "2**70", "{1: object()}", "b'\\xff'", "float('nan')"])
def test_whatever_a_value_is_its_line_is_written(value: str) -> None:
    (line,) = json_lines(f"log.info('odd', value={value})")
    assert line["event"] == "odd"


def test_on_a_console_control_characters_are_shown_not_sent() -> None:
    text = logged(
        "log.info('e\\x1b[2J', **{'k\\x07': 'v\\nforged\\x1b]0;t\\x9b'}, nested={'a': '\\x1b'})", style="console"
    )
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "\x9b" not in text
    assert text.count("\n") == 1
    assert "e\\x1b[2J" in text


def test_on_a_console_what_libraries_say_is_escaped_too() -> None:
    text = logged("logging.getLogger('nats').error('a\\x1b[2Jb\\nforged')", style="console")
    assert "\x1b" not in text
    assert text.count("\n") == 1


def test_a_reader_that_went_away_costs_lines_not_the_program() -> None:
    code = """
import os, sys
reader, writer = os.pipe()
output = configure_logs(LogSettings(), writer)
os.close(reader)
log.info("nobody hears this")
logging.getLogger("nats").error("nor this")
sys.stdout.write(str(output.lost))
"""
    assert logged(code) == "2"


def test_text_that_prints_is_left_alone() -> None:
    assert escaped("Grüße, 世界 🎬") == "Grüße, 世界 🎬"


def test_text_that_would_steer_a_terminal_is_escaped() -> None:
    assert escaped("a\x1b[31m\r\n\t\u202e\u2028\ud800") == "a\\x1b[31m\\r\\n\\t\\u202e\\u2028\\ud800"
    assert escaped_lines("a\x1b\n\tb") == "a\\x1b\n    b"


def test_a_pipe_that_nobody_reads_costs_lines_and_no_time() -> None:
    """More than the pipe holds is dropped and counted; what was begun is finished once somebody reads."""
    reader, writer = os.pipe()
    output = LineOutput(writer)
    for number in range(3_000):  # a writer that waits would never come to an end
        output.write_line(f"{number} ".encode().ljust(100, b"x"))
    assert 0 < output.lost < 3_000

    held = os.read(reader, 2**20)
    output.write_line(b"read again")
    os.close(writer)
    lines = (held + os.read(reader, 2**20)).decode().splitlines()
    os.close(reader)

    assert lines[-1] == "read again"
    assert [int(line.split()[0]) for line in lines[:-1]] == list(range(len(lines) - 1)), "whole lines, in order"
    assert len(lines) - 1 + output.lost == 3_000


def test_a_socket_that_nobody_reads_costs_lines_and_no_time() -> None:
    """The journal gives a socket: it may say that it can be written and still make a writer wait."""
    ours, theirs = socket.socketpair()
    output = LineOutput(ours.fileno())
    for _ in range(3_000):
        output.write_line(b"x" * 5_000)
    assert output.lost > 0
    output.close()
    ours.close()
    theirs.close()


def test_lines_that_are_written_together_are_whole_in_order_and_all_counted_where_they_are_lost() -> None:
    reader, writer = os.pipe()
    output = LineOutput(writer)
    for start in range(0, 3_000, 60):
        with output.together(), output.together():
            for number in range(start, start + 60):
                output.write_line(f"{number} ".encode().ljust(100, b"x"))
    assert 0 < output.lost < 3_000

    held = os.read(reader, 2**20)
    output.write_line(b"read again")
    os.close(writer)
    lines = (held + os.read(reader, 2**20)).decode().splitlines()
    os.close(reader)

    assert lines[-1] == "read again"
    assert all(len(line) == 100 for line in lines[:-1])
    told = [int(line.split()[0]) for line in lines[:-1]]
    assert told == sorted(told)
    assert len(told) + output.lost == 3_000


@pytest.mark.parametrize(
    "secret",
    [
        "whsec_aGlkZGVu",
        "WHSEC_aGlkZGVu",
        "x.whsec_aGlkZGVu",
        "Bearer hidden",
        "nats://user:hidden@127.0.0.1",
        "bearer\thidden",
        "postgresql://a:b@c/d",
    ],
)
def test_no_form_of_a_secret_is_taken_for_plain_text(secret: str) -> None:
    shown = without_secrets(None, "info", {"x": secret})
    assert "redacted" in str(shown["x"])
    assert without_secrets(None, "info", {"x": "planner-7:000123"}) == {"x": "planner-7:000123"}
