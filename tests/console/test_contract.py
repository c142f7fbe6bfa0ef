"""The console's list of commands and fields, held to the contract: a change breaks the build, not the operator."""

import re
from typing import Any, Final

import pytest

from contracts.errors import ErrorCode
from contracts.registry import REGISTRY
from contracts.schemas.asyncapi import asyncapi
from contracts.subjects import Subjects
from daemon.http.console_build import HERE
from domain.access import SCOPE_OF_COMMAND


def _commands() -> dict[str, tuple[str, set[str]]]:
    """Command -> family and fields, as link/commands.ts says."""
    source = (HERE / "link" / "commands.ts").read_text(encoding="utf-8")
    shared = set(re.findall(r'"(\w+)"', source.partition("LETTER_FILTERS = [")[2].partition("]")[0]))
    listed = source.partition("export const COMMANDS = {")[2].partition("} as const")[0]
    found: dict[str, tuple[str, set[str]]] = {}
    for name, family, fields in re.findall(r'"?([a-z][\w.-]*)"?: \{\s*family: "(\w+)",\s*fields: \[([^\]]*)\]', listed):
        found[name] = (family, set(re.findall(r'"(\w+)"', fields)) | (shared if "LETTER_FILTERS" in fields else set()))
    return found


COMMANDS: Final = _commands()


def test_the_list_is_read_whole() -> None:
    assert len(COMMANDS) >= 30
    assert "paths" in COMMANDS["replay-failed"][1]


@pytest.fixture(scope="module")
def described() -> dict[str, Any]:
    """What ``/asyncapi.json`` says."""
    return asyncapi(REGISTRY, Subjects("hg"), version="")


def _fields(described: dict[str, Any], message: str) -> set[str]:
    """The fields of a message's payload."""
    schemas = described["components"]["schemas"]

    def resolved(schema: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = schemas[schema["$ref"].rpartition("/")[2]] if "$ref" in schema else schema
        return found

    envelope = resolved(described["components"]["messages"][message]["payload"])
    return set(resolved(envelope["properties"]["payload"]).get("properties", {}))


@pytest.mark.parametrize("name", COMMANDS)
def test_each_command_and_field_that_the_console_uses_is_in_the_contract(name: str, described: dict[str, Any]) -> None:
    family, fields = COMMANDS[name]
    (channel,) = [each for each in described["channels"].values() if each["address"] == f"hg.{family}.{name}"]
    newest = list(channel["messages"])[-1]
    assert fields <= _fields(described, newest)
    assert name in SCOPE_OF_COMMAND or name == "about"


def test_the_console_says_of_every_error_what_to_do() -> None:
    source = (HERE / "model" / "errors.ts").read_text(encoding="utf-8")
    said = set(re.findall(r"^  ([A-Z_]+): ", source, re.MULTILINE))
    assert set(map(str, ErrorCode)) <= said
