"""The command door of a real daemon: found by discovery, every request answered, nothing told to the wrong ear."""

import asyncio
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import nats
import orjson
import pytest
import pytest_asyncio
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.adapters.nats.waiting import eventually_awaited
from tests.contracts.samples import envelope, usage
from tests.support.commands import TRACE, Answer, Json, ask, command, metric
from tests.support.daemons import DaemonProcess, eventually, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

GET = "hg.cmd.ledger.get"
HEALTH = "hg.ops.health-check"
SECRET = "a secret of at least thirty-two bytes"
GUARDED = f"""
[auth]
mode = "jwt"
jwt_secret = "{SECRET}"
[callbacks]
secrets = ["whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]
[limits]
commands_per_second = 3
"""


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("open")) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path_factory.mktemp("guarded"), GUARDED) as running:
        yield running


@pytest_asyncio.fixture
async def nc(daemon: DaemonProcess) -> AsyncIterator[Client]:
    client = await nats.connect(daemon.nats_url)
    yield client
    await client.close()


@pytest_asyncio.fixture
async def nc_guarded(guarded: DaemonProcess) -> AsyncIterator[Client]:
    client = await nats.connect(guarded.nats_url)
    yield client
    await client.close()


async def test_the_service_is_found_by_discovery_with_one_endpoint_for_each_command(nc: Client) -> None:
    info = orjson.loads((await nc.request("$SRV.INFO.headgate", b"", timeout=PATIENCE_S)).data)
    ping = orjson.loads((await nc.request("$SRV.PING.headgate", b"", timeout=PATIENCE_S)).data)
    stats = orjson.loads((await nc.request("$SRV.STATS.headgate", b"", timeout=PATIENCE_S)).data)

    subjects = {endpoint["name"]: endpoint["subject"] for endpoint in info["endpoints"]}
    assert info["name"] == ping["name"] == stats["name"] == "headgate"
    assert subjects["health-check"] == HEALTH
    assert subjects["ledger-get"] == GET
    assert len(subjects) == len(info["endpoints"])


async def test_a_query_is_answered_with_what_is_stored(nc: Client) -> None:
    await nc.jetstream(timeout=PATIENCE_S).publish(
        "hg.ingest.session.usage", orjson.dumps(envelope(usage(session_id="door-1")))
    )
    await eventually_awaited(lambda: found(nc, "door-1"))

    answer = await ask(nc, GET, {"session_id": "door-1"})

    assert (answer.envelope["kind"], answer.envelope["trace_id"], answer.envelope["producer"]) == (
        "reply",
        TRACE,
        "headgate",
    )
    assert answer.result["requests"] == 1
    assert answer.result["cost_usd"] == "0.008775"
    assert "Nats-Service-Error" not in answer.headers


async def found(nc: Client, session_id: str) -> bool:
    return (await ask(nc, GET, {"session_id": session_id})).status == 200


async def test_a_failed_reply_says_so_in_the_service_headers(nc: Client) -> None:
    answer = await ask(nc, GET, {"session_id": "nobody"})

    assert answer.status == 404
    assert answer.error["code"] == "RESOURCE_NOT_FOUND"
    assert answer.headers["Nats-Service-Error-Code"] == "404"
    assert answer.headers["Nats-Service-Error"].startswith("RESOURCE_NOT_FOUND")
    assert "nobody" not in answer.headers["Nats-Service-Error"]


async def test_what_is_absent_is_always_the_same_bytes(nc: Client) -> None:
    errors = {
        orjson.dumps((await ask(nc, GET, {"session_id": name})).payload) for name in ("nobody", "no:body-else", "x")
    }

    assert len(errors) == 1


