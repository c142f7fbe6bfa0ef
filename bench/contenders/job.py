"""What a contender's process is told, and how it lives: run until SIGTERM, then say in one JSON line what it did."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict, dataclass

import orjson
import uvloop


@dataclass(frozen=True, slots=True)
class Job:
    """Where to work: the server, the stream, its subject, a consumer name, and a database file."""

    url: str
    stream: str
    subject: str
    consumer: str
    database: str

    def to_argument(self) -> str:
        return orjson.dumps(asdict(self)).decode()


Contender = Callable[[Job, asyncio.Event], Awaitable[dict[str, int]]]


def main(contender: Contender) -> None:
    """Run *contender* with the job named on the command line; print what it answers."""
    uvloop.run(_run(contender, Job(**orjson.loads(sys.argv[1]))))


async def _run(contender: Contender, job: Job) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    print(orjson.dumps(await contender(job, stop)).decode(), flush=True)
