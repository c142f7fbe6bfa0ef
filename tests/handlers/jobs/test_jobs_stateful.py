"""Commands, callbacks, healing and the relay in any order, on a real database, beside a plain model of the contract.

After every transaction everything that is stored is compared with the model, so that rows that should not be there are
found as well as those that are missing. Some rules are short stories, for chance alone seldom tells them.
"""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from functools import partial
from typing import Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from storage.engine.database import Database
from tests.handlers.jobs.job_driver import JobsDriver
from tests.handlers.jobs.job_model import SECOND, Json
from tests.handlers.jobs.job_words import (
    ANY_JOB,
    ATTEMPTS,
    BLOCKS,
    FIRST_DRAFTS,
    MORE,
    NAMES,
    OFTEN,
    ORDERS,
    ORDERS_AGAIN,
    SELDOM,
    TWISTS,
    WORDS,
    EarlierWords,
    NextWords,
    Order,
    OrderAgain,
    Redelivery,
    Words,
)
from tests.support import databases

EXAMPLES: Final = {"sqlite": (40, 20), "postgresql": (12, 15)}
"""How many stories, and of how many steps: the same ones again on PostgreSQL would take too long."""

REPEATED: Final = {
    "no": [],
    "same": [OrderAgain(-1, changed=False)],
    "changed": [OrderAgain(-1, changed=True)],
}


