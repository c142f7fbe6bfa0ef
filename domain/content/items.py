"""The life of a feed item: pending until a worker's result analyses it or healing gives it up."""

from typing import Final, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem, problem
from contracts.values.states import ItemState
from contracts.values.work import WorkType
from domain.content.item_states import EVENT_OF, ItemSignal, next_state
from domain.work.work import By, Dispatch, Overdue, Start, WorkInHand, handed_out, judge_deadline, once_more


class Item(Struct, frozen=True):
    """An item's standing; what it says is not the rule's concern. ``attempt`` counts the work messages for it."""

    item_id: str
    status: ItemState = ItemState.PENDING
    attempt: int = 0
    work: WorkInHand | None = None


class ItemDecision(Struct, frozen=True):
    """An item after a decision; ``changed`` is false where there is nothing to store."""

    item: Item
    changed: bool = True
    dispatch: Dispatch | None = None
    withdraw: str | None = None
    event: str | None = None
    """What listeners are told of it."""


ItemRuling: TypeAlias = ItemDecision | Problem


def received(item_id: str, start: Start, by: By) -> ItemDecision:
    """A new item goes to be analysed."""
    return _handed_out(Item(item_id), WorkInHand(start.work_id, WorkType.ITEM_ANALYSE, by.at), start.deadline_s, by)


def analysed(item: Item) -> ItemRuling:
    """A result came. An item has one analysis; a second result changes nothing."""
    target = next_state(item.status, ItemSignal.RESULT_REPORTED)
    if target is None:
        return NOT_PENDING
    return ItemDecision(replace(item, status=target, work=None), event=EVENT_OF.get(target))


def replayed(item: Item, start: Start, by: By) -> ItemDecision:
    """A failed item goes back to pending and out again."""
    target = next_state(item.status, ItemSignal.REPLAYED)
    if target is None:
        return ItemDecision(item, changed=False)
    pending = replace(item, status=target)
    return _handed_out(pending, WorkInHand(start.work_id, WorkType.ITEM_ANALYSE, by.at), start.deadline_s, by)


def overdue(item: Item, *, by: By, deadline_s: float, max_attempts: int) -> ItemDecision:
    """Hand an item without a result out again, at most ``max_attempts`` times, then give it up."""
    work, ruling = item.work, judge_deadline(item.work, at=by.at, max_attempts=max_attempts)
    if work is None or item.status is not ItemState.PENDING or ruling is Overdue.NOT_YET:
        return ItemDecision(item, changed=False)
    if ruling is Overdue.GIVE_UP:
        return given_up(item)
    return replace(_handed_out(item, once_more(work), deadline_s, by), withdraw=work.work_id)


def given_up(item: Item) -> ItemDecision:
    """Nobody will do the work of the item: it has failed. What may lie in the queue is to be withdrawn."""
    target = next_state(item.status, ItemSignal.GAVE_UP)
    if item.work is None or target is None:
        return ItemDecision(item, changed=False)
    failed = replace(item, status=target, work=None)
    return ItemDecision(failed, withdraw=item.work.work_id, event=EVENT_OF.get(target))


def _handed_out(item: Item, work: WorkInHand, deadline_s: float, by: By) -> ItemDecision:
    given = handed_out(work, item.attempt, deadline_s, by)
    return ItemDecision(replace(item, attempt=given.attempt, work=given.work), dispatch=given.dispatch)


NOT_PENDING: Final = problem(ErrorCode.INVALID_TRANSITION, "the item is not pending: a result changes nothing")
