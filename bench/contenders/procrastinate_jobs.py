"""procrastinate on PostgreSQL: no-op tasks, deferred by 64 callers, with a worker as its documentation shows it.

Runs in an environment of its own.

    python procrastinate_jobs.py <jobs> <database URL>
"""

import asyncio
import json
import sys
import time

import procrastinate  # type: ignore[import-not-found]  # lives in the peers' environment

_CALLERS = 64
_COUNT = "SELECT count(*) AS done FROM procrastinate_jobs WHERE status = 'succeeded'"


async def main(jobs: int, url: str) -> None:
    app = procrastinate.App(connector=procrastinate.PsycopgConnector(conninfo=url))

    @app.task(name="no_op")  # type: ignore[untyped-decorator]  # as above
    async def no_op(number: int) -> int:
        return number

    async def succeeded() -> int:
        return int((await app.connector.execute_query_one_async(_COUNT))["done"])

    async def flow(count: int) -> float:
        left, before = iter(range(count)), await succeeded()

        async def caller() -> None:
            for number in left:
                await no_op.defer_async(number=number)

        started = time.perf_counter()
        await asyncio.gather(*(caller() for _ in range(_CALLERS)))
        while await succeeded() < before + count:  # noqa: ASYNC110 - the worker tells nobody else
            await asyncio.sleep(0.005)
        return count / (time.perf_counter() - started)

    async with app.open_async():
        await app.schema_manager.apply_schema_async()
        worker = asyncio.create_task(app.run_worker_async(install_signal_handlers=False))
        await flow(20)
        print(json.dumps({"jobs_per_s": await flow(jobs)}), flush=True)
        worker.cancel()
        await asyncio.gather(worker, return_exceptions=True)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2]))
