"""Transactions of what can wait: repeated after a conflict between daemons, and for as long as storage is away."""

import asyncio
import random
from collections.abc import Callable
from typing import TypeVar

import structlog

from domain.backoff import Backoff
from storage.engine.database import Database
from storage.engine.failures import StorageAway, StorageConflict
from storage.unit_of_work import UnitOfWork

T = TypeVar("T")

log = structlog.get_logger(__name__)


async def patiently(database: Database, work: Callable[[UnitOfWork], T], *, reading: bool = False) -> T:
    """One transaction, sooner or later. Raises what neither waiting nor repeating can mend."""
    transaction = database.read if reading else database.write
    backoff = Backoff(first_s=0.05, most_s=5.0)
    while True:
        try:
            return await transaction(work)
        except StorageConflict as error:
            log.info("storage_conflict", reason=str(error))
        except StorageAway as error:
            log.warning("storage_away", reason=str(error))
        await asyncio.sleep(backoff.next_delay_s(random.random()))  # noqa: S311 - jitter, not a secret
