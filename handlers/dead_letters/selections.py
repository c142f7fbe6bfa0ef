"""Which dead letters an operator means: the fields of a request as a filter of the catalog."""

from collections.abc import Sequence

from contracts.payloads.operations.failures import LetterSelection
from contracts.values.states import LetterState
from storage.journal.dead_letter_catalog import LetterFilter

UNFINISHED: Sequence[LetterState] = (LetterState.OPEN, LetterState.REPLAYING)
"""The states of letters that somebody may still have to look at."""


def letter_filter(
    wanted: LetterSelection, *, states: Sequence[LetterState] = (), until: int | None = None
) -> LetterFilter:
    """*wanted* as a filter; *states* where it names none, and only what was refused before *until*."""
    ends = [end for end in (wanted.until, until) if end is not None]
    return LetterFilter(
        kinds=wanted.kinds or (),
        codes=wanted.codes or (),
        paths=[",".join(paths) for paths in wanted.paths or ()],
        producers=wanted.producers or (),
        ids=wanted.ids or (),
        message_ids=wanted.message_ids or (),
        trace_ids=wanted.trace_ids or (),
        except_ids=wanted.except_ids or (),
        states=wanted.states or states,
        since=wanted.since,
        until=min(ends) if ends else None,
    )
