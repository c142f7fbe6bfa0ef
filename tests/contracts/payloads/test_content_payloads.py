"""Ideas and scripts: what is taken, what is refused and where, and the same by the exported schemas."""

import pytest
from jsonschema import Draft202012Validator

from contracts.payloads.ingest.content import ContentIdea, ContentScript, IdeaList
from contracts.registry import REGISTRY
from contracts.schemas.export import schema_of
from contracts.subjects import Family
from tests.contracts.samples import Json, accepted, envelope, idea, judge, script, where, without

PAYLOADS = {"content.idea": idea(), "content.script": script()}


def judged(kind: str, payload: Json) -> set[tuple[str, str]]:
    """Where and why the gate refuses *payload*; the schema is asked too, and says the same."""
    contract = REGISTRY.contract(kind)
    assert contract is not None
    answer = judge(envelope(payload, kind, "1.0"), kind)
    valid = Draft202012Validator(schema_of(contract.newest.model)).is_valid(payload)
    assert valid is (type(answer).__name__ == "Accepted"), payload
    return set() if valid else where(answer)


@pytest.mark.parametrize("kind", PAYLOADS)
def test_what_is_in_order_is_taken(kind: str) -> None:
    assert judged(kind, PAYLOADS[kind]) == set()


@pytest.mark.parametrize(("kind", "field"), [(kind, field) for kind, payload in PAYLOADS.items() for field in payload])
def test_every_field_is_needed(kind: str, field: str) -> None:
    assert judged(kind, without(PAYLOADS[kind], field)) == {(f"payload.{field}", "missing")}


@pytest.mark.parametrize("kind", PAYLOADS)
def test_unknown_fields_are_refused(kind: str) -> None:
    assert judged(kind, PAYLOADS[kind] | {"mood": "good"}) == {("payload.mood", "extra_forbidden")}


@pytest.mark.parametrize("wrong", ["", ".a", "a.", "a..b", "a b", "a\n", "a" * 201])
@pytest.mark.parametrize(
    ("kind", "field"), [("content.idea", "idea_id"), ("content.script", "script_id"), ("content.script", "idea_id")]
)
def test_ids_can_be_parts_of_subjects(kind: str, field: str, wrong: str) -> None:
    answer = judge(envelope(PAYLOADS[kind] | {field: wrong}, kind, "1.0"), kind)

    assert {path for path, _ in where(answer)} == {f"payload.{field}"}


def test_an_objective_is_one_of_four() -> None:
    for objective in ("reach", "saves", "shares", "watch_through"):
        assert judged("content.idea", idea(objective=objective)) == set()
    assert judged("content.idea", idea(objective="fame")) == {("payload.objective", "enum")}


@pytest.mark.parametrize("wrong", [-1, 2**53, 1.5, "30", True, None])
def test_durations_are_whole_seconds_from_0(wrong: Json) -> None:
    assert {path for path, _ in judged("content.script", script(duration_s=wrong))} == {"payload.duration_s"}
    scenes = [{"text": "A door", "duration_s": 0}, {"text": "A hall", "duration_s": wrong}]
    assert {path for path, _ in judged("content.script", script(scenes=scenes))} == {"payload.scenes.1.duration_s"}


def test_a_script_may_have_no_scenes_and_scenes_have_nothing_else_in_them() -> None:
    assert judged("content.script", script(scenes=[])) == set()
    assert judged("content.script", script(scenes=[{"text": "A door", "duration_s": 1, "image": "x"}])) == {
        ("payload.scenes.0.image", "extra_forbidden")
    }


def test_a_text_has_64_kib_and_no_null_character() -> None:
    assert judged("content.script", script(body="a" * 65_536)) == set()
    assert judged("content.script", script(body="a" * 65_537)) == {("payload.body", "text_too_long")}
    scenes = [{"text": "a\0b", "duration_s": 1}]
    answer = judge(envelope(script(scenes=scenes), "content.script", "1.0"), "content.script")
    assert where(answer) == {("payload.scenes.0.text", "null_character")}


def test_handlers_get_the_models() -> None:
    assert isinstance(accepted(judge(envelope(idea(), "content.idea", "1.0"), "content.idea")).payload, ContentIdea)
    taken = accepted(judge(envelope(script(), "content.script", "1.0"), "content.script")).payload
    assert isinstance(taken, ContentScript)
    assert [scene.duration_s for scene in taken.scenes] == [10, 20]


def test_lists_are_asked_for_from_one_moment_to_another() -> None:
    asked = IdeaList.model_validate({"from": "1970-01-01T00:00:01Z", "to": "1970-01-01T01:00:02+01:00"})

    assert (asked.since, asked.until, asked.limit) == (1_000_000, 2_000_000, 50)


@pytest.mark.parametrize("name", ["idea.get", "idea.list", "script.get", "script.list"])
def test_there_are_commands_to_read_them(name: str) -> None:
    assert REGISTRY.supported(name, Family.COMMAND) == ("1.0",)
