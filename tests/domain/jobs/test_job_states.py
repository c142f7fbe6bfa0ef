"""The lifecycle of a job, as a table and as a picture."""

from itertools import product
from pathlib import Path

import pytest

from contracts.values.states import JobState
from domain.jobs.job_states import (
    PROGRESS_STATES,
    SIGNAL_OF_REPORT,
    TERMINAL,
    TRANSITIONS,
    Signal,
    diagram,
    next_state,
    sources,
)

DOCUMENT = Path(__file__).parents[3] / "docs" / "jobs.md"


def test_the_diagram_in_the_documents_is_the_table() -> None:
    """Regenerate it with ``python -c "from domain.jobs.job_states import diagram; print(diagram())"``."""
    _, _, rest = DOCUMENT.read_text().partition("```mermaid\n")
    shown, fence, _ = rest.partition("\n```")
    assert fence
    assert shown == diagram()


def test_the_way_through_is_the_one_of_the_contract() -> None:
    way = [
        Signal.UPLOAD_CONFIRMED,
        Signal.RUN_REQUESTED,
        Signal.TRANSCRIPTION_STARTED,
        Signal.DRAFTING_STARTED,
        Signal.DRAFT_FINISHED,
        Signal.RENDER_REQUESTED,
        Signal.RENDER_FINISHED,
        Signal.EXPORT_SUCCEEDED,
    ]
    seen = [JobState.CREATED]
    for signal in way:
        after = next_state(seen[-1], signal)
        assert after is not None
        seen.append(after)
    words = "CREATED UPLOADED QUEUED TRANSCRIBING DRAFTING AWAITING_APPROVAL RENDERING READY DONE"
    assert seen == words.split()


def test_the_ends_are_done_failed_and_cancelled() -> None:
    assert {JobState.DONE, JobState.FAILED, JobState.CANCELLED} == TERMINAL


@pytest.mark.parametrize(("state", "signal"), [*product(sorted(TERMINAL), Signal)])
def test_nothing_leads_out_of_an_end(state: JobState, signal: Signal) -> None:
    assert next_state(state, signal) is None


@pytest.mark.parametrize("state", sorted(set(JobState) - TERMINAL))
def test_every_other_state_can_fail_and_be_cancelled(state: JobState) -> None:
    assert next_state(state, Signal.FAILURE_REPORTED) is JobState.FAILED
    assert next_state(state, Signal.CANCEL_REQUESTED) is JobState.CANCELLED


def test_every_state_is_reached_and_every_signal_leads_somewhere() -> None:
    assert {JobState.CREATED, *TRANSITIONS.values()} == set(JobState)
    assert {signal for _, signal in TRANSITIONS} == set(Signal)


@pytest.mark.parametrize("signal", Signal)
def test_sources_are_exactly_the_states_that_take_the_signal(signal: Signal) -> None:
    assert sources(signal) == {state for state in JobState if next_state(state, signal) is not None}


def test_workers_may_report_five_moves_and_progress_where_work_or_waiting_goes_on() -> None:
    assert set(SIGNAL_OF_REPORT) == {"TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "READY", "FAILED"}
    assert {"TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "RENDERING", "READY"} == PROGRESS_STATES


@pytest.mark.parametrize("reported", sorted(SIGNAL_OF_REPORT))
def test_a_reported_move_leads_to_the_state_that_it_names(reported: JobState) -> None:
    signal = SIGNAL_OF_REPORT[reported]
    assert {next_state(state, signal) for state in sources(signal)} == {reported}
