"""DBOS on SQLite: no-op workflows from a queue, as its documentation shows it. Runs in an environment of its own.

python dbos_jobs.py <jobs> <database file>
"""

import json
import os
import sys
import time

from dbos import DBOS  # type: ignore[import-not-found]  # lives in the peers' environment


@DBOS.workflow()  # type: ignore[untyped-decorator]  # as above
def no_op(number: int) -> int:
    return number


def main(jobs: int, database: str) -> None:
    DBOS(config={"name": "bench", "system_database_url": f"sqlite:///{database}", "log_level": "ERROR"})
    DBOS.launch()
    DBOS.register_queue("jobs")
    flow(20)
    print(json.dumps({"jobs_per_s": flow(jobs)}), flush=True)
    os._exit(0)  # its threads wait for work for ever


def flow(jobs: int) -> float:
    started = time.perf_counter()
    handles = [DBOS.enqueue_workflow("jobs", no_op, number) for number in range(jobs)]
    for handle in handles:
        handle.get_result()
    return jobs / (time.perf_counter() - started)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