class JobsMachine(RuleBasedStateMachine):
    """Some jobs of one owner, and all that may happen to them."""

    def __init__(self, loop: asyncio.Runner, database: Database) -> None:
        super().__init__()
        self.driver = JobsDriver(loop, database)
        self.give, self.report = self.driver.give, self.driver.report

    @initialize(ways=st.lists(st.tuples(st.integers(0, 8), st.booleans(), FIRST_DRAFTS), min_size=1, max_size=3))
    def begin_some_way_along(self, ways: list[tuple[int, bool, Json]]) -> None:
        """Chance alone seldom comes far: begin anywhere on the straight way."""
        for number, (steps, prompt, made) in enumerate(ways):
            self.give([Order("job.create", choice=prompt)])
            for _ in range(steps):
                if self.driver.jobs[number].work is not None:
                    self.report([NextWords(number, {"artifacts": made})])
                else:
                    self.give([self.driver.sensible(number)])

    # -- what an owner asks

    @rule(orders=st.lists(ORDERS | ORDERS_AGAIN, min_size=1, max_size=4))
    def owners_ask(self, orders: list[Order | OrderAgain]) -> None:
        self.give(orders)

    @rule(job=ANY_JOB, hasty=st.booleans(), twice=st.booleans(), repeated=st.sampled_from(sorted(REPEATED)))
    def an_owner_goes_on(self, job: int, *, hasty: bool, twice: bool, repeated: str) -> None:
        """The next command; before it perhaps one that comes too early, after it perhaps the same."""
        order = self.driver.sensible(job)
        early = [Order("job.render", job)] if hasty and order.name == "job.approve" else []
        self.give([*early, order, *REPEATED[repeated], *[order] * twice])

    @rule(job=ANY_JOB, more=MORE, between=st.sampled_from([*NAMES, "job.cancel"]), times=st.integers(1, 2), fails=OFTEN)
    def an_owner_tries_again(self, job: int, more: Json, between: str, times: int, *, fails: bool) -> None:
        """A failed job is retried, and again while something is asked of the one that was made of it."""
        if fails:
            self.report([NextWords(job, more, fails=True)])
        self.give([Order("job.retry", job)])
        made = [at for at, each in enumerate(self.driver.jobs) if each is self.driver.job(job).retried]
        self.give([*(Order(between, at) for at in made), *[Order("job.retry", job)] * times])

    @rule(job=ANY_JOB, draft=st.sampled_from(BLOCKS), times=st.integers(1, 2), again=st.booleans())
    def a_draft_comes_after_the_approval(self, job: int, draft: Json, times: int, *, again: bool) -> None:
        """What is rendered is the newest version, and only what was approved."""
        approve, render = Order("job.approve", job), Order("job.render", job)
        self.give([approve])
        self.report([NextWords(job, {"artifacts": {"instruction": {"blocks": draft}}}, stays=True)] * times)
        self.give([render, approve, render] if again else [render])

    @rule(which=ANY_JOB, how=st.sampled_from(["never sent", "sent", "sent late"]), sure=SELDOM)
    def an_owner_cancels(self, which: int, how: str, *, sure: bool) -> None:
        """Its work may be on its way, and arrive only when another daemon has looked for it in vain."""
        at_work = [at for at, job in enumerate(self.driver.jobs) if job.work is not None]
        if how != "never sent":
            self.driver.send_work(arrives=how == "sent")
        if at_work or sure:
            self.give([Order("job.cancel", at_work[which % len(at_work)] if at_work else which)])
        self.driver.take_out_superseded()
        self.driver.hear_of_work()

    # -- what workers report

    @rule(words=st.lists(WORDS, min_size=1, max_size=5), older=st.booleans())
    def workers_report(self, words: list[Words], *, older: bool) -> None:
        self.report(words, older=older)

    @rule(
        job=ANY_JOB,
        more=st.lists(st.tuples(MORE, SELDOM), min_size=1, max_size=3),
        attempt=ATTEMPTS,
        older=st.booleans(),
        after_s=st.sampled_from([0, 0, 30]),
    )
    def a_worker_goes_on(
        self, job: int, more: list[tuple[Json, bool]], attempt: int | None, after_s: int, *, older: bool
    ) -> None:
        self.time_passes(after_s)
        self.report([NextWords(job, each, attempt, stays=stays) for each, stays in more], older=older)

    @rule(
        job=ANY_JOB,
        more=MORE,
        twists=st.lists(st.sampled_from(TWISTS), min_size=1, max_size=4),
        together=st.booleans(),
    )
    def an_event_comes_again(self, job: int, more: Json, twists: list[str], *, together: bool) -> None:
        """In the batch of the first one or later, and then the last of them once more from the stream."""
        words: list[Words] = [NextWords(job, more, stays=True), *(EarlierWords(-1, twist) for twist in twists)]
        for batch in [words] if together else [words[:1], words[1:]]:
            self.report(batch)
        self.report([Redelivery(-1, held=False)])

    @rule(job=ANY_JOB, more=MORE, together=st.booleans(), older=OFTEN)
    def reports_come_turned_round(self, job: int, more: Json, *, together: bool, older: bool) -> None:
        """The later one waits for the earlier one, where it may, and comes again; else it stays refused."""
        later, earlier = NextWords(job, more, ahead=True), NextWords(job, {})
        for batch in [[later, earlier]] if together else [[later], [earlier]]:
            self.report(batch, older=older)
        self.report([Redelivery(-2, held=False)], older=older)

    # -- what happens besides

    @rule(seconds=st.sampled_from([1, 5, 30, 700, 700]))
    def time_passes(self, seconds: int) -> None:
        self.driver.house.now += seconds * SECOND

    @rule(rounds=st.sampled_from([1, 1, 1, 3]), answered=st.booleans())
    def workers_are_silent(self, rounds: int, *, answered: bool) -> None:
        """Work goes out again, and where nobody does it, it is given up; a message may be overtaken on its way."""
        for _ in range(rounds):
            self.driver.send_work()
            if answered:
                self.driver.hear_of_work()
            self.time_passes(700)
            self.driver.heal(everyone=not answered)
            self.driver.hear_of_work()

    @rule(everyone=st.booleans())
    def healing_goes_round(self, *, everyone: bool) -> None:
        self.driver.heal(everyone=everyone)

    @rule(job=ANY_JOB)
    def an_export_succeeds(self, job: int) -> None:
        self.driver.export(job)

    @rule()
    def the_relay_sends_work(self) -> None:
        self.driver.send_work()

    @precondition(lambda self: self.driver.on_the_way)
    @rule()
    def the_stream_answers(self) -> None:
        self.driver.hear_of_work()

    @rule()
    def the_relay_catches_up(self) -> None:
        self.driver.catch_up()


@contextmanager
def opened(url: str) -> Iterator[tuple[asyncio.Runner, Database]]:
    """The database, and the loop in which it is used from outside of any."""
    with asyncio.Runner() as loop:
        stack = AsyncExitStack()
        try:
            yield loop, loop.run(stack.enter_async_context(databases.opened(url)))
        finally:
            loop.run(stack.aclose())


@pytest.mark.slow
@pytest.mark.timeout(900)  # what fails is made small first, and that takes its time
def test_whatever_happens_to_jobs_everything_stored_is_as_the_contract_says(database_url: str, dialect: str) -> None:
    examples, steps = EXAMPLES[dialect]
    with opened(database_url) as (loop, database):
        run_state_machine_as_test(
            partial(JobsMachine, loop, database),  # type: ignore[arg-type]  # whatever makes a machine will do
            settings=settings(
                max_examples=examples,
                stateful_step_count=steps,
                suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
            ),
        )
