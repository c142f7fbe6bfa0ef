"""What a predecessor on the same state directory held, given back before the first message is taken.

A dead one has given nothing back. One that ended in order has, but an embedded server keeps in its memory alone what it
is to deliver again, and ends with its daemon: what was given back would wait out the acknowledgement time.
"""

from collections.abc import Iterable
from typing import Final

import structlog

from adapters.errors import JetStreamError
from adapters.nats.streams.give_back import outstanding
from adapters.nats.streams.pull import ContinuousPull
from daemon.intake.in_hand import InHand
from daemon.maintenance.lease_heartbeat import LEASE_PREFIX
from storage.engine.database import Database

log = structlog.get_logger(__name__)

_OTHERS_NEED_S: Final = 3.0
"""What other daemons have in hand they acknowledge within this time; a stalled one gets it again, without effect."""


async def give_back_held(in_hand: InHand, pulls: Iterable[ContinuousPull], database: Database, daemon_id: str) -> None:
    """Have all that the predecessor held delivered again at once, as far as it is known to be the predecessor's.

    Only what it worked on is noted. The rest was on its way to it or waited in its buffers, and looks like what other
    daemons hold; where there are none it is given back at once too. Raises what storage raises.
    """
    leases = await database.read(lambda uow: uow.leases.holders(LEASE_PREFIX))
    others = any(alive for name, alive in leases.items() if name != LEASE_PREFIX + daemon_id)
    for pull in pulls:
        try:
            held = await outstanding(pull.connection, pull.stream, pull.consumer)
        except JetStreamError as error:  # it comes again by itself, after the acknowledgement time
            log.warning("not_given_back", consumer=pull.consumer, reason=str(error))
            continue
        in_hand.clear(pull.stream, floor=held.floor, last=held.last)
        noted = {sequence for stream, sequence in in_hand.suspects if stream == pull.stream}
        named = await held.give_back(noted, rest_after_s=_OTHERS_NEED_S if others else 0.0)
        if named:
            log.info("given_back", consumer=pull.consumer, suspects=len(noted), sequences=named)
