"""A database file that is taken away under the daemon is noticed: not ready, nothing acknowledged, back by itself."""

import shutil
from pathlib import Path

import orjson
import pytest

from tests.daemon.operations.operating import operating, right, until
from tests.support.commands import get
from tests.support.daemons import DaemonProcess, running_daemon
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process


def ready(daemon: DaemonProcess) -> bool:
    return get(f"{daemon.http_url}/readyz")[0] == 200


def told(daemon: DaemonProcess) -> bytes:
    return get(f"{daemon.http_url}/readyz")[1]


def there(path: Path) -> bool:
    return path.exists()


async def test_a_database_file_that_was_moved_away_is_noticed_and_taken_up_again(tmp_path: Path) -> None:
    away = tmp_path / "away.db"
    with running_daemon(tmp_path / "home") as daemon:
        async with operating(daemon) as operator:

            async def is_ready() -> bool:
                return ready(daemon)

            async def is_not_ready() -> bool:
                return not ready(daemon)

            inbox = operator.nc.new_inbox()
            receipts = await operator.nc.subscribe(inbox)
            await until(is_ready)

            shutil.move(daemon.database, away)
            await operator.publish(right(1, session_id="s"), headers={"Headgate-Receipt": inbox})
            await until(is_not_ready)
            assert b"removed or replaced" in told(daemon)
            assert not there(daemon.database)
            assert receipts.pending_msgs == 0

            shutil.move(away, daemon.database)
            await until(is_ready)
            receipt = orjson.loads((await receipts.next_msg(timeout=PATIENCE_S)).data)["payload"]
            assert receipt["outcome"] == "accepted"
