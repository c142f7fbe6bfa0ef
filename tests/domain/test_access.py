"""Which scope each command needs, and what a principal without it is told."""

import pytest

from contracts.errors import ErrorCode
from contracts.values.principals import LOCAL, Principal, Scope
from domain.access import NOT_FOUND, SCOPE_OF_COMMAND, WRITING_ACTIONS, may, may_ingest, required_scope

OWNED = {"project", "job", "task", "instruction", "screenshot", "anchor", "asset", "export"}


@pytest.mark.parametrize("command", sorted(SCOPE_OF_COMMAND))
def test_what_is_an_owners_needs_jobs_scopes_and_all_else_ops_scopes(command: str) -> None:
    noun, dot, _ = command.partition(".")
    owned = bool(dot) and noun in OWNED
    assert SCOPE_OF_COMMAND[command] in (
        {Scope.JOBS_READ, Scope.JOBS_WRITE} if owned else {Scope.OPS_READ, Scope.OPS_WRITE}
    )


@pytest.mark.parametrize(
    "command", sorted(command for command in SCOPE_OF_COMMAND if command.endswith((".get", ".list")))
)
def test_getting_and_listing_is_reading(command: str) -> None:
    assert SCOPE_OF_COMMAND[command] in {Scope.JOBS_READ, Scope.OPS_READ}


@pytest.mark.parametrize(
    "command",
    [
        "replay-failed",
        "replay-abort",
        "self-heal",
        "import-legacy",
        "control",
        "prune",
        "backup",
        "publication.cancel",
    ],
)
def test_operations_that_change_something_need_ops_write(command: str) -> None:
    assert required_scope(command) is Scope.OPS_WRITE


@pytest.mark.parametrize(
    "command", ["health-check", "replay-status", "explain", "kpi-report", "runs", "system-status", "logs"]
)
def test_operations_that_tell_something_need_ops_read(command: str) -> None:
    assert required_scope(command) is Scope.OPS_READ


@pytest.mark.parametrize(
    ("command", "action"),
    [(command, action) for command, actions in WRITING_ACTIONS.items() for action in sorted(actions)],
)
def test_an_action_that_writes_makes_its_command_a_writing_one(command: str, action: str) -> None:
    assert required_scope(command, action) is Scope.OPS_WRITE
    for harmless in ("list", None, 7, ["discard"], {"a": 1}, action.upper()):
        assert required_scope(command, harmless) is Scope.OPS_READ


def test_an_action_says_nothing_for_other_commands() -> None:
    assert required_scope("job.get", "discard") is Scope.JOBS_READ


def test_a_command_that_nobody_declared_has_no_scope() -> None:
    with pytest.raises(KeyError):
        required_scope("job.destroy")


@pytest.mark.parametrize("scope", Scope)
def test_each_scope_allows_itself_only_so_writing_does_not_imply_reading(scope: Scope) -> None:
    principal = Principal("ada", frozenset({scope}))
    assert [other for other in Scope if may(principal, other) is None] == [scope]
    refusal = may(principal, next(other for other in Scope if other is not scope))
    assert refusal is not None
    assert refusal.code is ErrorCode.FORBIDDEN


def test_the_local_principal_may_do_everything() -> None:
    assert [scope for scope in Scope if may(LOCAL, scope) is not None] == []


def test_a_producer_sends_in_its_own_name_only() -> None:
    planner = Principal("planner-7", frozenset({Scope.INGEST_WRITE}))
    assert may_ingest(planner, "planner-7") is None
    assert may_ingest(planner, "planner-8") is not None
    assert may_ingest(Principal("planner-7", frozenset({Scope.OPS_WRITE})), "planner-7") is not None


def test_absent_and_foreign_are_told_in_the_same_words() -> None:
    assert (NOT_FOUND.code, NOT_FOUND.details) == (ErrorCode.RESOURCE_NOT_FOUND, ())
