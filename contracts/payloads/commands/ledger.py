"""What is asked of the ledger."""

from pydantic import Field

from contracts.payloads.base import Payload
from contracts.payloads.commands.jobs import Page
from contracts.values.states import SessionStatus
from contracts.values.types import Identifier, Name, Text, Timestamp


class LedgerGet(Payload):
    """ledger.get 1.0: one session with its totals and newest events."""

    session_id: Identifier


class LedgerList(Page):
    """ledger.list 1.0: sessions by their start, from ``from`` on, before ``to``; ``search`` is plain words."""

    agent: Identifier | None = None
    model: Name | None = None
    status: SessionStatus | None = None
    since: Timestamp | None = Field(default=None, alias="from")
    until: Timestamp | None = Field(default=None, alias="to")
    search: Text | None = None
