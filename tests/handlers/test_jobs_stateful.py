"""Commands, callbacks, healing and the relay in any order, on a real database, beside a plain model of the contract.

After every transaction everything that is stored is compared with the model, so that rows that should not be there are
found as well as those that are missing.
"""

import asyncio
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from itertools import count
from typing import Any, Final, TypeVar

import orjson
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from contracts.delivery import Judged
from domain import job_commands
from domain.jobs import Decision
from domain.work import By
from handlers.effects import Outcome, Verdict
from handlers.healing import HEALERS, Healed, HealTerms
from handlers.job_writing import JobWriter
from storage.database import Database
from storage.outbox import OutboxRow
from storage.unit_of_work import UnitOfWork
from storage.work import WorkMessage
from tests.contracts.samples import TRACE, envelope
from tests.handlers.callback_model import REORDER_S, Batch, Callback, Desk
from tests.handlers.command_model import Commands, Given
from tests.handlers.counted_house import CountedHouse, empty
from tests.handlers.job_evidence import Evidence, assert_answered, gather
from tests.handlers.job_model import SECOND, WAY, Answer, Json
from tests.handlers.job_words import (
    ANY_JOB,
    FIRST_DRAFTS,
    MORE,
    NAMES,
    ORDERS,
    ORDERS_AGAIN,
    WORDS,
    AnyWords,
    EarlierWords,
    NextWords,
    Order,
    OrderAgain,
    Redelivery,
    Words,
)
from tests.handlers.owners import command
from tests.handlers.settling import DAEMON
from tests.support import databases

T = TypeVar("T")

WORKER: Final = "worker-1"
AT_WORK: Final = {"QUEUED", "TRANSCRIBING", "DRAFTING", "RENDERING"}
NOBODY: Final = "00000000-0000-0000-0000-00000000dead"
JOB_HEALER: Final = next(healer for healer in HEALERS if healer.what == "jobs")


