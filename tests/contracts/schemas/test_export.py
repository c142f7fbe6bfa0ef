"""The exported documents say what the gate does."""

from pathlib import Path
from typing import Final

import orjson
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from pydantic import ValidationError

from contracts.registry import REGISTRY
from contracts.schemas.export import export, schema_of
from contracts.subjects import Family
from daemon.version import VERSION
from tests.contracts.samples import Json, envelope, envelope_1, event, usage, usage_1, without

COMMITTED: Final = Path(__file__).parents[3] / "docs" / "contracts"


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("contracts") / "made"
    export(directory, version=VERSION)
    return directory


@pytest.fixture(scope="module")
def asyncapi(exported: Path) -> Json:
    return yaml.load((exported / "asyncapi.yaml").read_text(), Loader=yaml.CSafeLoader)


def test_there_is_a_schema_for_every_kind_and_version_and_both_envelopes(exported: Path) -> None:
    names = {path.name for path in exported.iterdir()}

    assert names >= {
        "asyncapi.yaml",
        "envelope-1.schema.json",
        "envelope-2.schema.json",
        "session.event-1.0.schema.json",
        "session.usage-1.0.schema.json",
        "session.usage-2.0.schema.json",
    }
    versions = sum(len(contract.versions) for contract in REGISTRY.contracts())
    asked = [each for each in REGISTRY.contracts() if each.family in (Family.COMMAND, Family.OPS)]
    results = {f"{each.kind}-1.0.result.schema.json" for each in asked}
    assert {"anchor.replace-1.0.result.schema.json", "kpi-report-1.0.result.schema.json"} <= results <= names
    assert len(names) == versions + len(results) + 3


def test_every_command_has_the_shape_of_its_own_answer(asyncapi: Json) -> None:
    """The plain reply, whose result is any JSON, says nothing."""
    plain = {"$ref": "#/channels/reply/messages/reply-1.0"}
    replies = {name: each["reply"]["messages"] for name, each in asyncapi["operations"].items() if "reply" in each}
    assert replies
    assert [name for name, messages in replies.items() if plain in messages] == []


def test_every_schema_is_json_schema_2020_12(exported: Path) -> None:
    for path in exported.glob("*.schema.json"):
        schema = orjson.loads(path.read_bytes())
        assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
        Draft202012Validator.check_schema(schema)


def test_the_committed_contracts_are_those_of_the_program(exported: Path) -> None:
    """To the letter, whichever process wrote them. Where this fails, the contract changed: see what ``headgate
    contracts diff`` says, then ``make contracts``."""
    made = {path.name: path.read_bytes() for path in exported.iterdir()}
    there = {path.name: path.read_bytes() for path in COMMITTED.iterdir() if path.name != "README.md"}
    assert sorted(made.keys() ^ there.keys()) == []
    assert [name for name in made if made[name] != there[name]] == []


def agree(kind: str, version: str, payload: Json) -> bool:
    """What model and schema both say of a payload; fails where they differ."""
    contract = REGISTRY.contract(kind)
    assert contract is not None
    model = contract.schemas[version].schema.model
    try:
        model.model_validate(payload)
        valid = True
    except ValidationError:
        valid = False
    assert Draft202012Validator(schema_of(model)).is_valid(payload) is valid, payload
    return valid


SOURCES: Final = ("provider_reported", "derived", "missing", "guessed")
figure: Final = st.fixed_dictionaries(
    {"source": st.sampled_from(SOURCES), "confidence": st.sampled_from(["high", "unknown", "sure"])}
)
spoilt: Final[st.SearchStrategy[Json]] = st.sampled_from(
    ["", "x", "a..b", "a" * 300, -1, 2**53, 0.5, "0.5", None, True, [], {}, "2026-11-20T10:15:30Z"]
)


