"""What a family's handler answers, and what the gate makes of it for each delivery."""

from collections.abc import Sequence

from contracts.errors import ErrorCode, problem
from contracts.gate.delivery import Accepted, Judged
from handlers.effects import Context, Effects, Fact, FactName, Families, Verdict
from handlers.ledger.sessions import take_sessions
from storage.engine.database import Database
from storage.journal.outbox import OutboxMessage
from storage.unit_of_work import UnitOfWork
from tests.contracts.samples import Json, envelope, event, event_envelope, usage
from tests.handlers.deciding import Stream, keys, letters, outcomes, settled, waiting

FORBIDDEN = problem(ErrorCode.INVALID_STATE, "not now")


class Choosy:
    """A handler that refuses the model ``refuse``, holds the model ``hold`` and knows the model ``known``."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []

    def __call__(self, group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:  # noqa: ARG002 - a handler's shape
        self.groups.append([accepted.message_id for accepted in group])
        effects = Effects(facts=[Fact(FactName.COST_USD)])
        for at, accepted in enumerate(group):
            match getattr(accepted.payload, "model", None):
                case "refuse":
                    effects.refused[at] = FORBIDDEN
                case "hold":
                    effects.held[at] = 1.5
                case "known":
                    effects.repeated.add(at)
                case _:
                    effects.outbox.append(OutboxMessage(accepted.message_id, "HG_EVENT", "a", "hg.event.a.b.c", b"{}"))
        return effects

    @property
    def families(self) -> Families:
        return {"session.usage": self, "session.event": self}


def body(message_id: str, model: str = "taken") -> Json:
    return envelope(usage(model=model), message_id=message_id)


async def test_kinds_of_one_handler_reach_it_as_one_group_in_the_order_of_delivery(database: Database) -> None:
    stream, choosy = Stream(), Choosy()
    batch = [
        stream.deliver(body("z")),
        stream.deliver(event_envelope(event(), message_id="m"), "session.event"),
        stream.deliver(b"{"),
        stream.deliver(body("a")),
    ]

    answer = await settled(database, batch, choosy.families)

    assert choosy.groups == [["z", "m", "a"]]
    assert [message.message_id for message in await waiting(database, "HG_EVENT")] == ["z", "m", "a"]
    assert answer.lanes == {"HG_EVENT", "HG_DEAD"}
    assert [fact.name for fact in answer.facts] == ["cost_usd"]


async def test_each_delivery_gets_what_the_handler_said_of_it(database: Database) -> None:
    stream, choosy = Stream(), Choosy()
    batch = [stream.deliver(body(model, model)) for model in ("taken", "refuse", "hold", "known")]

    taken, refused, held, known = await outcomes(database, batch, choosy.families)

    assert (taken.verdict, known.verdict, held.verdict, held.hold_s) == (
        Verdict.ACCEPTED,
        Verdict.DUPLICATE,
        Verdict.HELD,
        1.5,
    )
    assert refused.error is not None
    assert (refused.verdict, refused.error["code"]) == (Verdict.REFUSED, "INVALID_STATE")
    assert [row["message_id"] for row in await letters(database)] == ["refuse"]


async def test_what_a_handler_refuses_or_holds_keeps_its_key(database: Database) -> None:
    stream, choosy = Stream(), Choosy()
    await settled(
        database, [stream.deliver(body(model, model)) for model in ("refuse", "hold", "taken")], choosy.families
    )

    again = await outcomes(database, [stream.deliver(body("refuse")), stream.deliver(body("hold"))], choosy.families)

    assert [outcome.verdict for outcome in again] == [Verdict.ACCEPTED, Verdict.ACCEPTED]
    assert await keys(database) == {("session.usage", name) for name in ("refuse", "hold", "taken")}


async def test_behind_a_refused_one_the_same_is_refused_too_and_another_has_its_own_chance(database: Database) -> None:
    stream, choosy = Stream(), Choosy()
    batch = [stream.deliver(body("a", "refuse")), stream.deliver(body("a", "refuse")), stream.deliver(body("a"))]

    got = await outcomes(database, batch, choosy.families)
    later = await outcomes(database, [stream.again(batch[2])], choosy.families)

    assert [outcome.verdict for outcome in got] == [Verdict.REFUSED, Verdict.REFUSED, Verdict.HELD]
    assert later[0].verdict is Verdict.ACCEPTED
    assert len(await letters(database)) == 2


async def test_a_failing_message_alone_spares_the_others_when_the_batch_is_halved(database: Database) -> None:
    """What intake does with a batch that fails, on this level: parts of it are settled by themselves."""
    stream = Stream()

    def allergic(group: Sequence[Accepted], uow: UnitOfWork, context: Context) -> Effects:
        if any(accepted.message_id == "poison" for accepted in group):
            raise ValueError("poison")
        return take_sessions(group, uow, context)

    batch: list[Judged] = [stream.deliver(body(name)) for name in ("a", "poison", "b")]
    for judged in (batch[0], batch[2]):
        [outcome] = await outcomes(database, [judged], {"session.usage": allergic})
        assert outcome.verdict is Verdict.ACCEPTED
    assert await keys(database) == {("session.usage", "a"), ("session.usage", "b")}
