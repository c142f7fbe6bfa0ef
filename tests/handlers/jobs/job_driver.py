"""Whatever may be done with jobs, done on a real database and in the model, and compared."""

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import count
from typing import Any, Final, TypeVar

import orjson

from contracts.gate.delivery import Judged
from domain.jobs import job_commands
from domain.jobs.job import Decision
from domain.work.work import By
from handlers.alerts.counting import count as count_signals
from handlers.effects import MessageOutcome, Verdict
from handlers.healing.healing import HEALERS, Healed, HealTerms
from handlers.jobs.job_recorder import JobRecorder
from storage.engine.database import Database
from storage.journal.outbox import OutboxRow
from storage.unit_of_work import UnitOfWork
from storage.work.work import WorkMessage
from tests.contracts.samples import TRACE, envelope
from tests.handlers.counted_storage import CountedHouse, empty
from tests.handlers.deciding import DAEMON
from tests.handlers.jobs.callback_model import REORDER_S, Batch, Callback, Desk
from tests.handlers.jobs.command_model import Commands, Given
from tests.handlers.jobs.job_evidence import Evidence, assert_answered, gather
from tests.handlers.jobs.job_model import SECOND, WAY, Answer, Json, ModelJob
from tests.handlers.jobs.job_words import (
    AnyWords,
    EarlierWords,
    NextWords,
    Order,
    OrderAgain,
    Redelivery,
    Words,
)
from tests.handlers.jobs.owners import command

T = TypeVar("T")

WORKER: Final = "worker-1"
NOBODY: Final = "00000000-0000-0000-0000-00000000dead"
JOB_HEALER: Final = next(healer for healer in HEALERS if healer.what == "jobs")


