"""Names of subjects, streams, consumers and buckets."""

import pytest

from contracts import subjects
from contracts.subjects import DURABLE, CallbackSubject, EventSubject, Family, Subjects

HG = Subjects("hg")


def test_subjects_are_named_as_the_contract_names_them() -> None:
    assert [
        HG.full(subject)
        for subject in (
            subjects.ingest("session.usage"),
            subjects.callback("job", "j1"),
            subjects.replay("ingest.session.usage"),
            subjects.work("job.process"),
            subjects.event("job", "j1", "transitioned"),
            subjects.dead("ingest.session.usage"),
            subjects.command("job.create"),
            subjects.ops("health-check"),
            subjects.control("planner-7"),
        )
    ] == [
        "hg.ingest.session.usage",
        "hg.callback.job.j1",
        "hg.replay.ingest.session.usage",
        "hg.work.job.process",
        "hg.event.job.j1.transitioned",
        "hg.dead.ingest.session.usage",
        "hg.cmd.job.create",
        "hg.ops.health-check",
        "hg.control.planner-7",
    ]


def test_streams_and_buckets_bear_the_prefix_and_consumers_do_not() -> None:
    assert set(HG.streams) == {
        f"HG_{name}" for name in ["INGEST", "CALLBACK", "REPLAY", "WORK", "EVENT", "DEAD", "NOTIFY", "ADVISORY"]
    }
    assert (HG.status_bucket, HG.assets_bucket) == ("HG_STATUS", "HG_ASSETS")
    assert Subjects("acme-1").stream(Family.INGEST) == "ACME-1_INGEST"
    assert [Subjects.consumer(family) for family in DURABLE] == [
        "headgate-ingest",
        "headgate-callback",
        "headgate-replay",
    ]


def test_a_prefix_is_taken_off_only_where_it_stands() -> None:
    assert HG.bare("hg.ingest.x") == "ingest.x"
    assert HG.bare("hgx.ingest.x") is None
    assert HG.bare("hg") is None


@pytest.mark.parametrize(
    ("subject", "stream"),
    [
        ("work.publish", "HG_WORK"),
        ("event.job.j1.created", "HG_EVENT"),
        ("control.planner-7", "HG_EVENT"),
        ("dead.ingest.x", "HG_DEAD"),
        ("replay.ingest.x", "HG_REPLAY"),
    ],
)
def test_the_lane_of_an_outgoing_subject_is_its_stream(subject: str, stream: str) -> None:
    assert HG.lane(subject) == stream


@pytest.mark.parametrize("subject", ["cmd.job.create", "ops.prune", "_INBOX.x", "work", ""])
def test_what_no_stream_takes_has_no_lane(subject: str) -> None:
    with pytest.raises(ValueError, match="no stream"):
        HG.lane(subject)


def test_control_messages_are_kept_by_the_stream_of_events() -> None:
    assert HG.patterns(Family.EVENT) == ("hg.event.>", "hg.control.>")
    assert HG.patterns(Family.WORK) == ("hg.work.>",)


def test_ids_may_span_tokens() -> None:
    assert subjects.parse_callback("callback.job.a.b.c") == CallbackSubject("job", "a.b.c")
    assert subjects.parse_event("event.session.a.b.c.started") == EventSubject("session", "a.b.c", "started")


@pytest.mark.parametrize("subject", ["callback.job", "callback.job.", "callback..x", "callback.job.a..b", "ingest.a"])
def test_what_is_no_callback_is_told(subject: str) -> None:
    assert subjects.parse_callback(subject) is None


@pytest.mark.parametrize("subject", ["event.job.created", "event..a.b", "event.job.a.", "ingest.job.a.b"])
def test_what_is_no_event_is_told(subject: str) -> None:
    assert subjects.parse_event(subject) is None


@pytest.mark.parametrize("prefix", ["", "a.b", "a b", "*", ">", "$JS", "é", "a\n", "a" * 65])
def test_a_prefix_is_one_plain_token(prefix: str) -> None:
    with pytest.raises(ValueError, match="prefix"):
        Subjects(prefix)


def test_families_are_read_from_the_first_token() -> None:
    assert subjects.family_of("ingest.session.usage") is Family.INGEST
    assert subjects.family_of("ingest") is None
    assert subjects.family_of("other.x") is None
    assert subjects.rest_of("dead.ingest.session.usage") == "ingest.session.usage"


def test_a_refusal_is_told_on_a_subject_that_clients_can_use() -> None:
    assert subjects.dead("ingest.a\0b.\u00a0*.x>") == "dead.ingest.a_b.__.x_"
    assert subjects.dead("ingest..x.") == "dead.ingest._.x._"
    assert len(subjects.dead("ingest." + "\u00e9" * 5_000).encode()) <= 1_024
