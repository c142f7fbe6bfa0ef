"""Two daemons before NATS with accounts and PostgreSQL with passwords, and traffic that never stops."""

import asyncio
import itertools
import json
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import jwt
import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError

from adapters.cancellation import cancel_and_wait
from contracts.gate.webhooks import signed_headers
from tests.deploy.conftest import Server
from tests.support.daemons import DaemonProcess, eventually
from tests.support.databases import PostgresServer
from tests.support.records.envelopes import enveloped
from tests.support.records.usage_records import envelope

HBA: Final = "local all headgate,headgate_b scram-sha-256\n"
_TRIES: Final = 4
SCOPES: Final = "ingest:write jobs:read jobs:write ops:read"


def token(secret: str) -> str:
    return jwt.encode({"sub": "writer-1", "scope": SCOPES, "exp": int(time.time()) + 3_600}, secret, "HS256")


def second_user(accounts: Path, role: str, password: str) -> None:
    """A user of another name beside the role's, with the same permissions."""
    text = accounts.read_text()
    (block,) = re.findall(rf"^      \{{\n        user: {role}\n.*?^      \}}\n", text, re.MULTILINE | re.DOTALL)
    copy = re.sub(r"password: \S+", f"password: {password}", block.replace(f"user: {role}", f"user: {role}_b", 1))
    accounts.write_text(text.replace(block, block + copy))


def remove_user(accounts: Path, role: str) -> None:
    text = accounts.read_text()
    (block,) = re.findall(rf"^      \{{\n        user: {role}\n.*?^      \}}\n", text, re.MULTILINE | re.DOTALL)
    accounts.write_text(text.replace(block, ""))


def database_of(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


def with_passwords(postgres: PostgresServer, url: str, role: str) -> None:
    """Have the server ask for passwords, and the role own the database at *url*."""
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'first'")
    postgres.execute(f"ALTER DATABASE {database_of(url)} OWNER TO {role}")
    hba = Path(postgres.execute("SHOW hba_file"))
    hba.write_text(HBA + hba.read_text())
    postgres.execute("SELECT pg_reload_conf()")


class Pair:
    """The two daemons, which are given other settings one after the other."""

    def __init__(self, folder: Path, settings: str) -> None:
        self.daemons = [DaemonProcess(folder / name, settings) for name in ("one", "two")]

    async def start(self) -> None:
        for daemon in self.daemons:
            await asyncio.to_thread(daemon.start)

    async def roll(self, settings: str) -> None:
        """Restart one, then the other, with these settings."""
        for daemon in self.daemons:
            daemon.config.write_text(settings)
            assert await asyncio.to_thread(daemon.terminate) == 0
            await asyncio.to_thread(daemon.start)

    def end(self) -> None:
        for daemon in self.daemons:
            daemon.end()


@dataclass(slots=True)
class Credentials:
    """What the outside signs and connects with, at any moment."""

    jwt_secret: str
    callback_secret: str
    users: dict[str, str] = field(default_factory=dict)


class Outside:
    """A producer, a worker and an application that go on whatever happens, and note what was refused."""

    def __init__(self, server: Server, credentials: Credentials) -> None:
        self._server = server
        self.credentials = credentials
        self._clients: dict[str, Client] = {}
        self._running: list[asyncio.Task[None]] = []
        self.refused: list[Any] = []
        self.taken = 0
        self.reports = 0
        self.answers = 0

    async def connect(self) -> None:
        """Anew, with the users of now; what was connected before is closed after."""
        before = list(self._clients.values())
        for role, credentials in self.credentials.users.items():
            self._clients[role] = await nats.connect(
                f"nats://{credentials}@{self._server.address}", inbox_prefix=f"_INBOX.{role}".encode()
            )
        for client in before:
            await client.drain()

    async def ask(self, kind: str, **payload: object) -> dict[str, Any]:
        """The answer. A request or its reply may be lost where the server reads its accounts anew: what is not answered
        is asked again as it is, as docs/commands.md has it."""
        body = json.dumps(_envelope(kind, payload)).encode()
        headers = {"Authorization": f"Bearer {token(self.credentials.jwt_secret)}"}
        for _ in range(_TRIES):
            with suppress(NatsError, asyncio.TimeoutError):
                reply = await self._clients["app"].request(f"hg.cmd.{kind}", body, headers=headers, timeout=5)
                answer: dict[str, Any] = json.loads(reply.data)["payload"]
                return answer
        raise AssertionError(f"{kind} is not answered")

    async def publish(self, number: int) -> None:
        name = f"rotation:{number}"
        headers = {"Authorization": f"Bearer {token(self.credentials.jwt_secret)}"}
        await self._receipt("producer", "hg.ingest.session.usage", envelope(name, number), headers)
        self.taken += 1

    async def report(self, job_id: str, sequence: int, secret: str | None = None) -> Any:
        event_id = f"{job_id}:{sequence}:{secret is None}"
        said = {"event_id": event_id, "attempt": 1, "sequence": sequence, "status": "TRANSCRIBING"}
        message = _envelope("job.status", said, event_id)
        body = json.dumps(message).encode()
        headers = signed_headers([secret or self.credentials.callback_secret], event_id, int(time.time()), body)
        return await self._receipt("worker", f"hg.callback.job.{job_id}", message, headers, note=secret is None)

    async def _receipt(
        self, role: str, subject: str, message: object, headers: dict[str, str], *, note: bool = True
    ) -> Any:
        """Until the stream has it and its receipt is there: sent again as it is where either is late."""
        body = json.dumps(message).encode()
        while True:
            client = self._clients[role]
            with suppress(NatsError, asyncio.TimeoutError):
                inbox = client.new_inbox()
                receipts = await client.subscribe(inbox, max_msgs=1)
                await client.jetstream().publish(subject, body, headers={**headers, "Headgate-Receipt": inbox})
                receipt = json.loads((await receipts.next_msg(timeout=10)).data)["payload"]
                if note and receipt["outcome"] == "refused":
                    self.refused.append(receipt)
                return receipt

    # -- what goes on all the while

    async def produce(self) -> None:
        for number in itertools.count(1):
            await self.publish(number)
            await asyncio.sleep(0.02)

    async def work(self, job_id: str) -> None:
        for sequence in itertools.count(1):
            await self.report(job_id, sequence)
            self.reports = sequence
            await asyncio.sleep(0.02)

    async def look(self) -> None:
        while True:
            answer = await self.ask("project.list")
            self.answers += 1
            if answer["status"] != 200:
                self.refused.append(answer)
            await asyncio.sleep(0.02)

    @asynccontextmanager
    async def busy(self, job_id: str) -> AsyncIterator[None]:
        """All three at it within the block; what ends one of them ends the test."""
        self._running = [asyncio.create_task(each) for each in (self.produce(), self.work(job_id), self.look())]
        try:
            yield
            self._expect_all_running()
        finally:
            await cancel_and_wait(self._running)

    def _expect_all_running(self) -> None:
        for task in self._running:
            if task.done():
                task.result()

    async def goes_on(self) -> None:
        """Each of the three has come further."""
        taken, reports, answers = (each + 5 for each in (self.taken, self.reports, self.answers))

        def further() -> bool:
            self._expect_all_running()
            return self.taken >= taken and self.reports >= reports and self.answers >= answers

        await asyncio.to_thread(eventually, further)

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()


def _envelope(kind: str, payload: object, message_id: str | None = None) -> dict[str, object]:
    return enveloped(kind, payload, message_id=message_id, created_at="2026-11-20T10:15:30.123Z", producer="worker-1")
