"""The two steps of a command's proof: what is told before its caller is known, and what only after."""

from datetime import date
from typing import Final

import orjson
import pytest

from contracts.errors import ErrorCode, Problem
from contracts.gate.canonical import payload_hash
from contracts.gate.commands import OpenedCommand, open_command, prove_command
from contracts.gate.delivery import Accepted, Delivery
from contracts.gate.rules import GateRules, Mode
from contracts.registry import REGISTRY
from contracts.subjects import Family
from tests.contracts.samples import STORED_AT, TRACE, Json
from tests.support.commands import command

STRICT: Final = GateRules()
COMPAT: Final = GateRules(mode=Mode.COMPAT)
NAME: Final[Json] = {"name": "Spring"}


def opened(
    value: Json, *, kind: str = "project.create", rules: GateRules = STRICT, headers: dict[str, str] | None = None
) -> OpenedCommand | Problem:
    contract = REGISTRY.contract(kind, Family.COMMAND)
    assert contract is not None
    delivery = Delivery(f"cmd.{kind}", orjson.dumps(value), headers or {}, "", 0, 1, STORED_AT, "")
    return open_command(delivery, contract, rules)


def where(why: OpenedCommand | Problem) -> list[tuple[str, str]]:
    assert isinstance(why, Problem)
    return [(detail.path, detail.code) for detail in why.details]


def proven(value: Json, *, rules: GateRules = STRICT, headers: dict[str, str] | None = None) -> Accepted:
    command = opened(value, rules=rules, headers=headers)
    assert isinstance(command, OpenedCommand)
    accepted = prove_command(command, rules)
    assert isinstance(accepted, Accepted)
    return accepted


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": "project.get"}, ("kind", "literal_error")),
        ({"kind": 7}, ("kind", "string_type")),
        ({"message_id": "two words"}, ("message_id", "string_pattern_mismatch")),
        ({"producer": "a\0b"}, ("producer", "null_character")),
        ({"else": 1}, ("else", "extra_forbidden")),
        ({"e\0se": 1}, ("e\\x00se", "null_character")),
    ],
)
def test_what_is_wrong_with_the_envelope_is_told_before_anybody_asks_who_calls(
    changes: Json, expected: tuple[str, str]
) -> None:
    why = opened(command("project.create", NAME, **changes))
    assert where(why) == [expected]
    assert isinstance(why, Problem)
    assert why.trace_id == TRACE


def test_a_schema_that_the_kind_lacks_is_told_before_anybody_asks_who_calls() -> None:
    why = opened(command("project.create", NAME, schema_version="1.7"))
    assert isinstance(why, Problem)
    assert (why.code, why.trace_id) == (ErrorCode.UNSUPPORTED_CONTRACT_VERSION, TRACE)
    assert [dict(detail.extra) for detail in why.details] == [{"supported": ["1.0"]}]


@pytest.mark.parametrize("payload", [{"name": 1}, {}, {"name": "a\0b"}, {**NAME, "k\0y": 1}])
def test_nothing_of_the_payload_is_told_before_the_caller_is_known(payload: Json) -> None:
    found = opened(command("project.create", payload))
    assert isinstance(found, OpenedCommand)
    assert isinstance(prove_command(found, STRICT), Problem)


def version_1(**changes: Json) -> dict[str, Json]:
    whole = command("project.create", NAME, envelope_version=1, **changes)
    return {name: value for name, value in whole.items() if name not in {"kind", "message_id", "producer"}}


def test_a_version_1_command_has_its_key_from_the_header_or_from_its_payload() -> None:
    assert proven(version_1(), headers={"Nats-Msg-Id": "mine:1"}).message_id == "mine:1"
    assert proven(version_1()).message_id == f"sha256:{payload_hash(NAME)}"


def test_a_header_that_is_no_message_id_is_told_before_anybody_asks_who_calls() -> None:
    why = opened(version_1(), headers={"Nats-Msg-Id": "two words"})
    assert where(why) == [("headers.Nats-Msg-Id", "message_id")]


def test_compat_mode_reads_a_command_without_a_version_as_version_1() -> None:
    whole = version_1()
    del whole["envelope_version"]
    accepted = proven(whole, rules=COMPAT)
    assert (accepted.envelope_version, accepted.adapted, accepted.trace_id) == (1, True, TRACE)
    assert accepted.message_id == f"sha256:{payload_hash(NAME)}"


def test_compat_mode_takes_a_bare_payload_as_a_command() -> None:
    accepted = proven(NAME, rules=COMPAT)
    assert (accepted.adapted, accepted.producer, accepted.message_id) == (
        True,
        "unknown",
        f"sha256:{payload_hash(NAME)}",
    )


def test_after_its_last_day_compat_mode_adapts_no_command() -> None:
    over = GateRules(mode=Mode.COMPAT, compat_until=date(2026, 11, 19))
    for value in (NAME, {name: value for name, value in version_1().items() if name != "envelope_version"}):
        assert where(opened(value, rules=over)) == [("envelope_version", "missing")]
