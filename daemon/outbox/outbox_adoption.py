"""What a killed daemon left behind, taken over by the next one on the same state directory.

The lock on the directory proves that the former daemon is gone, so its outbox rows need not wait for its lease to
run out.
"""

import os
from pathlib import Path
from typing import Final

import structlog

from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_NAME: Final = "daemon-id"


async def adopt_outbox(database: Database, state_dir: Path, daemon_id: str) -> None:
    """Adopt the rows of the daemon that ran here before, and leave our own id for the next one.

    Raises :class:`storage.engine.failures.StorageAway`, ``OSError``.
    """
    file = state_dir / _NAME
    former = file.read_text(encoding="utf-8").strip() if file.exists() else ""
    if former:

        def adopt(uow: UnitOfWork) -> int:
            uow.leases.forget(f"daemon.{former}")
            return uow.outbox.adopt(owners=[former], new_owner=daemon_id)

        adopted = await database.write(adopt)
        if adopted:
            log.info("outbox_inherited", rows=adopted, former=former)
    draft = file.with_suffix(f".{os.getpid()}")
    draft.write_text(daemon_id + "\n", encoding="utf-8")
    draft.replace(file)