class JobsDriver:
    """Some jobs of one owner on an empty database; whatever is done with them is compared with the model at once."""

    def __init__(self, loop: asyncio.Runner, database: Database) -> None:
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
        self.arrived = True
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

    def job(self, number: int) -> ModelJob:
        """Jobs are counted round."""
        return self.jobs[number % len(self.jobs)]

    def sensible(self, number: int) -> Order:
        job = self.job(number)
        wanted = {"CREATED": "job.confirm-upload", "UPLOADED": "job.run", "FAILED": "job.retry"}.get(job.status)
        return Order(wanted or ("job.render" if job.approved else "job.approve"), number)

    def give(self, orders: Sequence[Order | OrderAgain]) -> None:
        """Commands in one transaction."""
        versions = self.versions()
        batch: list[Given] = []
        for order in orders:
            batch.append(self.command(order))
            self.given.append(batch[-1])
        asked = [command(one.name, one.payload, owner=one.owner, message_id=one.message_id) for one in batch]
        for one in batch:
            self.commands.expect(one, self.house.now)
        for one, reply in zip(batch, self.wait(self.house.execute_commands(asked)).replies, strict=True):
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
            payload = {"job_id": self.job(order.job).job_id}
        if order.name == "job.confirm-upload":
            payload["video_uri"] = f"s3://videos/{order.choice}"
        return Given(order.name, payload, "bob" if order.stranger else "ada", f"command-{next(self.numbers)}")

    # -- what workers report

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
        outcomes = self.wait(self.house.decide_batch([each for each, _ in judged], older_outstanding=older))
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
        job = self.job(words.job)
        status = job.status if job.status in {"AWAITING_APPROVAL", "READY"} and not words.fails else "FAILED"
        if job.work is not None and not words.fails:
            stays = words.stays and job.status != "QUEUED"
            status = job.status if stays else WAY[WAY.index(job.status) + 1]
        if words.ahead and status in {"TRANSCRIBING", "DRAFTING"}:
            status = WAY[WAY.index(status) + 1]
        payload = self.event(job.sequence + 1 + words.ahead, status) | words.more
        if words.attempt is not None and job.attempt:
            payload["attempt"] = max(1, job.attempt + words.attempt)
        return self.deliver(job.job_id, payload)

    def any_words(self, words: AnyWords) -> tuple[Judged, Callback]:
        job = self.job(words.job)
        payload = self.event(max(1, job.sequence + words.sequence), words.status) | words.more
        if words.attempt is not None:
            payload["attempt"] = max(1, job.attempt + words.attempt)
        return self.deliver(NOBODY if words.job == 4 else job.job_id, payload, late=words.late)

    def earlier_words(self, words: EarlierWords) -> tuple[Judged, Callback]:
        _, earlier = self.deliveries[words.which % len(self.deliveries)]
        payload, job_id, message_id = earlier.payload, earlier.job_id, earlier.message_id
        if words.twist.startswith("changed"):
            payload = {**payload, "progress": 77}
        if words.twist == "other event":
            payload = {**payload, "event_id": f"event-{next(self.numbers)}"}
            message_id = payload["event_id"]
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

    def export(self, job: int) -> None:
        versions, exported, context = self.versions(), self.job(job), self.house.context()

        def export(uow: UnitOfWork) -> None:
            before = uow.jobs.locked([exported.job_id])[exported.job_id]
            ruling = job_commands.export_succeeded(before, By("system", context.now))
            writer = JobRecorder(uow, context)
            if isinstance(ruling, Decision):
                writer.take(before, ruling, TRACE)
            uow.outbox.add(writer.write(), owner=DAEMON, now=context.now)

        self.wait(self.database.write(export))
        exported.export(context.now)
        self.compare(versions)

    def heal(self, *, everyone: bool) -> None:
        """It finds what is overdue and judges that anew; whatever else it is asked to heal is left alone."""
        versions, context, terms = self.versions(), self.house.context(), HealTerms(3_600, 100)
        found = self.wait(self.database.read(lambda uow: JOB_HEALER.find(uow, context, terms)))
        overdue = [job for job in self.jobs if job.is_overdue(context.now)]
        assert found.keys() == {job.job_id for job in overdue if job.work is not None and job.work.stored}
        ids = [job.job_id for job in self.jobs] if everyone else sorted(found)

        def heal(uow: UnitOfWork) -> Healed:
            healed = JOB_HEALER.heal(ids, uow, context, terms)
            uow.outbox.add(healed.messages, owner=DAEMON, now=context.now)
            count_signals(healed.counted, uow, context)
            return healed

        healed = self.wait(self.database.write(heal))
        overdue = [job for job in overdue if job.job_id in ids]
        for job in overdue:
            job.heal(context.now)
        given_up = len([job for job in overdue if job.status == "FAILED"])
        assert (healed.republished, healed.given_up) == (len(overdue) - given_up, given_up)
        self.alerts += given_up
        self.compare(versions)

    def send_work(self, *, arrives: bool = True) -> None:
        """What is to leave the queue leaves before anything newer goes in; the stream's answer is still out, and
        perhaps the messages are as well."""
        self.take_out_superseded()
        self.on_the_way = self.wait(
            self.database.read(
                lambda uow: uow.outbox.waiting(owner=DAEMON, lane="HG_WORK", limit=1_000, max_bytes=2**30)
            )
        )
        self.arrived = False
        if arrives:
            self.arrive()
        self.compare(self.versions())

    def take_out_superseded(self) -> None:
        """As any daemon does before it sends work."""
        removals = self.wait(self.database.read(lambda uow: uow.work.list_removals(limit=1_000)))
        for removal in removals:
            self.queue.pop(removal.message_id, None)
        gone = [removal.message_id for removal in removals]
        self.wait(self.database.write(lambda uow: uow.work.record_removed(gone)))

    def arrive(self) -> None:
        self.queue |= {row.message.message_id: orjson.loads(row.message.body)["payload"] for row in self.on_the_way}
        self.arrived = True

    def hear_of_work(self) -> None:
        """The stream answers where the messages lie that were sent."""
        if not self.arrived:
            self.arrive()
        now, rows, self.on_the_way = self.house.now, self.on_the_way, []
        stored = [(row, orjson.loads(row.message.body)) for row in rows]
        noted = [
            WorkMessage(row.message.message_id, body["kind"], next(self.numbers), row.created_at)
            for row, body in stored
        ]

        def settle(uow: UnitOfWork) -> None:
            uow.outbox.remove([row.position for row in rows])
            uow.work.record_arrivals(noted, now=now)

        self.wait(self.database.write(settle))
        arrived = {(body["payload"]["job_id"], body["payload"]["attempt"]) for _, body in stored}
        for job in self.jobs:
            if (job.job_id, job.attempt) in arrived:
                job.relayed(now)
        self.compare(self.versions(), touched=[job_id for job_id, _ in arrived])

    def catch_up(self) -> None:
        """Once all is sent and answered, nobody finds work in the queue that nobody is to do."""
        for _ in range(2):
            self.send_work()
            self.hear_of_work()
        self.send_work()
        self.before.assert_alone(self.queue.values())


def _told(outcome: MessageOutcome) -> Answer:
    if outcome.error is not None:
        return str(outcome.error["code"])
    return "held" if outcome.verdict is Verdict.HELD else outcome.status
