"""The life of a feed item."""

import pytest
from msgspec.structs import replace

from contracts.errors import ErrorCode, Problem
from contracts.values.states import ItemState
from contracts.values.work import WorkType
from domain.content import items
from domain.content.items import Item, ItemDecision
from domain.work.work import By
from tests.domain.jobs.job_factory import NOW, OWNER, SECOND, START


def test_a_received_item_is_pending_and_goes_to_be_analysed() -> None:
    decision = items.received("item-1", START, OWNER)
    assert decision.item.status is ItemState.PENDING
    assert decision.dispatch is not None
    assert (decision.dispatch.type, decision.dispatch.attempt) == (WorkType.ITEM_ANALYSE, 1)


def test_a_result_analyses_a_pending_item_once() -> None:
    first = items.analysed(items.received("item-1", START, OWNER).item)
    assert isinstance(first, ItemDecision)
    assert (first.item.status, first.item.work) == (ItemState.ANALYSED, None)
    again = items.analysed(first.item)
    assert isinstance(again, Problem)
    assert again.code is ErrorCode.INVALID_TRANSITION


def test_an_item_without_a_result_goes_out_again_and_is_given_up_in_the_end() -> None:
    item = items.received("item-1", START, OWNER).item
    seen = []
    for round_ in range(1, 5):
        decision = items.overdue(item, by=By("system", NOW + round_ * 600 * SECOND), deadline_s=600, max_attempts=2)
        seen.append((decision.item.status, decision.dispatch.attempt if decision.dispatch else None, decision.changed))
        item = decision.item
    pending, failed = ItemState.PENDING, ItemState.FAILED
    assert seen == [(pending, 2, True), (pending, 3, True), (failed, None, True), (failed, None, False)]
    assert isinstance(items.analysed(item), Problem)


def test_a_failed_item_is_replayed_under_a_new_attempt() -> None:
    decision = items.replayed(Item("item-1", ItemState.FAILED, attempt=3), START, OWNER)
    assert decision.item.status is ItemState.PENDING
    assert decision.dispatch is not None
    assert decision.dispatch.attempt == 4


@pytest.mark.parametrize("state", [ItemState.PENDING, ItemState.ANALYSED])
def test_only_failed_items_are_replayed(state: ItemState) -> None:
    item = replace(Item("item-1"), status=state)
    assert items.replayed(item, START, OWNER) == ItemDecision(item, changed=False)
