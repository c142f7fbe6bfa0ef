"""What an agent is taken for, by its newest session."""

import pytest

from contracts.values.states import AgentState
from domain.agents.agents import agent_state

SECOND = 1_000_000


@pytest.mark.parametrize(
    ("status", "silent_s", "state"),
    [
        ("running", 0, AgentState.RUNNING),
        ("running", 90, AgentState.RUNNING),
        ("running", 91, AgentState.STALE),
        ("completed", 1_000, AgentState.IDLE),
        ("failed", 0, AgentState.STOPPED),
        ("killed", 0, AgentState.STOPPED),
    ],
)
def test_an_agent_is_what_its_session_says_and_stale_after_ninety_seconds(
    status: str, silent_s: int, state: AgentState
) -> None:
    assert agent_state(status, last_at=0, now=silent_s * SECOND) is state