class JobsMachine(RuleBasedStateMachine):
    """Some jobs of one owner, and all that may happen to them."""

    def __init__(self, loop: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self.loop, self.database, self.house = loop, database, CountedHouse(database)
        self.commands = Commands()
        self.jobs = self.commands.jobs
        self.desk = Desk()
        self.alerts = 0
        self.given: list[Given] = []
        self.deliveries: list[tuple[Judged, Callback]] = []
        self.held: dict[int, tuple[Judged, Callback]] = {}
        self.queue: dict[str, Json] = {}
        self.on_the_way: list[OutboxRow] = []
        self.numbers = count(1)
        self.wait(database.write(empty))
        self.project_id = str(self.wait(self.house.project()))
        self.before = self.evidence()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(work)

    def evidence(self) -> Evidence:
        return self.wait(self.database.read(gather))

    # -- after each transaction

    def compare(self, versions: dict[str, int], *, touched: Sequence[str] = ()) -> None:
        """The model and the database say the same; a job that did not change is untouched to the last column.

        ``versions`` are those before; of ``touched`` jobs, the work may be noted otherwise without a new version.
        """
        expected = {job.job_id: job for job in self.jobs}
        for job in self.jobs:
            if job.version != versions.get(job.job_id):
                job.views.append(job.version)
        after = self.evidence()
        after.agrees_on_jobs(expected)
        after.agrees_on_history(expected)
        after.agrees_on_views(expected)
        after.agrees_on_work(expected)
        after.agrees_on_messages(expected, self.queue)
        after.agrees_on_counts(self.desk, commands=1 + len(self.commands.taken), alerts=self.alerts)
        for job_id, version in versions.items():
            assert version <= expected[job_id].version
            if version == expected[job_id].version and job_id not in touched:
                assert after.of(job_id) == self.before.of(job_id), "a job was touched that should not change"
        self.before = after

    def versions(self) -> dict[str, int]:
        return {job.job_id: job.version for job in self.jobs}

    # -- what an owner asks

    @initialize(ways=st.lists(st.tuples(st.integers(0, 8), st.booleans(), FIRST_DRAFTS), min_size=1, max_size=3))
    def begin_some_way_along(self, ways: list[tuple[int, bool, Json]]) -> None:
        """Chance alone seldom comes far: begin anywhere on the straight way."""
        for number, (steps, prompt, made) in enumerate(ways):
            self.give([Order("job.create", choice=prompt)])
            for _ in range(steps):
                if self.jobs[number].status in AT_WORK:
                    self.report([NextWords(number, {"artifacts": made})])
                else:
                    self.give([self.sensible(number)])

    @rule(orders=st.lists(ORDERS | ORDERS_AGAIN, min_size=1, max_size=4))
    def owners_ask(self, orders: list[Order | OrderAgain]) -> None:
        self.give(orders)

    @rule(job=ANY_JOB, twice=st.booleans(), hasty=st.booleans())
    def an_owner_goes_on(self, job: int, *, twice: bool, hasty: bool) -> None:
        order = self.sensible(job)
        rendered = [Order("job.render", job)] if hasty and order.name == "job.approve" else []
        self.give(rendered + [order] * (1 + twice))

    @precondition(lambda self: self.retried())
    @rule(which=st.integers(0, 3), between=st.sampled_from([*NAMES, "job.cancel"]), times=st.integers(1, 2))
    def an_owner_tries_again(self, which: int, between: str, times: int) -> None:
        """Retries a job that was retried before, while something is asked of the one that was made of it."""
        of, retried = self.retried()[which % len(self.retried())]
        self.give([Order(between, retried), *[Order("job.retry", of)] * times])

    def retried(self) -> list[tuple[int, int]]:
        return [(self.jobs.index(job.retry_of), at) for at, job in enumerate(self.jobs) if job.retry_of is not None]

    def sensible(self, number: int) -> Order:
        job = self.jobs[number % len(self.jobs)]
        wanted = {"CREATED": "job.confirm-upload", "UPLOADED": "job.run", "FAILED": "job.retry"}.get(job.status)
        return Order(wanted or ("job.render" if job.approved else "job.approve"), number)

    def give(self, orders: Sequence[Order | OrderAgain]) -> None:
        """Commands in one transaction."""
        versions = self.versions()
        batch = [self.command(order) for order in orders]
        asked = [command(one.name, one.payload, owner=one.owner, message_id=one.message_id) for one in batch]
        for one in batch:
            self.commands.expect(one, self.house.now)
        self.given += batch
        for one, reply in zip(batch, self.wait(self.house.carry_out(asked)).replies, strict=True):
            assert_answered(one, reply)
        self.compare(versions)

    def command(self, order: Order | OrderAgain) -> Given:
        if isinstance(order, Order):
            return self.new_command(order)
        if not self.given:
            return self.new_command(Order("job.create"))
        earlier = self.given[order.which % len(self.given)]
        payload = earlier.payload
        if order.changed:
            payload = {**payload, "title": "Another"} if "title" in payload else {**payload, "job_id": NOBODY}
        return Given(earlier.name, payload, earlier.owner, earlier.message_id)

    def new_command(self, order: Order) -> Given:
        if order.name == "job.create":
            payload = {"project_id": self.project_id, "title": "A job"} | ({"prompt": "Say it"} if order.choice else {})
        else:
            payload = {"job_id": self.jobs[order.job % len(self.jobs)].job_id}
        if order.name == "job.confirm-upload":
            payload["video_uri"] = f"s3://videos/{order.choice}"
        return Given(order.name, payload, "bob" if order.stranger else "ada", f"command-{next(self.numbers)}")

    # -- what workers report

    @rule(words=st.lists(WORDS, min_size=1, max_size=5), older=st.booleans())
    def workers_report(self, words: list[Words], *, older: bool) -> None:
        self.report(words, older=older)

    @rule(job=ANY_JOB, more=st.lists(MORE, min_size=1, max_size=3), names_attempt=st.booleans(), older=st.booleans())
    def a_worker_goes_on(self, job: int, more: list[Json], *, names_attempt: bool, older: bool) -> None:
        self.report([NextWords(job, each, names_attempt) for each in more], older=older)

    @rule(job=ANY_JOB, together=st.booleans(), more=MORE)
    def reports_come_turned_round(self, job: int, *, together: bool, more: Json) -> None:
        """The later one waits for the earlier one, where it may, and comes again."""
        later, earlier = NextWords(job, more, ahead=True), NextWords(job, {})
        for batch in [[later, earlier]] if together else [[later], [earlier]]:
            self.report(batch, older=True)
        self.report([Redelivery(0, held=True)], older=True)

    def report(self, words: Sequence[Words], *, older: bool = False) -> None:
        """Callbacks in one batch."""
        versions, judged = self.versions(), []
        known = {job.job_id: job for job in self.jobs}
        batch = Batch(self.desk, known, older=older, worker=WORKER, now=self.house.now)
        for each in words:
            said = self.said(each, batch)
            if said is not None:
                batch.put(said[1])
                judged.append(said)
        if not judged:
            return
        outcomes = self.wait(self.house.settle([each for each, _ in judged], older_outstanding=older))
        answers = batch.answers()
        assert [_told(outcome) for outcome in outcomes] == answers
        for (one, callback), answer in zip(judged, answers, strict=True):
            self.held.pop(callback.number, None)
            if answer == "held":
                self.held[callback.number] = (one, callback)
        self.compare(versions)

    def said(self, words: Words, batch: Batch) -> tuple[Judged, Callback] | None:
        """The message, as the gate hands it on; None where there is nothing yet to say again."""
        match words:
            case NextWords():
                return self.next_words(words)
            case AnyWords():
                return self.any_words(words)
            case EarlierWords():
                return self.earlier_words(words) if self.deliveries else None
            case Redelivery():
                among = [*self.held.values()] if words.held else self.deliveries
                among = [each for each in among if each[1].number not in batch]
                if not among:
                    return None
                judged, callback = among[words.which % len(among)]
                delivery = judged.delivery
                again = delivery._replace(delivered=delivery.delivered + 1)
                return self.house.judge(again), callback

    def next_words(self, words: NextWords) -> tuple[Judged, Callback]:
        job = self.jobs[words.job % len(self.jobs)]
        status = job.status if job.status in {"AWAITING_APPROVAL", "READY"} and not words.fails else "FAILED"
        if job.status in AT_WORK and not words.fails:
            status = WAY[WAY.index(job.status) + 1]
        if words.ahead and status in {"TRANSCRIBING", "DRAFTING"}:
            status = WAY[WAY.index(status) + 1]
        attempt = {"attempt": job.attempt} if words.names_attempt and job.attempt else {}
        payload = self.event(job.sequence + 1 + words.ahead, status) | attempt | words.more
        return self.deliver(job.job_id, payload)

    def any_words(self, words: AnyWords) -> tuple[Judged, Callback]:
        job = self.jobs[words.job % len(self.jobs)]
        payload = self.event(max(1, job.sequence + words.sequence), words.status) | words.more
        if words.attempt is not None:
            payload["attempt"] = max(1, job.attempt + words.attempt)
        return self.deliver(NOBODY if words.job == 4 else job.job_id, payload, late=words.late)

    def earlier_words(self, words: EarlierWords) -> tuple[Judged, Callback]:
        _, earlier = self.deliveries[words.which % len(self.deliveries)]
        payload, job_id, message_id = earlier.payload, earlier.job_id, earlier.message_id
        if words.twist.startswith("changed"):
            payload = {**payload, "progress": 77}
        if words.twist == "elsewhere":
            job_id = next((job.job_id for job in self.jobs if job.job_id != job_id), NOBODY)
        if words.twist.endswith("other message"):
            message_id = f"message-{next(self.numbers)}"
        return self.deliver(job_id, payload, message_id=message_id)

    def event(self, sequence: int, status: str) -> Json:
        return {"event_id": f"event-{next(self.numbers)}", "sequence": sequence, "status": status}

    def deliver(
        self, job_id: str, payload: Json, *, message_id: str | None = None, late: bool = False
    ) -> tuple[Judged, Callback]:
        at = self.house.now - (REORDER_S * SECOND if late else 0)
        body = envelope(payload, "job.status", "1.0", message_id=message_id or payload["event_id"], producer=WORKER)
        judged = self.house.judged(f"callback.job.{job_id}", body, at)
        said = judged, Callback(judged.delivery.sequence, job_id, body["message_id"], payload, at)
        self.deliveries.append(said)
        return said

    # -- what happens besides

    @rule(seconds=st.sampled_from([1, 5, 30, 700, 700]))
    def time_passes(self, seconds: int) -> None:
        self.house.now += seconds * SECOND

    @rule(job=ANY_JOB)
    def an_export_succeeds(self, job: int) -> None:
        versions, exported, context = self.versions(), self.jobs[job % len(self.jobs)], self.house.context()

        def export(uow: UnitOfWork) -> None:
            before = uow.jobs.locked([exported.job_id])[exported.job_id]
            ruling = job_commands.export_succeeded(before, By("system", context.now))
            writer = JobWriter(uow, context)
            if isinstance(ruling, Decision):
                writer.take(before, ruling, TRACE)
            uow.outbox.add(writer.write(), owner=DAEMON, now=context.now)

        self.wait(self.database.write(export))
        exported.export(context.now)
        self.compare(versions)

    @rule(everyone=st.booleans())
    def healing_goes_round(self, *, everyone: bool) -> None:
        """It finds what is overdue and judges that anew; whatever else it is asked to heal is left alone."""
        versions, context, terms = self.versions(), self.house.context(), HealTerms(3_600, 100)
        found = self.wait(self.database.read(lambda uow: JOB_HEALER.find(uow, context, terms)))
        overdue = [job for job in self.jobs if job.is_overdue(context.now)]
        assert found.keys() == {job.job_id for job in overdue if job.work is not None and job.work.stored}
        ids = [job.job_id for job in self.jobs] if everyone else sorted(found)

        def heal(uow: UnitOfWork) -> Healed:
            healed = JOB_HEALER.heal(ids, uow, context, terms)
            uow.outbox.add(healed.messages, owner=DAEMON, now=context.now)
            return healed

        healed = self.wait(self.database.write(heal))
        overdue = [job for job in overdue if job.job_id in ids]
        for job in overdue:
            job.heal(context.now)
        given_up = len([job for job in overdue if job.status == "FAILED"])
        assert (healed.republished, healed.given_up) == (len(overdue) - given_up, given_up)
        self.alerts += given_up
        self.compare(versions)

    @rule(rounds=st.sampled_from([1, 1, 1, 3]))
    def workers_are_silent(self, rounds: int) -> None:
        for _ in range(rounds):
            self.the_relay_catches_up()
            self.time_passes(700)
            self.healing_goes_round(everyone=False)

    @rule()
    def the_relay_sends_work(self) -> None:
        """What is to leave the queue leaves before anything newer goes in; the stream's answer is still out."""
        removals = self.wait(self.database.read(lambda uow: uow.work.removals(limit=1_000)))
        for removal in removals:
            self.queue.pop(removal.message_id, None)
        gone = [removal.message_id for removal in removals]
        self.wait(self.database.write(lambda uow: uow.work.removed(gone)))
        self.on_the_way = self.wait(
            self.database.read(
                lambda uow: uow.outbox.waiting(owner=DAEMON, lane="HG_WORK", limit=1_000, max_bytes=2**30)
            )
        )
        self.queue |= {row.message.message_id: orjson.loads(row.message.body)["payload"] for row in self.on_the_way}
        self.compare(self.versions())

    @precondition(lambda self: self.on_the_way)
    @rule()
    def the_stream_answers(self) -> None:
        now, rows, self.on_the_way = self.house.now, self.on_the_way, []
        stored = [(row, orjson.loads(row.message.body)) for row in rows]
        noted = [
            WorkMessage(row.message.message_id, body["kind"], next(self.numbers), row.created_at)
            for row, body in stored
        ]

        def settle(uow: UnitOfWork) -> None:
            uow.outbox.remove([row.position for row in rows])
            uow.work.note(noted, now=now)

        self.wait(self.database.write(settle))
        arrived = {(body["payload"]["job_id"], body["payload"]["attempt"]) for _, body in stored}
        of_now = [job for job in self.jobs if (job.job_id, job.attempt) in arrived]
        for job in of_now:
            job.relayed(now)
        self.compare(self.versions(), touched=[job.job_id for job in of_now])

    @rule()
    def the_relay_catches_up(self) -> None:
        """Once all is sent and answered, nobody finds work in the queue that nobody is to do."""
        for _ in range(2):
            self.the_relay_sends_work()
            self.the_stream_answers()
        self.the_relay_sends_work()
        self.before.assert_alone(self.queue.values())


def _told(outcome: Outcome) -> Answer:
    if outcome.error is not None:
        return str(outcome.error["code"])
    return "held" if outcome.verdict is Verdict.HELD else outcome.status


@contextmanager
def opened(url: str) -> Iterator[tuple[asyncio.Runner, Database]]:
    """The database, and the loop in which it is used from outside of any."""
    with asyncio.Runner() as loop:
        stack = AsyncExitStack()
        try:
            yield loop, loop.run(stack.enter_async_context(databases.opened(url)))
        finally:
            loop.run(stack.aclose())


EXAMPLES: Final = {"sqlite": (30, 25), "postgresql": (6, 15)}


def test_whatever_happens_to_jobs_everything_stored_is_as_the_contract_says(database_url: str, dialect: str) -> None:
    examples, steps = EXAMPLES[dialect]
    with opened(database_url) as (loop, database):
        run_state_machine_as_test(
            partial(JobsMachine, loop, database),  # type: ignore[arg-type]  # whatever makes a machine will do
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
