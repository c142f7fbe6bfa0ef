"""FastStream's batch pull subscriber, which does nothing but acknowledge: what the frame itself costs."""

import asyncio

from faststream import AckPolicy
from faststream.nats import JStream, NatsBroker, PullSub

from bench.contenders.job import Job, main

BATCH = 1_000


async def faststream_batch(job: Job, stop: asyncio.Event) -> dict[str, int]:
    broker = NatsBroker(job.url, logger=None)
    taken = 0

    @broker.subscriber(
        job.subject,
        durable=job.consumer,
        stream=JStream(job.stream, declare=False),
        pull_sub=PullSub(BATCH, batch=True),
        ack_policy=AckPolicy.REJECT_ON_ERROR,
    )
    async def take(messages: list[object]) -> None:
        nonlocal taken
        taken += len(messages)

    async with broker:
        await broker.start()
        await stop.wait()
    return {"messages": taken}


if __name__ == "__main__":
    main(faststream_batch)
