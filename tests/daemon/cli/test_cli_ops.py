"""``headgate ops`` beside a real daemon: what an operator sees."""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import jwt
import pytest

from tests.support.command_line import Done, headgate
from tests.support.daemons import DaemonProcess, running_daemon

pytestmark = pytest.mark.process

SECRET = "a secret of the tests, long enough for HS256"
CALLBACK_SECRET = "whsec_MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
# A message that the server will never take.
REFUSED_FOR_GOOD = """
INSERT INTO outbox (message_id, lane, aggregate, subject, headers, owner, created_at, attempts, state, failure, body)
VALUES ('m', 'HG_EVENT', 'a', 'event.a.b.c', '{}', 'nobody', 0, 1, 'failed', 'too large', x'')
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    """A daemon that asks for tokens."""
    settings = f'[auth]\nmode = "jwt"\njwt_secret = "{SECRET}"\n[callbacks]\nsecrets = ["{CALLBACK_SECRET}"]\n'
    with running_daemon(tmp_path_factory.mktemp("guarded"), settings) as running:
        yield running


def ops(daemon: DaemonProcess, *arguments: str, token: str | None = None) -> Done:
    variables = {"HEADGATE_TOKEN": token} if token else {}
    return headgate("ops", *arguments, "--config", daemon.config, variables=variables)


def test_health_check_shows_every_dependency_and_exits_0_when_healthy(daemon: DaemonProcess) -> None:
    done = ops(daemon, "health-check")
    assert done.code == 0, done.err
    first, heading, *rows = done.out.splitlines()
    assert first == "headgate is healthy"
    assert heading.split() == ["dependency", "status", "latency", "detail"]
    shown = {row.split()[0]: row.split()[1] for row in rows[1:]}
    names = ("nats", "database", "migrations", "repositories", "outbox", "consumers", "disk")
    assert shown == dict.fromkeys(names, "healthy")


def test_health_check_in_json_is_the_result_alone(daemon: DaemonProcess) -> None:
    done = ops(daemon, "health-check", "--json")
    assert done.code == 0, done.err
    assert done.json["status"] == "healthy"
    assert done.json["run_id"] is None


def test_health_check_exits_1_when_degraded_and_2_when_unhealthy(tmp_path: Path) -> None:
    with running_daemon(tmp_path / "home", "[storage]\nbusy_timeout_ms = 2000\n") as daemon:
        with closing(sqlite3.connect(daemon.database, isolation_level=None)) as database:
            database.execute(REFUSED_FOR_GOOD)
            degraded = ops(daemon, "health-check", "--json")
            assert (degraded.code, degraded.json["status"]) == (1, "degraded"), degraded.out
            assert ops(daemon, "health-check").code == 1

            database.execute("BEGIN EXCLUSIVE")
            unhealthy = ops(daemon, "health-check")
            database.execute("ROLLBACK")
        assert unhealthy.code == 2
        assert unhealthy.out.startswith("headgate is unhealthy\n")


def test_a_refusal_names_the_fields_and_exits_1(daemon: DaemonProcess) -> None:
    done = ops(daemon, "health-check", "--json-payload", '{"a": 1}', "--param", "b=text", "-p", "\x1b[2Jc=[1]")
    assert (done.code, done.out) == (1, "")
    assert "VALIDATION_ERROR" in done.err
    for path in ("payload.a", "payload.b", "payload.\\x1b[2Jc"):
        assert path in done.err
    assert "\x1b" not in done.err

    told = ops(daemon, "health-check", "-p", "a=1", "--json")
    assert told.code == 1
    assert json.loads(told.out)["error"]["code"] == "VALIDATION_ERROR"


def test_a_command_that_nobody_has_is_one_line_that_names_the_known_ones(daemon: DaemonProcess) -> None:
    done = ops(daemon, "no-such-command")
    assert (done.code, done.out) == (4, "")
    (line,) = done.err.splitlines()
    assert line.startswith("no daemon answers at hg.ops.no-such-command; commands of this version: ")
    assert "health-check" in line


def test_without_a_daemon_it_is_one_line_and_exit_code_3(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("")
    done = headgate("ops", "health-check", cwd=tmp_path)
    assert (done.code, done.out) == (3, "")
    assert done.err == f"no daemon is running on {tmp_path}/var (start one: headgate serve)\n"

    told = headgate("ops", "health-check", "--json", cwd=tmp_path)
    assert (told.code, told.json) == (3, {"errors": done.err.splitlines()})


def test_a_server_that_is_not_there_is_one_line_without_its_credentials(tmp_path: Path) -> None:
    done = headgate("ops", "health-check", "--nats-url", "nats://me:secret@127.0.0.1:1", cwd=tmp_path)
    assert done.code == 3
    (line,) = done.err.splitlines()
    assert line.startswith("no connection to NATS at 127.0.0.1:1: ")
    assert "secret" not in line


@pytest.mark.parametrize(
    "arguments", [("-p", "novalue"), ("--json-payload", "[1]"), ("--json-payload", "{")], ids=" ".join
)
def test_parameters_that_are_none_are_exit_code_4(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = headgate("ops", "health-check", *arguments, cwd=tmp_path)
    assert (done.code, done.out) == (4, "")


def test_the_token_goes_along(guarded: DaemonProcess) -> None:
    nobody = ops(guarded, "health-check")
    assert nobody.code == 1
    assert "UNAUTHENTICATED" in nobody.err

    claims = {"sub": "operator", "scope": "ops:read", "exp": int(time.time()) + 600}
    token = jwt.encode(claims, SECRET, algorithm="HS256")
    assert ops(guarded, "health-check", token=token).code == 0
    assert ops(guarded, "health-check", "--token", token).code == 0
