import pytest

from adapters.nats.streams.window import RETRY_FIRST_S, RETRY_MOST_S, Verdict, Window


@pytest.fixture
def window() -> Window:
    return Window(100, 1_000_000, expires_s=30, heartbeat_s=5, now=0.0)


def test_an_empty_window_asks_for_all_of_it(window: Window) -> None:
    assert window.room(buffered=0) == 100


def test_nothing_is_asked_for_until_half_of_the_window_is_free(window: Window) -> None:
    window.asked(30, now=0)

    assert window.room(buffered=21) == 0
    assert window.room(buffered=20) == 50


def test_a_request_that_expires_gives_back_what_it_did_not_deliver(window: Window) -> None:
    window.asked(100, now=0)
    window.owed -= 40

    said = {"Status": "408", "Description": "Request Timeout", "Nats-Pending-Messages": "60"}
    verdict = window.status(said, arrived=40, now=30)

    assert verdict is Verdict.ENDED
    assert window.owed == 0
    assert window.may_ask(30)


def test_messages_of_a_forgotten_request_do_not_widen_the_window(window: Window) -> None:
    window.asked(100, now=0)
    window.forget(now=1)
    window.owed -= 10  # they were on the wire still

    assert window.room(buffered=10) == 90


def test_heartbeats_keep_a_quiet_request_alive(window: Window) -> None:
    window.asked(100, now=0)

    verdict = window.status({"Status": "100", "Description": "Idle Heartbeat"}, arrived=0, now=9)

    assert verdict is Verdict.ALIVE
    assert not window.is_lost(18)
    assert window.is_lost(19.5)


def test_silence_loses_a_request_only_while_something_is_owed(window: Window) -> None:
    assert not window.is_lost(1000)

    window.asked(100, now=1000)
    assert window.is_lost(1011)


def test_a_request_is_lost_when_it_must_have_expired_whatever_else_is_heard(window: Window) -> None:
    window.asked(100, now=0)
    window.heard(35.5)

    assert window.is_lost(36)


@pytest.mark.parametrize(
    "said",
    [
        {"Status": "503"},
        {"Status": "409", "Description": "Consumer Deleted"},
    ],
)
def test_the_consumer_is_suspected_gone_when_nobody_serves_it(window: Window, said: dict[str, str]) -> None:
    window.asked(100, now=0)

    assert window.status(said, arrived=0, now=1) is Verdict.SUSPECT
    assert window.owed == 0


@pytest.mark.parametrize("text", ["Exceeded MaxWaiting", "Leadership Change", "Server Shutdown"])
def test_requests_that_the_server_dropped_are_asked_again_after_a_pause(window: Window, text: str) -> None:
    window.asked(100, now=0)

    assert window.status({"Status": "409", "Description": text}, arrived=0, now=1) is Verdict.ENDED
    assert window.owed == 0
    assert not window.may_ask(1)
    assert window.may_ask(1 + RETRY_FIRST_S)


def test_the_pause_grows_up_to_a_limit_and_starts_anew_after_a_heartbeat(window: Window) -> None:
    for _ in range(20):
        window.back_off(now=0)
    assert not window.may_ask(RETRY_MOST_S - 0.01)
    assert window.may_ask(RETRY_MOST_S)

    window.status({"Status": "100"}, arrived=0, now=10)
    window.back_off(now=10)
    assert window.may_ask(10 + RETRY_FIRST_S)


def test_no_message_means_ask_again_at_once(window: Window) -> None:
    window.asked(100, now=0)

    assert window.status({"Status": "404", "Description": "No Messages"}, arrived=0, now=1) is Verdict.ENDED
    assert window.owed == 0
    assert window.may_ask(1)


def test_a_bad_request_is_told_by_anybody_and_ends_nothing(window: Window) -> None:
    window.asked(100, now=0)

    assert window.status({"Status": "400", "Description": "Bad Request"}, arrived=0, now=1) is Verdict.SUSPECT
    assert not window.may_ask(1), "not at once"
    assert window.may_ask(60)


STOPPED_BY_SIZE = {"Status": "409", "Description": "Message Size Exceeds MaxBytes", "Nats-Pending-Messages": "100"}


def test_a_request_that_ends_by_its_bytes_is_followed_by_another(window: Window) -> None:
    window.status(STOPPED_BY_SIZE, arrived=7, now=1)
    window.status(STOPPED_BY_SIZE, arrived=12, now=2)

    assert not window.needs_large


def test_a_message_larger_than_the_byte_limit_is_to_be_asked_for_alone(window: Window) -> None:
    window.status(STOPPED_BY_SIZE, arrived=7, now=1)
    window.status(STOPPED_BY_SIZE, arrived=7, now=2)

    assert window.needs_large


def test_after_the_large_message_came_requests_are_as_before(window: Window) -> None:
    window.needs_large = True

    window.large_came()

    assert not window.needs_large
