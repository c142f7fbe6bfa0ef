"""The intakes of the daemon, one for each durable consumer, and what fetches the messages the server gave up on."""

from typing import Final

from adapters.nats.streams.large_turn import LargeTurn
from adapters.nats.streams.pull import ContinuousPull
from contracts.subjects import Family
from daemon.clock import new_id, now_micros
from daemon.commands.authorization import token_authenticator
from daemon.foundation import Foundation
from daemon.intake.after_commit import AfterCommit
from daemon.intake.gate_factory import import_rules, make_gate
from daemon.intake.in_hand import InHand
from daemon.intake.ingest_authorization import IngestAuthorization
from daemon.intake.intake import Intake
from daemon.intake.ports import Gatekeeper, IntakeLimits
from daemon.intake.reordering import OlderMessages
from daemon.intake.replay_source import NothingOlder, ReplayGate, ReplaySource
from daemon.outbox.relay import Relay
from daemon.process.connections import ack_wait_s
from daemon.subscribers.max_deliveries import GivenUpMessages
from handlers.registry import FAMILIES

_CALLBACKS_COMMIT_DELAY_S: Final = 0.008
"""Where jobs flow, commands come in the time that it takes to answer the last ones; for callbacks themselves nobody
waits."""


def pull_of(base: Foundation, family: Family, large: LargeTurn) -> ContinuousPull:
    return ContinuousPull(
        base.nats.client,
        stream=base.subjects.stream(family),
        consumer=base.subjects.consumer(family),
        prefix=base.subjects.prefix,
        window=base.settings.intake.window,
        ack_wait_s=ack_wait_s(base.settings, family),
        recreate=base.provision,
        large=large,
        on_forged=base.metrics.forged.labels(base.subjects.stream(family)).inc,
    )


def intake_of(base: Foundation, relay: Relay, in_hand: InHand, family: Family, pull: ContinuousPull) -> Intake:
    observer = AfterCommit(
        name=family,
        nc=base.nats.client,
        rules=base.rules,
        subjects=base.subjects,
        relay=relay,
        metrics=base.metrics,
        readiness=base.readiness,
        clock=now_micros,
        new_id=new_id,
        traces=base.traces,
    )
    replays = family is Family.REPLAY
    return Intake(
        source=ReplaySource(pull, base.database, base.metrics) if replays else pull,
        gate=_make_replay_gate(base) if replays else _make_gate(base),
        database=base.database,
        families=FAMILIES,
        context=base.context,
        observer=observer,
        limits=IntakeLimits(
            max_batch=base.settings.intake.max_batch,
            ack_wait_s=ack_wait_s(base.settings, family),
            commit_delay_s=_CALLBACKS_COMMIT_DELAY_S if family is Family.CALLBACK else 0.0,
        ),
        in_hand=in_hand,
        older=NothingOlder() if replays else OlderMessages(base.nats.client, pull.stream, pull.consumer),
    )


def _make_gate(base: Foundation) -> Gatekeeper:
    gate = make_gate(base.settings, base.rules)
    return IngestAuthorization(gate, token_authenticator(base.settings)) if base.settings.auth.ingest == "jwt" else gate


def _make_replay_gate(base: Foundation) -> Gatekeeper:
    return ReplayGate(_make_gate(base), make_gate(base.settings, import_rules(base.rules)))


def given_up_messages(base: Foundation, relay: Relay) -> GivenUpMessages:
    return GivenUpMessages(
        base.nats.client,
        gate=_make_gate(base),
        subjects=base.subjects,
        database=base.database,
        context=base.context,
        wake=relay.wake,
        metrics=base.metrics,
    )
