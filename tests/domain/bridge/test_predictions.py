"""What becomes of predictions that did not succeed, and how long to wait."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.bridge.predictions import (
    FIRST_WAIT_S,
    LONGEST_RETRY_AFTER_S,
    LONGEST_WAIT_S,
    Ending,
    GiveUp,
    TryAgain,
    Unfinished,
    after_try,
    cost_usd_micros,
    says_input_expired,
    wait_s,
)

CHANCES = st.floats(0, 1, exclude_max=True)
PASSING = [Ending.FAILED, Ending.CANCELED, Ending.TIMED_OUT, Ending.GONE]


@given(failures=st.integers(1, 10_000), chance=CHANCES)
def test_backoff_grows_from_the_first_wait_to_the_longest_and_never_beyond(failures: int, chance: float) -> None:
    wait = wait_s(failures, retry_after_s=None, chance=chance)
    ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2.0 ** min(failures - 1, 60))
    assert ceiling / 2 <= wait <= ceiling


@given(failures=st.integers(1, 100), retry_after=st.floats(0, LONGEST_RETRY_AFTER_S), chance=CHANCES)
def test_a_retry_after_is_never_undercut(failures: int, retry_after: float, chance: float) -> None:
    assert retry_after <= wait_s(failures, retry_after_s=retry_after, chance=chance) <= retry_after + FIRST_WAIT_S


def test_a_retry_after_beyond_all_patience_is_cut() -> None:
    assert wait_s(1, retry_after_s=1e9, chance=0) == LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize("ending", PASSING)
def test_it_is_tried_again_as_often_as_the_settings_say(ending: Ending) -> None:
    decisions = [after_try(Unfinished(ending), tries=tries, retries=2) for tries in (1, 2, 3)]
    assert decisions[:2] == [TryAgain(), TryAgain()]
    assert isinstance(decisions[2], GiveUp)
    assert decisions[2].retryable


@pytest.mark.parametrize("ending", [Ending.REFUSED, Ending.UNUSABLE])
def test_what_no_repetition_cures_is_given_up_at_once(ending: Ending) -> None:
    decision = after_try(Unfinished(ending, "as it is"), tries=1, retries=2)
    assert isinstance(decision, GiveUp)
    assert not decision.retryable


def test_a_provider_that_took_nothing_for_the_whole_time_limit_is_not_asked_again() -> None:
    decision = after_try(Unfinished(Ending.UNREACHABLE), tries=1, retries=2)
    assert isinstance(decision, GiveUp)
    assert (decision.code, decision.retryable) == ("UPSTREAM_UNAVAILABLE", True)


@pytest.mark.parametrize("ending", list(Ending))
def test_every_ending_has_a_code_and_a_sentence(ending: Ending) -> None:
    decision = after_try(Unfinished(ending), tries=9, retries=0)
    assert isinstance(decision, GiveUp)
    assert decision.code.isupper()
    assert decision.message


@pytest.mark.parametrize(
    "error",
    [
        "403 Client Error: Forbidden for url: https://files.example/a.mp4?sig=1",
        "Client error '404 Not Found' for url 'https://files.example/a.png'",
        "HTTP Error 403: Forbidden",
        "HTTPError: HTTP Error 410: Gone",
        "Failed to download image: 403",
        "The input URL has expired",
        "Request has expired",
        "AccessDenied: signature expired: 20260101T000000Z",
        "<Code>ExpiredToken</Code>",
        "expired presigned url",
    ],
)
def test_errors_that_tell_of_an_expired_input_are_known(error: str) -> None:
    assert says_input_expired(error)
    assert after_try(Unfinished(Ending.FAILED, error), tries=1, retries=2) == TryAgain(fresh_inputs=True)
    assert after_try(Unfinished(Ending.REFUSED, error), tries=1, retries=2) == TryAgain(fresh_inputs=True)


@pytest.mark.parametrize(
    "error",
    [
        "",
        "CUDA out of memory",
        "frame 404 of 500 is broken",
        "width must be below 403",
        "NSFW content detected",
        "the session expired",
    ],
)
def test_other_errors_are_not_taken_for_an_expired_input(error: str) -> None:
    assert not says_input_expired(error)


def test_messages_hold_no_query_no_control_character_and_no_more_than_500_characters() -> None:
    error = "403 for url: https://files.example/a.mp4?X-Amz-Signature=secret#f\x1b[31m\nnext " + "x" * 2_000
    decision = after_try(Unfinished(Ending.FAILED, error), tries=3, retries=2)
    assert isinstance(decision, GiveUp)
    assert decision.code == "INPUT_EXPIRED"
    assert "https://files.example/a.mp4" in decision.message
    assert "secret" not in decision.message
    assert decision.message.isprintable()
    assert len(decision.message) == 500


@pytest.mark.parametrize(
    ("runtime_s", "succeeded", "per_second", "per_run", "cost"),
    [
        (2.5, True, 10_000, None, 25_000),
        (2.5, True, 10_000, 500, 25_500),
        (2.5, False, 10_000, 500, 25_000),
        (None, True, None, 500, 500),
        (None, False, None, 500, 0),
        (None, True, 10_000, None, None),
        (2.5, True, None, None, None),
    ],
)
def test_cost_is_what_is_known_of_it(
    runtime_s: float | None, succeeded: bool, per_second: int | None, per_run: int | None, cost: int | None
) -> None:
    assert (
        cost_usd_micros(
            runtime_s=runtime_s, succeeded=succeeded, per_second_usd_micros=per_second, per_run_usd_micros=per_run
        )
        == cost
    )
