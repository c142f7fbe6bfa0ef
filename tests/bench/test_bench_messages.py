"""The load is what it says: real envelopes, distinct, and the same for every contender."""

import orjson

from bench.setting.messages import Form, Load
from contracts.gate.delivery import Accepted, Delivery
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.registry import REGISTRY


def test_every_message_passes_the_gate() -> None:
    gate = Gate(REGISTRY, GateRules())
    judged = [
        gate.judge(Delivery("ingest.session.usage", body, {}, "HG_INGEST", number, 1, 0, "ack"))
        for number, body in enumerate(Load.of(2_000).bodies(), 1)
    ]
    assert all(isinstance(one, Accepted) for one in judged)


def test_ids_are_distinct_and_rise_for_each_producer() -> None:
    ids = [orjson.loads(body)["message_id"] for body in Load.of(4_000).bodies()]
    assert len(set(ids)) == 4_000
    for producer in {one.partition(":")[0] for one in ids}:
        own = [one for one in ids if one.startswith(f"{producer}:")]
        assert own == sorted(own)


def test_a_load_goes_on_where_another_ends() -> None:
    whole = Load.of(1_000)
    parts = [Load(333, 0, whole.day), Load(667, 333, whole.day)]
    assert [body for part in parts for body in part.bodies()] == list(whole.bodies())


def test_both_forms_say_the_same() -> None:
    compact, blanks = (list(Load.of(200, form=form).bodies()) for form in Form)

    assert [orjson.loads(body) for body in blanks] == [orjson.loads(body) for body in compact]
    assert all(b'": ' in body and b", " in body for body in blanks)
    assert not any(b'": ' in body for body in compact)
