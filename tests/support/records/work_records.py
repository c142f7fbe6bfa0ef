"""Records of work as tests want them."""

from typing import Any, Final

from contracts.values.work import WorkType
from storage.work.work import SubjectKind, WorkRecord, WorkState

NOW: Final = 1_000_000_000


def dispatched(work_id: str = "w1", **changed: Any) -> WorkRecord:
    """Work that is in hand."""
    values = WorkRecord(
        work_id=work_id,
        type=WorkType.ITEM_ANALYSE,
        subject_kind=SubjectKind.ITEM,
        subject_id=f"item of {work_id}",
        attempt=1,
        redispatches=0,
        state=WorkState.DISPATCHED,
        deadline_s=1.5,
        deadline_at=NOW + 60_000_000,
        counted_from=NOW,
        dispatched_at=NOW,
        message_id=f"message of {work_id}",
        stream_sequence=7,
        trace_id="trace",
        failure=None,
        created_at=NOW,
        updated_at=NOW,
    )
    return values._replace(**changed)