@pytest.mark.parametrize(
    ("body", "code", "path"),
    [
        (b"", "VALIDATION_ERROR", ""),
        (b"{", "VALIDATION_ERROR", ""),
        (b"[]", "VALIDATION_ERROR", ""),
        (b'{"payload": {}}', "VALIDATION_ERROR", "envelope_version"),
        (orjson.dumps(command("ledger.get", {})), "VALIDATION_ERROR", "payload.session_id"),
        (orjson.dumps(command("ledger.get", {"session_id": "a", "b": 1})), "VALIDATION_ERROR", "payload.b"),
        (orjson.dumps(command("job.get", {"session_id": "a"})), "VALIDATION_ERROR", "kind"),
        (
            orjson.dumps(command("ledger.get", {"session_id": "a"}, schema_version="9.0")),
            "UNSUPPORTED_CONTRACT_VERSION",
            "schema_version",
        ),
        (b'{"a": "' + b"x" * 300_000 + b'"}', "PAYLOAD_TOO_LARGE", None),
    ],
    ids=["empty", "half", "list", "no-version", "missing", "unknown-field", "kind", "schema", "large"],
)
async def test_a_request_in_disorder_gets_its_error(nc: Client, body: bytes, code: str, path: str | None) -> None:
    answers = [await ask(nc, GET, body=body) for _ in range(3)]

    assert {answer.error["code"] for answer in answers} == {code}
    paths = {detail["path"] for detail in answers[0].error["details"]}
    assert paths == (set() if path is None else {path}) or path in paths
    assert len({orjson.dumps(answer.payload) for answer in answers}) == 1


async def test_a_reply_goes_nowhere_but_under_the_reply_prefixes(nc: Client, daemon: DaemonProcess) -> None:
    refused = "headgate_commands_unanswerable_total"
    before = metric(daemon.http_url, refused)
    stored = (await nc.jetstream(timeout=PATIENCE_S).stream_info("HG_INGEST")).state.last_seq
    seen: list[object] = []

    async def keep(message: object) -> None:
        seen.append(message)

    for subject in ("else.where", "hg.event.x.y.z"):
        await nc.subscribe(subject, cb=keep)
    body = orjson.dumps(command("health-check", {}))
    for reply_to in ("hg.ingest.session.usage", "else.where", "$JS.API.INFO", "hg.event.x.y.z", "_INBOX.", ""):
        await nc.publish(HEALTH, body, reply=reply_to)
    await nc.flush()
    await eventually_awaited(lambda: asyncio.to_thread(lambda: metric(daemon.http_url, refused) == before + 6))

    assert (await ask(nc, HEALTH)).status == 200
    assert (await nc.jetstream(timeout=PATIENCE_S).stream_info("HG_INGEST")).state.last_seq == stored
    assert seen == []


async def test_many_requests_at_once_are_all_answered(nc: Client) -> None:
    async def one(number: int) -> Answer:
        return await ask(nc, GET, {"session_id": f"nobody-{number}"})

    answers = await asyncio.gather(*(one(number) for number in range(200)))

    assert {answer.status for answer in answers} == {404}


async def test_durations_are_counted_by_command_and_status(nc: Client, daemon: DaemonProcess) -> None:
    counted = "headgate_command_duration_seconds_count"
    before = metric(daemon.http_url, counted, command="ledger.get", status="404")

    await ask(nc, GET, {"session_id": "nobody"})

    eventually(lambda: metric(daemon.http_url, counted, command="ledger.get", status="404") == before + 1)


def token(sub: str, scope: str, *, secret: str = SECRET, expires_s: int = 300) -> Json:
    claims = {"sub": sub, "scope": scope, "exp": datetime.now(UTC) + timedelta(seconds=expires_s)}
    return {"Authorization": "Bearer " + jwt.encode(claims, secret, algorithm="HS256")}


@pytest.mark.parametrize(
    "headers",
    [
        None,
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic YTpi"},
        token("a", "ops:read", secret="another secret of thirty-two bytes!"),
        token("a", "ops:read", expires_s=-3_600),
    ],
    ids=["none", "nonsense", "basic", "forged", "expired"],
)
async def test_without_a_good_token_nobody_is_let_in(nc_guarded: Client, headers: dict[str, str] | None) -> None:
    answer = await ask(nc_guarded, GET, {"session_id": "x"}, headers=headers)

    assert (answer.status, answer.error["code"]) == (401, "UNAUTHENTICATED")
    assert answer.headers["Nats-Service-Error-Code"] == "401"


