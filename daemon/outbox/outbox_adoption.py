"""What a killed daemon left behind, taken over by the next one on the same state directory.

The lock on the directory proves that the former daemon is gone, so its outbox rows need not wait for its lease to
run out.
"""

import re
from pathlib import Path
from typing import Final

import structlog

from daemon.process.state_files import read_own, write_own
from storage.engine.database import Database
from storage.unit_of_work import UnitOfWork

log = structlog.get_logger(__name__)

_NAME: Final = "daemon-id"
_ID: Final = re.compile(r"[A-Za-z0-9-]{1,64}")


async def adopt_outbox(database: Database, state_dir: Path, daemon_id: str) -> None:
    """Adopt the rows of the daemon that ran here before, and leave our own id for the next one.

    What is no daemon's id is passed over: healing finds the rows once the lease of their daemon has run out. Raises
    :class:`storage.engine.failures.StorageAway`, ``OSError``.
    """
    file = state_dir / _NAME
    former = _id_in(read_own(file) or b"")
    if former:

        def adopt(uow: UnitOfWork) -> int:
            uow.leases.forget(f"daemon.{former}")
            return uow.outbox.adopt(owners=[former], new_owner=daemon_id)

        adopted = await database.write(adopt)
        if adopted:
            log.info("outbox_inherited", rows=adopted, former=former)
    write_own(file, f"{daemon_id}\n".encode())


def _id_in(content: bytes) -> str:
    former = content.strip().decode("ascii", "replace")
    if former and not _ID.fullmatch(former):
        log.warning("daemon_id_unreadable", bytes=len(content))
        return ""
    return former
