"""docs/operations.md, "Rotate secrets": every secret is changed while two daemons work, and nobody notices.

Each in the page's three steps: the new one is taken beside the old; it is used; the old one is taken no more.
"""

import asyncio
import base64
import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import httpx
import pytest
import pytest_asyncio

from tests.deploy.conftest import Server, password
from tests.deploy.rotating import Credentials, Outside, Pair, database_of, remove_user, second_user, with_passwords
from tests.support import databases, files
from tests.support.waiting import PATIENCE_S

pytestmark = [pytest.mark.process, pytest.mark.postgres, pytest.mark.slow]

OLD_JWT, NEW_JWT = "the first token secret, 32 bytes or more", "the second token secret, 32 bytes or more"
OLD_CALLBACK, NEW_CALLBACK = ("whsec_" + base64.b64encode(each * 32).decode() for each in (b"o", b"n"))
OLD_URL, NEW_URL = "the first secret of signed links", "the second secret of signed links"
ROLES: Final = ("producer", "worker", "app")
WORDS: Final = """
[nats]
mode = "external"
url = "nats://{user}@{address}"
[storage]
url = "{storage}"
[auth]
mode = "jwt"
ingest = "jwt"
{auth}
[callbacks]
secrets = {callbacks}
[assets]
{assets}
"""


@pytest.fixture
def postgres() -> Iterator[databases.PostgresServer]:
    with databases.postgres_server() as server:
        yield server


@pytest.fixture
def storage_url(postgres: databases.PostgresServer) -> Iterator[str]:
    """A database of the role headgate, which has a password."""
    with postgres.empty_database() as url:
        with_passwords(postgres, url, "headgate")
        yield url


class Steps:
    """The settings of each step."""

    def __init__(self, server: Server, storage_url: str) -> None:
        self._server = server
        self._storage_url = storage_url

    def storage(self, user: str) -> str:
        parts = urlsplit(self._storage_url)
        return f"postgresql://{user}@{parts.netloc.rpartition('@')[2]}{parts.path}?{parts.query}"

    def of(self, step: int) -> str:
        """0: as it was; 1: both are taken; 2: the new one is used; 3: the old one is gone."""
        jwt = (f"jwt_secret = '{OLD_JWT}'", f"jwt_secret = '{NEW_JWT}'")
        old = ("", f"old_jwt_secrets = ['{NEW_JWT}']", f"old_jwt_secrets = ['{OLD_JWT}']", "")
        url = (f"url_secret = '{OLD_URL}'", f"url_secret = '{NEW_URL}'")
        old_url = ("", f"old_url_secrets = ['{NEW_URL}']", f"old_url_secrets = ['{OLD_URL}']", "")
        callbacks = ([OLD_CALLBACK], [OLD_CALLBACK, NEW_CALLBACK], [NEW_CALLBACK, OLD_CALLBACK], [NEW_CALLBACK])
        new = step >= 2
        return WORDS.format(
            user="daemon_b:second1" if new else f"daemon:{password('daemon')}",
            address=self._server.address,
            storage=self.storage("headgate_b:second" if new else "headgate:first"),
            auth=f"{jwt[new]}\n{old[step]}",
            callbacks=callbacks[step],
            assets=f"{url[new]}\n{old_url[step]}",
        )


@pytest_asyncio.fixture
async def outside(accounts_server: Server) -> AsyncIterator[Outside]:
    users = {role: f"{role}:{password(role)}" for role in ROLES}
    outside = Outside(accounts_server, Credentials(OLD_JWT, OLD_CALLBACK, users))
    await outside.connect()
    yield outside
    await outside.close()


async def running_job(outside: Outside) -> str:
    project = (await outside.ask("project.create", name="rotation"))["result"]
    job = (await outside.ask("job.create", project_id=project["project_id"], title="A film", prompt="x"))["result"]
    assert (await outside.ask("job.run", job_id=job["job_id"]))["status"] == 202
    return str(job["job_id"])


