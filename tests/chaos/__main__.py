"""``python -m tests.chaos [--seed N] [--seconds N] [--variant NAME]``: all of them unless one is named."""

import argparse
import asyncio
import secrets
import signal
import sys

from tests.chaos.run import VARIANTS, Run


def main() -> int:
    parser = argparse.ArgumentParser(prog="chaos", description="Publish while everything fails; compare at the end.")
    parser.add_argument("--seed", default="", help="what faults and messages are a function of (default: any)")
    parser.add_argument("--seconds", type=float, default=180.0, help="how long faults go on, both variants together")
    parser.add_argument("--variant", choices=sorted(VARIANTS), action="append", help="one of them only")
    chosen = parser.parse_args()
    seed = chosen.seed or str(secrets.randbelow(10**9))
    variants = chosen.variant or list(VARIANTS)
    return asyncio.run(_run([Run(variant, seed, chosen.seconds / len(variants)) for variant in variants]))


async def _run(runs: list[Run]) -> int:
    task = asyncio.current_task()
    if task is not None:  # whoever ends it leaves no process and no mount behind
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    outcomes = [await run.run() for run in runs]
    return 1 if any(outcome.findings for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
