"""What of a large batch can be decided before its transaction begins: all that needs no database, should all be new.

The thread of the database then only writes. Under load that halves the time that a transaction takes, while the loop,
which would otherwise wait for it, prepares the next one.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from contracts.gate.delivery import Accepted, Judged
from handlers.effects import Context, Effects, Families, Handler, PreparingHandler
from storage.journal.inbox import InboxKey, MessageKey, claim_rows
from storage.unit_of_work import UnitOfWork


class PreparedGroup(NamedTuple):
    """The messages of one handler by their places in the batch, and what writes what was decided on them."""

    indices: Sequence[int]
    write: Callable[[UnitOfWork], Effects]


class PreparedBatch(NamedTuple):
    """All keys of the batch, as the inbox takes them, and what is written where all of them are new."""

    keys: Mapping[str, object]
    groups: Sequence[PreparedGroup]


def prepare_batch(batch: Sequence[Judged], context: Context, families: Families) -> PreparedBatch | None:
    """None where something of *batch* may be other than accepted and new, or belongs to a handler that cannot
    prepare."""
    groups: defaultdict[Handler, list[int]] = defaultdict(list)
    keys: dict[MessageKey, str] = {}
    for index, judged in enumerate(batch):
        if not isinstance(judged, Accepted) or judged.delivery.delivered > 1 or judged.delivery.lineage is not None:
            return None
        groups[families[judged.kind]].append(index)
        keys[judged.kind, judged.message_id] = judged.payload_hash
    if len(keys) != len(batch):
        return None
    prepared: list[PreparedGroup] = []
    for handler, indices in groups.items():
        if not isinstance(handler, PreparingHandler):
            return None
        group = [batch[index] for index in indices] if len(indices) < len(batch) else batch
        prepared.append(PreparedGroup(indices, handler.prepare(_accepted(group), context)))
    asking = [InboxKey(*key, keys[key]) for key in sorted(keys)]
    return PreparedBatch(claim_rows(asking, now=context.now), prepared)


def _accepted(group: Sequence[Judged]) -> Sequence[Accepted]:
    return [judged for judged in group if isinstance(judged, Accepted)]
