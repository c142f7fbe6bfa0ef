"""What the ledger makes of two changes of one session: the rules that the database carries out, in plain words."""

from domain.ledger.changes import SessionChange
from domain.ledger.ledger import TERMINAL


def merge_sessions(earlier: SessionChange, later: SessionChange) -> SessionChange:
    """Both changes of one session as one; what the stored row does with a change is the same."""
    newer = max(earlier, later, key=lambda change: (change.last_at, change.agent))
    named = max(
        earlier, later, key=lambda change: (change.model_at is not None, change.model_at or 0, change.model or "")
    )
    told = max(  # of equals the first: the later arrival
        later,
        earlier,
        key=lambda change: (change.status_at is not None, change.status_at or 0, change.status in TERMINAL),
    )
    return SessionChange(
        earlier.session_id,
        newer.agent,
        named.model,
        named.model_at,
        told.status,
        told.status_at,
        min(earlier.started_at, later.started_at),
        max(earlier.last_at, later.last_at),
        earlier.events + later.events,
        earlier.requests + later.requests,
        earlier.errors + later.errors,
        earlier.input_tokens + later.input_tokens,
        earlier.output_tokens + later.output_tokens,
        earlier.cost_usd_micros + later.cost_usd_micros,
        earlier.tokens_derived + later.tokens_derived,
        earlier.tokens_missing_count + later.tokens_missing_count,
        earlier.cost_usd_micros_derived + later.cost_usd_micros_derived,
        earlier.cost_missing_count + later.cost_missing_count,
    )
