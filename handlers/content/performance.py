"""Measurements of posts. A post need not be known: what its publication says of it is read when it is asked for."""

from collections.abc import Sequence

from contracts.gate.delivery import Accepted
from contracts.payloads.ingest.performance import ContentPerformance
from domain.content.performance import Measurement, latest
from handlers.effects import Context, Effects
from storage.unit_of_work import UnitOfWork


def take_performance(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:  # noqa: ARG001 - every family is given one
    """``content.performance``: kept, and the latest of its post and of its day where it is newer."""
    measurements = [_measurement(accepted) for accepted in group]
    uow.post_performance.add(measurements)
    uow.post_performance.put_latest(latest(measurements))
    return Effects()


def _measurement(accepted: Accepted) -> Measurement:
    said = accepted.payload
    if not isinstance(said, ContentPerformance):
        raise TypeError(f"{accepted.kind} is no measurement")
    return Measurement(
        post_id=said.post_id,
        platform=said.platform,
        at=said.at,
        impressions=said.impressions,
        reach=said.reach,
        likes=said.likes,
        comments=said.comments,
        saves=said.saves,
        shares=said.shares,
        views=said.views,
        watch_through=float(said.watch_through),
        message_id=accepted.message_id,
        trace_id=accepted.trace_id,
        producer=accepted.producer,
        created_at=accepted.created_at,
    )