async def test_a_scope_that_is_missing_is_forbidden(nc_guarded: Client) -> None:
    answer = await ask(nc_guarded, GET, {"session_id": "x"}, headers=token("b", "jobs:read jobs:write ops:write"))
    allowed = await ask(nc_guarded, GET, {"session_id": "x"}, headers=token("b", "jobs:read ops:read"))

    assert (answer.status, answer.error["code"]) == (403, "FORBIDDEN")
    assert allowed.status == 404


async def test_authentication_stands_before_the_payload_and_after_the_envelope(nc_guarded: Client) -> None:
    assert (await ask(nc_guarded, GET, {"surplus": 1})).status == 401
    assert (await ask(nc_guarded, GET, body=b"{")).status == 400


async def test_a_principal_that_asks_too_often_is_told_how_long_to_wait(nc_guarded: Client) -> None:
    async def one(sub: str) -> Answer:
        return await ask(nc_guarded, GET, {"session_id": "x"}, headers=token(sub, "ops:read"))

    answers = await asyncio.gather(*(one("greedy") for _ in range(100)))
    limited = [answer for answer in answers if answer.status == 429]

    assert limited
    [detail] = limited[0].error["details"]
    assert (limited[0].error["code"], detail["path"], detail["code"]) == ("RATE_LIMITED", "", "rate_limited")
    assert 0 < detail["retry_after_ms"] <= 1_000
    assert (await one("modest")).status == 404


async def test_compat_mode_takes_bare_commands_and_counts_them(tmp_path: Path) -> None:
    with running_daemon(tmp_path, "[contracts]\nmode = 'compat'\n") as compat:
        nc = await nats.connect(compat.nats_url)
        made = await ask(nc, "hg.cmd.project.create", body=b'{"name":"Spring"}')
        again = await ask(nc, "hg.cmd.project.create", body=b'{"name":"Spring"}')
        await nc.close()
        adapted = metric(compat.http_url, "headgate_messages_adapted_total", kind="project.create", producer="unknown")

    assert (made.status, made.result["name"]) == (201, "Spring")
    assert (again.status, again.payload["replayed"], again.result) == (200, True, made.result)
    assert adapted == 2


async def test_a_flood_without_tokens_is_refused_unread_and_audited_as_a_count(
    nc_guarded: Client, guarded: DaemonProcess
) -> None:
    """All strangers share one rate; the audit has a row a second, which counts the others."""
    body = orjson.dumps(command("runs", {}))
    inbox, codes = nc_guarded.new_inbox(), Counter[str]()

    async def count(message: Msg) -> None:
        codes[orjson.loads(message.data)["payload"]["error"]["code"]] += 1

    await nc_guarded.subscribe(inbox, cb=count)
    began = time.monotonic()
    for _ in range(2_000):
        await nc_guarded.publish("hg.ops.runs", body, reply=inbox)
    await eventually_awaited(lambda: _is(codes.total(), 2_000))

    rows = await asyncio.to_thread(eventually, lambda: _refused_rows(guarded, 2_000))
    assert codes["UNAUTHENTICATED"] >= 100
    assert codes["RATE_LIMITED"] > 0
    assert len(rows) < 30 + time.monotonic() - began


async def _is(one: int, other: int) -> bool:
    return one == other


def _refused_rows(daemon: DaemonProcess, at_least: int) -> list[Json]:
    """The rows of strangers, once they and the others that they count are so many."""
    with closing(sqlite3.connect(daemon.database)) as connection:
        found = connection.execute("SELECT result FROM ops_runs WHERE principal = 'unauthenticated'").fetchall()
    results = [orjson.loads(result) for (result,) in found]
    return results if sum(1 + (result or {}).get("others", 0) for result in results) >= at_least else []


async def test_refused_requests_are_errors_in_the_statistics(nc: Client) -> None:
    await ask(nc, GET, {"session_id": "no-such-session"})

    answer = await nc.request("$SRV.STATS.headgate", b"", timeout=PATIENCE_S)

    (stats,) = [each for each in orjson.loads(answer.data)["endpoints"] if each["name"] == "ledger-get"]
    assert stats["num_errors"] >= 1
    assert stats["data"]["errors"] >= 1
    assert stats["last_error"].startswith("RESOURCE_NOT_FOUND")
