"""The pulse: rates and lag of the last ten seconds, at most 8 KiB, told from memory alone."""

import orjson

from contracts.gate.delivery import Delivery, Lineage
from contracts.payloads.sent.pulse import Pulse
from daemon.intake.judging import unjudged
from daemon.observability.metrics import Metrics
from daemon.observability.pulse import MOST_BYTES, PulseSources, figures
from daemon.observability.readiness import Phase, Readiness
from daemon.observability.recent_intake import RecentIntake
from handlers.batch import INTERNAL
from handlers.effects import BatchOutcome, MessageOutcome, Verdict

SECOND = 1_000_000
NOW = 1_000 * SECOND


def sources(runs: dict[str, str] | None = None) -> PulseSources:
    readiness = Readiness(lambda _ready: None)
    readiness.enter(Phase.RUNNING)
    return PulseSources("daemon-1", "0.1.0", Metrics(), readiness, lambda: runs or {})


def test_rates_and_lag_are_of_the_last_ten_seconds() -> None:
    recent = RecentIntake()
    recent.note(NOW - 11 * SECOND, 9_000.0, {"accepted": 1_000})
    recent.note(NOW - 9 * SECOND, 4.0, {"accepted": 98, "duplicate": 1})
    recent.note(NOW, 50.0, {"refused": 1})
    recent.forget(NOW)

    assert recent.per_second("accepted") == 9.8
    assert recent.per_second("refused") == 0.1
    assert recent.lag(0.5) == 4.0
    assert recent.lag(0.995) == 50.0


def test_no_lag_is_told_where_nothing_came() -> None:
    assert figures(sources(), NOW)["lag_ms"] == {"p50": None, "p99": None}


def test_replays_count_as_messages_and_have_no_lag() -> None:
    """They are told as they first arrived: their lag would be how long the letter lay there."""
    known = sources()
    first = Delivery("ingest.session.usage", b"{", {}, "HG_INGEST", 7, 1, NOW - 3_600 * SECOND, "")
    replay = first._replace(lineage=Lineage("letter", 1, "run", edited=False))
    outcome = BatchOutcome([MessageOutcome(Verdict.ACCEPTED, 202)], [], frozenset())

    known.metrics.batch([unjudged(replay, INTERNAL)], outcome, seconds=0.01, now=NOW)

    told = figures(known, NOW)
    assert told["lag_ms"] == {"p50": None, "p99": None}
    assert told["rate_per_second"] == {"accepted": 0.1, "refused": 0.0, "duplicate": 0.0}
    assert known.metrics.registry.get_sample_value("headgate_message_lag_seconds_count") == 0


def test_the_payload_is_what_the_contract_says() -> None:
    known = sources({"run-1": "replay-failed"})
    known.metrics.messages.labels("session.usage", "accepted").inc(3)
    known.metrics.consumer_pending.labels("headgate-ingest").set(7)
    known.metrics.work_not_taken.labels("job.render").set(1)
    known.metrics.work_not_taken.labels("publish").set(0)
    known.readiness.block("heartbeat", "database", "locked")

    told = figures(known, NOW)

    Pulse.model_validate(told)
    assert told["messages"] == {"session.usage": {"accepted": 3}}
    assert told["consumers"] == {"headgate-ingest": {"pending": 7, "unacknowledged": 0}}
    assert told["work_not_taken"] == ["job.render"]
    assert told["runs"] == [{"run_id": "run-1", "operation": "replay-failed", "status": "running"}]
    assert told["ready"] is False
    assert told["obstacles"] == [{"dependency": "database", "noticed_by": "heartbeat", "detail": "locked"}]


def test_what_would_make_it_too_long_is_left_out() -> None:
    known = sources()
    for number in range(400):
        known.metrics.messages.labels(f"a.rather.long.kind.of.message.{number}", "accepted").inc()

    told = figures(known, NOW)

    assert len(orjson.dumps(told)) <= MOST_BYTES
    assert told["dead_letters_open"] == 0
