"""The endpoint of all commands, with who may give them and how each is carried out."""

from collections.abc import Callable, Mapping

from daemon.commands.authorization import make_authenticator, make_authorization
from daemon.commands.command_endpoint import CommandEndpoint, Operation, Replies
from daemon.commands.routes import routes
from daemon.foundation import Foundation
from daemon.outbox.relay import Relay
from daemon.runs.audit import OpsAudit
from daemon.runs.refusals import Refusals
from handlers.registry import CHANGES


def make_endpoint(
    base: Foundation,
    relay: Relay,
    audit: OpsAudit,
    served: Mapping[str, Operation],
    prepared: Mapping[str, Operation],
    replies: Callable[[], Replies],
) -> CommandEndpoint:
    return CommandEndpoint(
        routes=routes(served, prepared),
        guard=make_authorization(base.settings),
        rules=base.rules,
        database=base.database,
        context=base.context,
        metrics=base.metrics,
        replies=replies,
        changes=CHANGES,
        wake=relay.wake,
        stories=base.stories,
        refused=Refusals(audit, make_authenticator(base.settings), base.rules).note,
        traces=base.traces,
    )
