"""A new kind is a payload model and a line: gate, schemas and AsyncAPI follow by themselves."""

from typing import Final

import orjson
import pytest

from contracts.contract import Registry, Schema, adapted, contract
from contracts.gate.gate import Gate
from contracts.gate.rules import GateRules
from contracts.payloads.base import Payload
from contracts.registry import REGISTRY
from contracts.schemas.asyncapi import asyncapi
from contracts.schemas.export import documents
from contracts.subjects import Family, Subjects
from contracts.values.types import Count, Identifier
from tests.contracts.samples import accepted, delivery, envelope, where


class Note1(Payload):
    note: Identifier


class Note2(Payload):
    note_id: Identifier
    stars: Count


def note_from_1(old: Note1) -> Note2:
    return Note2(note_id=old.note, stars=0)


NOTES: Final = contract(Family.INGEST, "note.made", adapted("1.0", Note1, note_from_1), Schema("2.0", Note2))
PROGRESS: Final = contract(Family.CALLBACK, "note.status", Schema("1.0", Note1), address="callback.note.{note_id}")
GROWN: Final = Registry([*REGISTRY.contracts(), NOTES, PROGRESS])


def test_an_older_schema_reaches_the_handlers_as_the_newest() -> None:
    judged = Gate(GROWN, GateRules()).judge(delivery(envelope({"note": "n1"}, "note.made", "1.0"), "ingest.note.made"))

    assert accepted(judged).payload == Note2(note_id="n1", stars=0)
    assert accepted(judged).schema_version == "1.0"


def test_a_callback_s_kind_is_named_by_its_family_whatever_the_id() -> None:
    gate = Gate(GROWN, GateRules())
    message = envelope({"note": "n1"}, "note.status", "1.0")

    assert accepted(gate.judge(delivery(message, "callback.note.a.b"))).kind == "note.status"
    assert where(gate.judge(delivery(message, "callback.other.a"))) == {("kind", "unknown_kind")}
    assert where(gate.judge(delivery(message, "callback.note"))) == {("kind", "unknown_kind")}


def test_commands_and_answers_do_not_come_in_by_a_stream() -> None:
    for subject in ("cmd.ledger.get", "ingest.ledger.get", "ops.health-check", "dead.x", "receipt", "ingest.receipt"):
        assert GROWN.addressed(subject) is None


def test_supported_versions_are_told_oldest_first() -> None:
    assert GROWN.supported("note.made") == ("1.0", "2.0")
    assert GROWN.supported("no.such") == ()
    assert GROWN.supported("ledger.get", Family.COMMAND) == ("1.0",)


def test_a_new_kind_is_documented_by_itself() -> None:
    files = dict(documents(GROWN, "acme", "0.1.0"))
    channels = orjson.loads(orjson.dumps(asyncapi(GROWN, Subjects("acme"), version="0.1.0")))["channels"]

    assert {"note.made-1.0.schema.json", "note.made-2.0.schema.json", "note.status-1.0.schema.json"} <= files.keys()
    assert channels["ingest.note.made"]["address"] == "acme.ingest.note.made"
    assert channels["callback.note.status"]["address"] == "acme.callback.note.{note_id}"
    assert "callback" not in channels


def test_one_kind_in_two_families_has_two_files() -> None:
    twice = Registry([contract(family, "note.made", Schema("1.0", Note1)) for family in (Family.COMMAND, Family.WORK)])

    assert {"note.made-1.0.schema.json", "work.note.made-1.0.schema.json"} <= dict(
        documents(twice, "hg", "0.1.0")
    ).keys()


def test_an_older_schema_without_an_adapter_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="adapter"):
        contract(Family.INGEST, "note.made", Schema("1.0", Note1), Schema("2.0", Note2))


def test_a_kind_declared_twice_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="twice"):
        Registry([NOTES, NOTES])