async def uploaded(outside: Outside) -> Any:
    body = files.png(8, 8)
    announced = {"filename": "a.png", "media_type": "image/png", "size": len(body)}
    upload = await outside.ask("asset.begin-upload", sha256=hashlib.sha256(body).hexdigest(), **announced)
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        sent = await http.put(upload["result"]["upload_url"], content=body)
    assert sent.status_code == 200, sent.text
    return (await outside.ask("asset.confirm-upload", upload_id=upload["result"]["upload_id"]))["result"]


async def link_to(outside: Outside, asset_id: str) -> str:
    link = urlsplit((await outside.ask("asset.get", asset_id=asset_id))["result"]["url"])
    return f"{link.path}?{link.query}"


async def statuses(pair: Pair, link: str) -> set[int]:
    """What both daemons answer to a link that either has made."""
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        return {(await http.get(daemon.http_url + link)).status_code for daemon in pair.daemons}


async def test_every_secret_is_changed_while_two_daemons_work(
    accounts_server: Server, postgres: databases.PostgresServer, storage_url: str, outside: Outside, tmp_path: Path
) -> None:
    steps = Steps(accounts_server, storage_url)
    pair = Pair(tmp_path, steps.of(0))
    try:
        await pair.start()
        job_id, asset = await running_job(outside), await uploaded(outside)
        of_old = await link_to(outside, asset["asset_id"])
        async with outside.busy(job_id):
            await outside.goes_on()

            # The new one is taken beside the old one.
            for role in (*ROLES, "daemon"):
                second_user(accounts_server.accounts, role, "second1")
            accounts_server.reload()
            postgres.execute("CREATE ROLE headgate_b LOGIN PASSWORD 'second' IN ROLE headgate")
            postgres.execute("ALTER ROLE headgate_b SET role = headgate")
            await pair.roll(steps.of(1))
            await outside.goes_on()

            # It is used: by the daemons, then by everybody else.
            await pair.roll(steps.of(2))
            of_new = await link_to(outside, asset["asset_id"])
            assert await statuses(pair, of_old) == await statuses(pair, of_new) == {200}
            outside.credentials.jwt_secret, outside.credentials.callback_secret = NEW_JWT, NEW_CALLBACK
            outside.credentials.users = {role: f"{role}_b:second1" for role in ROLES}
            await outside.connect()
            await outside.goes_on()

            # The old one is taken no more.
            await pair.roll(steps.of(3))
            for role in (*ROLES, "daemon"):
                remove_user(accounts_server.accounts, role)
            accounts_server.reload()
            postgres.execute("ALTER ROLE headgate NOLOGIN")
            await outside.goes_on()

        assert outside.refused == []
        assert (await statuses(pair, of_old), await statuses(pair, of_new)) == ({403}, {200})
        await expect_the_old_ones_refused(accounts_server, outside, job_id)
        database = database_of(storage_url)
        stored = postgres.execute("SELECT count(*), count(DISTINCT message_id) FROM session_usage", database)
        assert [int(figure) >= outside.taken for figure in stored.split("|")] == [True, True]
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        assert postgres.execute(owners, database) == "headgate"
    finally:
        pair.end()


async def expect_the_old_ones_refused(server: Server, outside: Outside, job_id: str) -> None:
    receipt = await outside.report(job_id, outside.reports + 1, OLD_CALLBACK)
    assert receipt["error"]["code"] == "CALLBACK_SIGNATURE_INVALID"
    outside.credentials.jwt_secret = OLD_JWT
    assert (await outside.ask("project.list"))["error"]["code"] == "UNAUTHENTICATED"
    for role in (*ROLES, "daemon"):
        assert b"Authorization Violation" in await greeting(server, role, password(role))
        assert b"PONG" in await greeting(server, f"{role}_b", "second1")


async def greeting(server: Server, user: str, secret: str) -> bytes:
    """What the server says to who comes so."""
    host, _, port = server.address.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    await reader.readline()
    said = json.dumps({"user": user, "pass": secret, "verbose": False, "pedantic": False, "lang": "x", "version": "1"})
    writer.write(f"CONNECT {said}\r\nPING\r\n".encode())
    answer = await asyncio.wait_for(reader.readline(), PATIENCE_S)
    writer.close()
    await writer.wait_closed()
    return answer
