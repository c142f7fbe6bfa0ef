"""Owners who give commands and workers who report, each straight to the handlers on a real database."""

import itertools
from collections.abc import Sequence
from typing import Any, Final

import orjson
from msgspec.structs import replace

from contracts.errors import ErrorCode
from contracts.gate.callback_checks import CallbackChecks
from contracts.gate.canonical import payload_hash
from contracts.gate.delivery import Delivery, Judged
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY
from contracts.subjects import Family
from contracts.values.principals import Principal, Scope
from handlers.batch import decide_batch
from handlers.commands.command import Command, Reply, answer
from handlers.commands.command_batch import Changes, ExecutedBatch, execute_commands
from handlers.effects import Context, MessageOutcome
from handlers.registry import CHANGES, FAMILIES, QUERIES
from storage.engine.database import Database
from tests.contracts.samples import TRACE, envelope
from tests.handlers.deciding import NOW, context, waiting
from tests.support.results import check_result

# What is asked and answered here is any JSON: its type would only get in the way.
Json = Any

EVERYTHING: Final = frozenset(Scope)
_ids = itertools.count(1)


def command(name: str, payload: Json, *, owner: str = "ada", message_id: str | None = None) -> Command:
    """A proven command, as the door would hand it on."""
    contract = REGISTRY.contract(name, Family.COMMAND)
    assert contract is not None, name
    return Command(
        name=name,
        message_id=message_id or f"command-{next(_ids)}",
        trace_id=TRACE,
        payload=contract.newest.model.model_validate(payload),
        payload_hash=payload_hash(payload),
        principal=Principal(owner, EVERYTHING),
    )


def checked(name: str, reply: Reply) -> Reply:
    """The reply, once its result is as the contract says."""
    if reply.problem is None:
        check_result(name, {"result": orjson.loads(orjson.dumps(reply.result))})
    return reply


def result(reply: Reply) -> Json:
    assert reply.problem is None, reply.problem
    return reply.result


def code(reply: Reply) -> ErrorCode:
    assert reply.problem is not None, reply.result
    return reply.problem.code


class House:
    """One daemon's handlers over *database*."""

    def __init__(self, database: Database, *, now: int = NOW, changes: Changes = CHANGES) -> None:
        self.database = database
        self.now = now
        self._changes = changes
        checks = CallbackChecks(None)
        self._gate = Gate(REGISTRY, GateRules(), finishes={Family.CALLBACK: checks.finish})
        self._sequences = itertools.count(1)

    def context(self) -> Context:
        return context(now=self.now)

    # -- commands

    async def execute_commands(self, commands: Sequence[Command]) -> ExecutedBatch:
        return await self.database.write(lambda uow: execute_commands(commands, uow, self.context(), self._changes))

    async def give(self, name: str, payload: Json, *, owner: str = "ada", message_id: str | None = None) -> Reply:
        """One changing command in a transaction of its own."""
        done = await self.execute_commands([command(name, payload, owner=owner, message_id=message_id)])
        return checked(name, done.replies[0])

    async def ask(self, name: str, payload: Json, *, owner: str = "ada") -> Reply:
        """One question."""
        asked = command(name, payload, owner=owner)
        reply = await self.database.read(lambda uow: answer(QUERIES[name], asked, uow, self.context()))
        return checked(name, reply)

    # -- workers

    def delivery(self, job_id: str, payload: Json, *, stored_at: int | None = None) -> Judged:
        """A ``job.status`` as the gate hands it on."""
        body = envelope(payload, "job.status", "1.0", message_id=payload["event_id"], producer="worker-1")
        return self.judged(f"callback.job.{job_id}", body, stored_at)

    def judged(self, subject: str, body: Json, stored_at: int | None = None) -> Judged:
        number = next(self._sequences)
        at = self.now if stored_at is None else stored_at
        return self._gate.judge(
            Delivery(subject, orjson.dumps(body), {}, "HG_CALLBACK", number, 1, at, f"$JS.ACK.{number}")
        )

    async def decide_batch(
        self, batch: Sequence[Judged], *, older_outstanding: bool = False
    ) -> Sequence[MessageOutcome]:
        """One batch of callbacks."""
        own = replace(self.context(), older_outstanding=older_outstanding)
        settled = await self.database.write(lambda uow: decide_batch(batch, uow, own, FAMILIES))
        return settled.outcomes

    async def report(self, job_id: str, sequence: int, status: str, **more: Json) -> MessageOutcome:
        """One callback in a batch of its own."""
        payload = report(sequence, status, **more)
        return (await self.decide_batch([self.delivery(job_id, payload)]))[0]

    # -- what went out

    async def told(self, lane: str) -> list[Json]:
        """The messages in line for *lane*: envelopes, or views of the status bucket."""
        return [orjson.loads(message.body) for message in await waiting(self.database, lane)]

    # -- on the way

    async def project(self, owner: str = "ada") -> str:
        made = await self.give("project.create", {"name": "A project"}, owner=owner)
        return str(result(made)["project_id"])

    async def job(self, *, owner: str = "ada", project_id: str | None = None, **more: Json) -> str:
        """A job that waits to be run."""
        within = project_id or await self.project(owner)
        made = await self.give(
            "job.create", {"project_id": within, "title": "A job", "prompt": "Say it", **more}, owner=owner
        )
        return str(result(made)["job_id"])

    async def running(self, **more: Json) -> str:
        job_id = await self.job(**more)
        result(await self.give("job.run", {"job_id": job_id}))
        return job_id

    async def drafted(self, blocks: Json = None) -> str:
        """A job that awaits approval: with transcript, storyboard and instruction."""
        job_id = await self.running()
        await self.report(job_id, 1, "TRANSCRIBING")
        await self.report(job_id, 2, "DRAFTING", artifacts={"transcript": SEGMENTS, "storyboard": SCENES})
        made = {"instruction": {"blocks": blocks or BLOCKS}}
        outcome = await self.report(job_id, 3, "AWAITING_APPROVAL", artifacts=made, cost_usd="0.25")
        assert outcome.error is None, outcome.error
        return job_id

    async def view(self, job_id: str, owner: str = "ada") -> Json:
        return result(await self.ask("job.get", {"job_id": job_id}, owner=owner))


def report(sequence: int, status: str, *, event_id: str | None = None, **more: Json) -> Json:
    """The payload of a ``job.status``."""
    return {"event_id": event_id or f"event-{next(_ids)}", "sequence": sequence, "status": status, **more}


SEGMENTS: Final = [
    {"start_ms": 0, "end_ms": 900, "text": "One."},
    {"start_ms": 900, "end_ms": 1_800, "text": "Two."},
    {"start_ms": 1_800, "end_ms": 2_500, "text": "Three."},
]
SCENES: Final = [{"scene": 1, "text": "A door", "duration_s": 2.5}, {"scene": 2, "text": "A room", "duration_s": 4}]
BLOCKS: Final = [
    {"block_id": "b1", "type": "heading", "text": "How to"},
    {"block_id": "b2", "type": "step", "text": "Open the door"},
]