@given(st.data())
def test_schema_and_model_agree_on_usage_2_0(data: st.DataObject) -> None:
    payload = usage()
    for field in data.draw(st.lists(st.sampled_from(sorted(payload)), max_size=3)):
        payload[field] = data.draw(spoilt)
    for field in data.draw(st.lists(st.sampled_from(sorted(payload)), max_size=3)):
        payload.pop(field, None)
    if "provenance" in payload and data.draw(st.booleans()):
        payload["provenance"] = {part: data.draw(figure) for part in ("tokens", "runtime", "cost")}

    agree("session.usage", "2.0", payload)


@given(st.data())
def test_schema_and_model_agree_on_the_other_session_payloads(data: st.DataObject) -> None:
    kind, version, payload = data.draw(
        st.sampled_from([("session.usage", "1.0", usage_1()), ("session.event", "1.0", event())])
    )
    field = data.draw(st.sampled_from(sorted(payload)))

    changed = data.draw(
        st.sampled_from([without(payload, field), payload | {field: data.draw(spoilt)}, payload | {"x": 1}])
    )

    agree(kind, version, changed)


def test_what_is_in_order_is_in_order_by_its_schema_too() -> None:
    missing = {"source": "missing", "confidence": "unknown"}
    nothing = usage(
        input_tokens=None,
        output_tokens=None,
        runtime_ms=None,
        cost_usd=None,
        provenance=dict.fromkeys(["tokens", "runtime", "cost"], missing),
    )

    assert agree("session.usage", "2.0", usage())
    assert agree("session.usage", "2.0", without(nothing, "pricing_version"))
    assert agree("session.usage", "1.0", usage_1())
    assert agree("session.event", "1.0", event())
    assert not agree("session.usage", "2.0", without(usage(), "pricing_version"))


def test_the_envelope_schemas_take_envelopes(exported: Path) -> None:
    def valid(version: int, message: Json) -> bool:
        schema = orjson.loads((exported / f"envelope-{version}.schema.json").read_bytes())
        return Draft202012Validator(schema).is_valid(message)

    assert valid(2, envelope(usage()))
    assert valid(1, envelope_1(usage_1()))
    assert not valid(1, envelope(usage()))
    assert not valid(2, envelope(usage(), created_at="2026-11-20T10:15:30"))
    assert not valid(2, envelope(usage(), producer="a\u2028b"))


def test_asyncapi_has_a_channel_for_every_subject(asyncapi: Json) -> None:
    addresses = {channel["address"] for channel in asyncapi["channels"].values()}

    assert asyncapi["asyncapi"].startswith("3.")
    assert addresses >= {
        "hg.ingest.session.event",
        "hg.ingest.session.usage",
        "hg.cmd.ledger.get",
        "hg.ops.health-check",
        "hg.dead.{subject}",
        "hg.replay.{subject}",
        "hg.control.{agent}",
    }
    tokens = {address.split(".")[1] for address in addresses if address}
    assert tokens == {
        "ingest",
        "callback",
        "replay",
        "work",
        "event",
        "dead",
        "cmd",
        "ops",
        "control",
        "pulse",
        "notify",
    }


def test_asyncapi_says_what_is_received_what_is_sent_and_where_answers_go(asyncapi: Json) -> None:
    operations = asyncapi["operations"]

    assert operations["receive-ingest.session.usage"]["reply"]["address"]["location"] == (
        "$message.header#/Headgate-Receipt"
    )
    assert operations["receive-cmd.ledger.get"]["reply"]["channel"] == {"$ref": "#/channels/reply"}
    assert operations["send-dead.dead_letter"]["action"] == "send"


def test_every_reference_in_asyncapi_leads_somewhere(asyncapi: Json) -> None:
    def references(value: Json) -> list[str]:
        if isinstance(value, dict):
            own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
            return own + [found for item in value.values() for found in references(item)]
        return [found for item in value for found in references(item)] if isinstance(value, list) else []

    for reference in references(asyncapi):
        place = asyncapi
        for step in reference.removeprefix("#/").split("/"):
            assert step in place, reference
            place = place[step]
