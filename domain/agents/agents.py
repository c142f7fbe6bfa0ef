"""The state of an agent, by its newest session."""

from typing import Final

from contracts.values.states import AgentState

STALE_AFTER_S: Final = 90
_MICROS: Final = 1_000_000


def agent_state(session_status: str, *, last_at: int, now: int) -> AgentState:
    """Running as long as its session goes on and something was heard of it lately."""
    if session_status == "completed":
        return AgentState.IDLE
    if session_status in ("failed", "killed"):
        return AgentState.STOPPED
    return AgentState.STALE if now - last_at > STALE_AFTER_S * _MICROS else AgentState.RUNNING
