"""Whose time runs: that of work which somebody takes, while somebody looks."""

from domain.work.work_time import Lost, Reading, Seen, Watch, read_clock

S = 1_000_000
NOW = 1_000 * S
TAKEN = Seen(wanted=True, asked=True, active_at=None)
LEFT = Seen(wanted=True, asked=False, active_at=None)


def read(before: Watch | None, seen: Seen, *, now: int = NOW) -> Reading:
    return read_clock(before, seen, now=now, patience=60 * S, longest_gap=30 * S)


def test_time_runs_while_somebody_asks_for_work() -> None:
    assert read(Watch(NOW - S, None), TAKEN) == Reading(None, Watch(NOW, None))


def test_time_runs_for_a_while_after_work_was_taken_for_the_worker_is_at_it() -> None:
    busy = Seen(wanted=True, asked=False, active_at=NOW - 60 * S)

    assert read(Watch(NOW - S, None), busy).lost is None
    assert read(Watch(NOW - S, None), busy, now=NOW + 2 * S).lost == Lost(NOW, NOW + 2 * S)


def test_time_stands_still_from_look_to_look_while_nobody_takes_it() -> None:
    first = read(None, LEFT)
    second = read(first.watch, LEFT, now=NOW + 5 * S)

    assert first == Reading(Lost(0, NOW), Watch(NOW, NOW))
    assert second == Reading(Lost(NOW, NOW + 5 * S), Watch(NOW + 5 * S, NOW))


def test_time_runs_again_from_the_moment_at_which_work_was_taken() -> None:
    taken_between = Seen(wanted=True, asked=True, active_at=NOW + 2 * S)

    assert read(Watch(NOW, NOW), taken_between, now=NOW + 5 * S) == Reading(
        Lost(NOW, NOW + 2 * S), Watch(NOW + 5 * S, None)
    )
    assert read(Watch(NOW, NOW), TAKEN, now=NOW + 5 * S).lost == Lost(NOW, NOW + 5 * S)


def test_time_that_nobody_saw_does_not_count() -> None:
    assert read(Watch(NOW - 31 * S, None), TAKEN) == Reading(Lost(NOW - 31 * S, NOW), Watch(NOW, None))


def test_nobody_is_missed_where_nothing_is_in_hand() -> None:
    unwanted = Seen(wanted=False, asked=False, active_at=None)

    assert read(Watch(NOW - S, NOW - S), unwanted).watch.idle_since is None
    assert read(None, unwanted) == Reading(None, Watch(NOW, None))
