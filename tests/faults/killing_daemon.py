"""A daemon whose handler ends the process for marked messages: ``python killing_daemon.py serve …``.

What no daemon has: a message that kills it. Marked are the sessions whose id begins with ``kills-``.
"""

import os
import signal
from collections.abc import Sequence

from contracts.gate.delivery import Accepted
from daemon.cli import main
from daemon.intake import assembly
from handlers.effects import Context, Effects
from handlers.registry import FAMILIES
from storage.unit_of_work import UnitOfWork

MARK = "kills-"


def ending(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    if any(accepted.message_id.startswith(MARK) for accepted in group):
        os.kill(os.getpid(), signal.SIGKILL)
    return FAMILIES["session.usage"](group, uow, context)


if __name__ == "__main__":
    vars(assembly)["FAMILIES"] = {**FAMILIES, "session.usage": ending}
    main()
