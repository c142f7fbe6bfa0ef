"""``contracts diff``: which changes break producers, and which break consumers."""

import json
from collections.abc import Callable
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from contracts.contract import Registry
from contracts.registry import REGISTRY
from contracts.schemas.compatibility import Change, compare
from contracts.schemas.export import export
from contracts.schemas.exported import NotAnExport, read_export
from tests.support.command_line import headgate

Json = dict[str, Any]
Edit = Callable[[Json], None]


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export of two kinds that come in and one that is sent: what is compared, a schema at a time."""
    folder = tmp_path_factory.mktemp("old")
    kinds = {"session.event", "session.usage", "job.transitioned"}
    export(folder, Registry([contract for contract in REGISTRY.contracts() if contract.kind in kinds]), version="1.0.0")
    return folder


def edited(old: Path, folder: Path, contract: str, edit: Edit) -> Path:
    """A copy of an export with one schema changed."""
    new = copytree(old, folder / "new")
    file = new / f"{contract}.schema.json"
    schema = json.loads(file.read_text())
    edit(schema)
    file.write_text(json.dumps(schema))
    return new


def changes(old: Path, folder: Path, contract: str, edit: Edit) -> list[Change]:
    return compare(read_export(old), read_export(edited(old, folder, contract, edit)))


def prop(schema: Json, name: str) -> Json:
    found: Json = schema["properties"][name]
    return found


def definition(schema: Json, name: str) -> Json:
    found: Json = schema["$defs"][name]
    return found


def remove(name: str) -> Edit:
    def edit(schema: Json) -> None:
        del schema["properties"][name]
        schema["required"] = [each for each in schema.get("required", []) if each != name]

    return edit


def add(name: str, *, required: bool) -> Edit:
    def edit(schema: Json) -> None:
        schema["properties"][name] = {"type": "string"}
        if required:
            schema["required"].append(name)

    return edit


def setting(name: str, **keys: object) -> Edit:
    return lambda schema: prop(schema, name).update(keys)


def without(name: str, key: str) -> Edit:
    def edit(schema: Json) -> None:
        del prop(schema, name)[key]

    return edit


def optional(name: str) -> Edit:
    return lambda schema: schema["required"].remove(name)


def values(name: str, *wanted: str) -> Edit:
    return lambda schema: definition(schema, name).update(enum=list(wanted))


INCOMING, SENT = "session.event-1.0", "job.transitioned-1.0"
TYPES = ("started", "heartbeat", "message", "tool_call", "completed", "failed", "killed")


@pytest.mark.parametrize(
    ("contract", "edit", "breaks", "field", "what"),
    [
        (INCOMING, remove("text"), True, "text", "field removed"),
        (INCOMING, add("mood", required=True), True, "mood", "required field added"),
        (INCOMING, add("mood", required=False), False, "mood", "optional field added"),
        (INCOMING, lambda schema: schema["required"].append("model"), True, "model", "field became required"),
        (INCOMING, optional("session_id"), False, "session_id", "field became optional"),
        (INCOMING, setting("session_id", maxLength=20), True, "session_id", "maxLength 200 became 20"),
        (INCOMING, setting("session_id", maxLength=400), False, "session_id", "maxLength 200 became 400"),
        (INCOMING, setting("session_id", type="integer"), True, "session_id", "type string became integer"),
        (INCOMING, setting("session_id", pattern="[a-z]+"), True, "session_id", "pattern changed"),
        (INCOMING, values("SessionEventType", *TYPES[:-1]), True, "type", "value killed removed"),
        (INCOMING, values("SessionEventType", *TYPES, "paused"), False, "type", "value paused added"),
        (INCOMING, lambda schema: schema.update(additionalProperties=True), False, "", "unknown fields are taken now"),
        (INCOMING, lambda schema: prop(schema, "text")["anyOf"].pop(), True, "text", "type null removed"),
        (
            INCOMING,
            lambda schema: prop(schema, "text")["anyOf"].append({"type": "integer"}),
            False,
            "text",
            "type integer added",
        ),
        (SENT, setting("version", minimum=0), True, "version", "minimum 1 became 0"),
        (SENT, setting("version", type="number"), True, "version", "type integer widened to number"),
        (SENT, remove("to"), True, "to", "field removed"),
        (SENT, add("why", required=True), False, "why", "required field added"),
        (SENT, setting("version", type="string"), True, "version", "type integer became string"),
        (SENT, optional("to"), True, "to", "field became optional"),
    ],
)
def test_a_change_breaks_whom_it_should(
    old: Path, tmp_path: Path, contract: str, edit: Edit, breaks: bool, field: str, what: str
) -> None:
    found = changes(old, tmp_path, contract, edit)
    assert (breaks, contract, field, what) in {
        (change.breaking, change.contract, change.field, change.what) for change in found
    }
    assert any(change.breaking for change in found) is breaks


def test_each_side_is_told_of_its_own_contracts(old: Path, tmp_path: Path) -> None:
    (told,) = {str(change.audience) for change in changes(old, tmp_path / "1", INCOMING, remove("text"))}
    (other,) = {str(change.audience) for change in changes(old, tmp_path / "2", SENT, remove("to"))}
    assert (told, other) == ("producers", "consumers")


def test_a_version_that_is_removed_breaks_and_one_that_is_added_does_not(old: Path, tmp_path: Path) -> None:
    new = copytree(old, tmp_path / "new")
    (new / "session.usage-1.0.schema.json").unlink()
    gone = compare(read_export(old), read_export(new))
    come = compare(read_export(new), read_export(old))
    assert [(change.breaking, change.contract, change.what) for change in gone] == [
        (True, "session.usage-1.0", "removed")
    ]
    assert [(change.breaking, change.contract, change.what) for change in come] == [
        (False, "session.usage-1.0", "added")
    ]


def test_an_export_compared_with_itself_has_no_changes(old: Path) -> None:
    assert compare(read_export(old), read_export(old)) == []


def test_schemas_that_hold_themselves_are_compared_to_their_end(tmp_path: Path) -> None:
    """Any JSON value is made of JSON values: followed into the depth the comparison would not end in hours."""
    whole = Path(__file__).parents[3] / "docs" / "contracts"
    assert compare(read_export(whole), read_export(whole)) == []

    holding = "export.requested-1.0"
    found = changes(whole, tmp_path, holding, lambda schema: definition(schema, "JsonValue")["anyOf"].pop())
    assert {(change.contract, change.breaking, change.what) for change in found} == {
        (holding, False, "type null removed")
    }


def test_a_folder_that_is_no_export_is_told(tmp_path: Path) -> None:
    with pytest.raises(NotAnExport, match="no export of the contracts"):
        read_export(tmp_path)


@pytest.mark.process
def test_the_command_says_each_change_in_a_line_and_ends_with_1_where_one_breaks(old: Path, tmp_path: Path) -> None:
    broken = edited(old, tmp_path / "1", INCOMING, remove("text"))
    wider = edited(old, tmp_path / "2", INCOMING, add("mood", required=False))

    told = headgate("contracts", "diff", old, broken)
    assert told.code == 1
    assert "breaking   session.event-1.0 text: field removed (for producers)" in told.out.splitlines()
    harmless = headgate("contracts", "diff", "--json", old, wider)
    assert harmless.code == 0
    assert '"change": "compatible"' in harmless.out
    assert headgate("contracts", "diff", old, tmp_path / "nowhere").code == 4
