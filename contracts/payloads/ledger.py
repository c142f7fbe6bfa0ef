"""What is asked of the ledger."""

from contracts.payloads.base import Payload
from contracts.values.types import Identifier


class LedgerGet(Payload):
    """ledger.get 1.0: one session with its totals and newest events."""

    session_id: Identifier
