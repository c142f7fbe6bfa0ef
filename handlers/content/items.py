"""Items of feeds: taken in, handed out to be analysed, and analysed by what a worker reports."""

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from contracts.errors import Problem
from contracts.gate.delivery import Accepted
from contracts.payloads.callbacks import ItemResult, Sentiment
from contracts.payloads.ingest.feed import FeedItem as FeedPayload
from contracts.values.principals import SYSTEM
from contracts.values.states import ItemState
from contracts.values.times import MICROS_PER_SECOND, format_micros
from contracts.values.work import WorkType
from domain.access import NOT_FOUND
from domain.content import items as rules
from domain.content.items import Item, ItemDecision
from domain.work.work import GAVE_UP, By, Failure, Overdue, WorkChange
from handlers.content.content_views import item_view, view_event
from handlers.effects import Context, Effects
from handlers.work.callbacks import CallbackReport, decide_in_order, reports_of
from handlers.work.dispatch import Order, hand_out, start
from handlers.work.work_writer import WorkWriter
from storage.content.items import ItemSentiment, StoredItem
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from storage.work.work import SubjectKind


def take_items(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """``feed.item``: new ones go out to be analysed; of a known one the newest message counts, its work stays."""
    said = _newest_of_each(group)
    decided = {item_id: _received(item_id, context) for item_id in said}
    items = {item_id: _stored(said[item_id], decided[item_id].item, context) for item_id in said}
    added = uow.items.add(list(items.values()))
    uow.items.renew([item for item_id, item in items.items() if item_id not in added])
    orders = [order for item_id in added if (order := _order(decided[item_id], items[item_id])) is not None]
    return Effects(outbox=hand_out(sorted(orders, key=lambda order: order.subject_id), uow, context))


def _received(item_id: str, context: Context) -> ItemDecision:
    return rules.received(item_id, start(WorkType.ITEM_ANALYSE, context), By(SYSTEM, context.now))


def _newest_of_each(group: Sequence[Accepted]) -> dict[str, Accepted]:
    newest: dict[str, Accepted] = {}
    for accepted in group:
        item_id = _said(accepted).item_id
        if item_id not in newest or newest[item_id].created_at < accepted.created_at:
            newest[item_id] = accepted
    return newest


def _said(accepted: Accepted) -> FeedPayload:
    if not isinstance(accepted.payload, FeedPayload):
        raise TypeError(f"{accepted.kind} is no item of a feed")
    return accepted.payload


def _stored(accepted: Accepted, item: Item, context: Context) -> StoredItem:
    said = _said(accepted)
    return StoredItem(
        item=item,
        source=said.source,
        title=said.title,
        url=said.url,
        published_at=said.published_at,
        text=said.text,
        message_id=accepted.message_id,
        trace_id=accepted.trace_id,
        producer=accepted.producer,
        created_at=accepted.created_at,
        received_at=context.now,
        updated_at=context.now,
    )


def _order(decision: ItemDecision, stored: StoredItem) -> Order | None:
    if decision.dispatch is None or decision.item.work is None:
        return None
    needs = {
        "source": stored.source,
        "title": stored.title,
        "url": stored.url,
        "published_at": format_micros(stored.published_at),
        "text": stored.text,
    }
    return Order(SubjectKind.ITEM, stored.item_id, decision.dispatch, decision.item.work, needs, stored.trace_id)


def take_item_results(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
    """``item.result``: the first one analyses its item; an item has one analysis."""
    reports = reports_of(group)
    recorder = ItemRecorder({report.subject_id for report in reports}, uow, context)
    effects = decide_in_order(reports, recorder.take_result, uow, context)
    effects.outbox += recorder.write()
    return effects


class ItemRecorder:
    """Items under decision in one transaction, locked; what was decided is written together by :meth:`write`."""

    def __init__(self, item_ids: Iterable[str], uow: UnitOfWork, context: Context) -> None:
        self._uow = uow
        self._context = context
        self._items = dict(uow.items.lock(sorted(item_ids)))
        self._times: dict[str, int] | None = None
        self._changed: set[str] = set()
        self._orders: list[Order] = []
        self._ended = WorkWriter(uow, context)
        self._events: list[OutboxMessage] = []

    def take_result(self, report: CallbackReport) -> Problem | None:
        """A worker's analysis."""
        stored = self._items.get(report.subject_id)
        if stored is None:
            return NOT_FOUND
        ruling = rules.analysed(stored.item)
        if isinstance(ruling, Problem):
            return ruling
        if isinstance(report.payload, ItemResult):
            self._store(ruling, sentiment=report.payload.sentiment)
        return None

    def replay(self, item_id: str) -> bool:
        """Send a failed item out again; false where it is not failed."""
        stored = self._items.get(item_id)
        return stored is not None and self._store(
            rules.replayed(stored.item, start(WorkType.ITEM_ANALYSE, self._context), By(SYSTEM, self._context.now))
        )

    def heal(self, item_id: str, *, threshold_s: float) -> Overdue:
        """Send an item out again, or give it up, where its deadline is past or nobody answered for ``threshold_s``."""
        stored = self._items.get(item_id)
        if stored is None or stored.item.work is None or stored.item.status is not ItemState.PENDING:
            return Overdue.NOT_YET
        item, work = stored.item, stored.item.work
        by, terms = By(SYSTEM, self._context.now), self._context.work
        stale_at = self._counted_from(work.work_id) + round(threshold_s * MICROS_PER_SECOND)
        due = replace(item, work=replace(work, deadline=min(work.deadline, stale_at)))
        decision = rules.overdue(
            due, by=by, deadline_s=terms.deadline_s[WorkType.ITEM_ANALYSE], max_attempts=terms.max_attempts
        )
        if not self._store(decision, failure=None if decision.dispatch else GAVE_UP):
            return Overdue.NOT_YET
        return Overdue.GIVE_UP if decision.dispatch is None else Overdue.AGAIN

    def give_up(self, item_id: str, why: Failure) -> bool:
        """Nobody will work on the item; false where it waits for nobody any more."""
        stored = self._items.get(item_id)
        return stored is not None and self._store(rules.given_up(stored.item), failure=why)

    def _counted_from(self, work_id: str) -> int:
        """Since when the time of a work runs; that of all items under decision is read once."""
        if self._times is None:
            works = [stored.item.work for stored in self._items.values() if stored.item.work is not None]
            records = self._uow.work.get_many(sorted(work.work_id for work in works))
            self._times = {record.work_id: record.counted_from for record in records.values()}
        return self._times[work_id]

    def write(self) -> list[OutboxMessage]:
        """Write what was decided; answers the messages of what goes out, and the events that tell of it."""
        self._uow.items.store([self._items[item_id] for item_id in self._changed])
        self._ended.write()
        return hand_out(self._orders, self._uow, self._context) + self._events

    def _store(
        self, decision: ItemDecision, *, sentiment: Sentiment | None = None, failure: Failure | None = None
    ) -> bool:
        if not decision.changed:
            return False
        item, stored = decision.item, self._items[decision.item.item_id]
        before = stored.item
        self._items[item.item_id] = stored = replace(
            stored,
            item=item,
            sentiment=None if sentiment is None else ItemSentiment(sentiment.label, sentiment.score),
            failure=failure,
            updated_at=self._context.now,
            version=stored.version + 1,
        )
        self._changed.add(item.item_id)
        self._ended.follow(WorkChange(before.work, item.work, decision.dispatch, decision.withdraw, failure))
        if (order := _order(decision, stored)) is not None:
            self._orders.append(order)
        if decision.event is not None:
            self._events.append(_event(decision.event, stored, self._context))
        return True


def _event(name: str, stored: StoredItem, context: Context) -> OutboxMessage:
    return view_event("item", stored.item_id, name, item_view(stored), trace_id=stored.trace_id, context=context)
