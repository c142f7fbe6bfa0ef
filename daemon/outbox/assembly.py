"""The relay of the daemon, with a lane for each stream that it fills and one for the status bucket."""

from typing import Final

from adapters.nats.publisher import StreamPublisher
from adapters.nats.status_bucket import LanePublisher, StatusBucket
from adapters.nats.streams.stored_messages import sequences_of_messages
from contracts.subjects import Family
from daemon.clock import now_micros
from daemon.foundation import Foundation
from daemon.outbox.relay import Pace, Relay, RelayLimits
from daemon.outbox.work_lane import WorkLane
from handlers.healing.undeliverable import tell_waiting

_RELAYED: Final = (Family.WORK, Family.EVENT, Family.DEAD, Family.REPLAY, Family.NOTIFY)

_VIEWS: Final = Pace(crowd=20, crowded_s=0.2)
"""A job that moves on within that time is shown once. Alone a change is shown at once."""


def make_relay(base: Foundation) -> Relay:
    client, subjects = base.nats.client, base.subjects
    publisher = StreamPublisher(client)
    status = subjects.status_lane
    lanes = {status, *(subjects.lane(f"{family}.x") for family in _RELAYED)}

    async def find_messages(stream: str, subject: str, ids: frozenset[str], not_before: int) -> dict[str, int]:
        return await sequences_of_messages(client, stream, subject, ids, not_before=not_before)

    return Relay(
        database=base.database,
        publisher=LanePublisher(publisher, {status: StatusBucket(client, publisher)}),
        find_messages=find_messages,
        owner=base.daemon_id,
        lanes=sorted(lanes),
        limits=RelayLimits(base.settings.outbox.max_batch, base.settings.outbox.backoff_max_s),
        paces={status: _VIEWS},
        metrics=base.metrics,
        clock=now_micros,
        keepers={subjects.stream(Family.WORK): WorkLane(client, base.database, subjects, now_micros)},
        tell_waiting=lambda refused, uow: tell_waiting(refused, uow, base.context()),
        traces=base.traces,
    )
