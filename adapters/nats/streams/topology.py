"""Which streams, consumers and buckets there must be, as plain values.

Streams that producers fill (ingest, callback) refuse what does not fit, for nothing accepted may be dropped; those
whose truth is in the database (events, dead letters, replays) drop their oldest. All allow atomic batches.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from adapters.nats.jetstream_api import Json
from contracts import subjects as subject_of
from contracts.errors import JsonValue
from contracts.subjects import DURABLE, Family, Subjects
from contracts.values.work import WorkType

DUPLICATE_WINDOW_S: Final = 120.0
ADVISORY_CONSUMER: Final = "headgate-given-up"
_ADVISORY_BYTES: Final = 64 * 1024 * 1024
_LEAST_WORK_ACK_WAIT_S: Final = 60.0
_WORK_ACK_PENDING: Final = 10_000
_NANO: Final = 1_000_000_000
_PUSHED_ACK_WAIT_S: Final = 30.0
"""Longer than a handler takes; what was in hand when a daemon or the server died comes again after it."""
_AT_ONCE: Final = 16


@dataclass(frozen=True, slots=True)
class Limits:
    """What the settings say about streams and consumers. ``max_ack_pending`` is shared by all daemons: several windows,
    so that one stopped daemon does not stall the others. ``callback_ack_wait_s`` may be shorter: what a dead daemon had
    in hand must come again while the callbacks after it still wait for it."""

    max_bytes: int = 2**30
    max_age_s: float = 7 * 86_400
    replicas: int = 1
    ack_wait_s: float = 60.0
    callback_ack_wait_s: float | None = None
    max_deliver: int = 50
    max_ack_pending: int = 40_000
    work_deadlines_s: Mapping[WorkType, float] = field(default_factory=lambda: dict.fromkeys(WorkType, 3_600.0))
    notifiers: tuple[str, ...] = ()
    """Their names: each has a lane of its own."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream: ``config`` as the server's API has it, ``refused`` the settings of an existing one that cannot be
    undone and would break us."""

    config: Json
    refused: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.config["name"])


@dataclass(frozen=True, slots=True)
class Consumer:
    """A durable pull consumer with explicit acknowledgement. ``shares_queue``: a work queue gives each subject to one
    consumer, so that somebody else's may stand in its way."""

    stream: str
    config: Json
    shares_queue: bool = False

    @property
    def name(self) -> str:
        return str(self.config["durable_name"])


@dataclass(frozen=True, slots=True)
class Topology:
    streams: tuple[Stream, ...]
    consumers: tuple[Consumer, ...] = field(default=())


def topology(subjects: Subjects, limits: Limits) -> Topology:
    """Everything that the daemon needs on the server."""
    return Topology(
        streams=(
            *_message_streams(subjects, limits),
            _advisory_stream(subjects, limits),
            _probe_stream(subjects, limits),
            status_bucket(subjects, limits),
            assets_bucket(subjects, limits),
        ),
        consumers=(
            *(_durable(family, subjects, limits) for family in DURABLE),
            advisory_consumer(subjects),
            *work_consumers(subjects, limits),
            *(notify_consumer(subjects, notifier) for notifier in limits.notifiers),
            agents_consumer(subjects),
        ),
    )


def notify_consumer(subjects: Subjects, notifier: str) -> Consumer:
    """One notification of a notifier at a time, in order: what waits to be tried again holds back those after it."""
    patterns = [subjects.full(subject_of.notify(notifier))]
    return _pushed(subjects, subjects.stream(Family.NOTIFY), f"headgate-notify-{notifier}", patterns, at_once=1)


def agents_consumer(subjects: Subjects) -> Consumer:
    """What agents answer to control messages, as the daemon itself tells of it."""
    patterns = [subjects.full(f"{Family.EVENT}.agent.>")]
    return _pushed(subjects, subjects.stream(Family.EVENT), "headgate-agents", patterns, at_once=_AT_ONCE)


def advisory_consumer(subjects: Subjects) -> Consumer:
    """What the server says of messages that it gave up on."""
    patterns = advisory_subjects(subjects)
    return _pushed(subjects, subjects.advisory_stream, ADVISORY_CONSUMER, patterns, at_once=_AT_ONCE)


def _pushed(subjects: Subjects, stream: str, name: str, patterns: list[str], *, at_once: int) -> Consumer:
    """A durable consumer whose messages the server brings to one of the daemons that listen: nothing is asked for, so
    nothing has to be asked for again after an outage."""
    return Consumer(
        stream,
        {
            "name": name,
            "durable_name": name,
            "filter_subjects": [*patterns],
            "deliver_subject": subjects.full(f"deliver.{name}"),
            "deliver_group": name,
            "ack_policy": "explicit",
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_wait": round(_PUSHED_ACK_WAIT_S * _NANO),
            # How often something is tried is for the handler to say.
            "max_deliver": -1,
            "max_ack_pending": at_once,
        },
    )


def work_consumers(subjects: Subjects, limits: Limits) -> tuple[Consumer, ...]:
    """What workers bind to, one for each type of work."""
    return tuple(_work_consumer(work_type, subjects, limits) for work_type in WorkType)


def advisory_subjects(subjects: Subjects) -> list[str]:
    """Where the server says that it gave up on a message of one of our consumers."""
    return [
        f"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.{subjects.stream(family)}.{subjects.consumer(family)}"
        for family in DURABLE
    ]


def probe_stream(subjects: Subjects) -> str:
    return subjects.named("PROBE")


def probe_subject(subjects: Subjects) -> str:
    return subjects.full("probe")


def _message_streams(subjects: Subjects, limits: Limits) -> Iterator[Stream]:
    bounded: Json = {"max_bytes": limits.max_bytes}
    kept: Json = {**bounded, "discard": "new"}
    aged: Json = {**bounded, "discard": "old", "max_age": round(limits.max_age_s * _NANO)}
    # The daemon purges what is acknowledged, and deletes work that it is about to dispatch again.
    for family, config, refused in (
        (Family.INGEST, kept, ("deny_purge",)),
        (Family.CALLBACK, kept, ("deny_purge",)),
        (Family.WORK, {**kept, "retention": "workqueue"}, ("deny_delete",)),
        (Family.REPLAY, aged, ()),
        (Family.EVENT, aged, ()),
        (Family.DEAD, aged, ()),
        (Family.NOTIFY, aged, ()),
    ):
        name, patterns = subjects.stream(family), list(subjects.patterns(family))
        yield Stream(_config(name, patterns, limits, **config), refused)


def _advisory_stream(subjects: Subjects, limits: Limits) -> Stream:
    # An advisory is published without asking whether it was stored: refusing new ones would lose them without a word.
    patterns = advisory_subjects(subjects)
    return Stream(_config(subjects.advisory_stream, patterns, limits, max_bytes=_ADVISORY_BYTES, discard="old"))


def _probe_stream(subjects: Subjects, limits: Limits) -> Stream:
    return Stream(_config(probe_stream(subjects), [probe_subject(subjects)], limits, max_msgs=1, discard="old"))


def status_bucket(subjects: Subjects, limits: Limits) -> Stream:
    """The key-value bucket of public views: one value for each key, direct reads."""
    bucket = subjects.status_bucket
    return Stream(
        _config(
            f"KV_{bucket}",
            [f"$KV.{bucket}.>"],
            limits,
            discard="new",
            max_msgs_per_subject=1,
            allow_rollup_hdrs=True,
            allow_direct=True,
            allow_msg_ttl=True,
            deny_delete=True,
        )
    )


def assets_bucket(subjects: Subjects, limits: Limits) -> Stream:
    """The object store of asset bytes."""
    bucket = subjects.assets_bucket
    patterns = [f"$O.{bucket}.C.>", f"$O.{bucket}.M.>"]
    return Stream(
        _config(f"OBJ_{bucket}", patterns, limits, discard="new", allow_rollup_hdrs=True, allow_direct=True),
        ("deny_delete", "deny_purge"),
    )


def _config(name: str, patterns: list[str], limits: Limits, **differing: JsonValue) -> Json:
    return {
        "name": name,
        "subjects": [*patterns],
        "retention": "limits",
        "storage": "file",
        "discard": "old",
        "max_bytes": -1,
        "max_msgs": -1,
        "max_msgs_per_subject": -1,
        "max_age": 0,
        "num_replicas": limits.replicas,
        "duplicate_window": round(DUPLICATE_WINDOW_S * _NANO),
        "allow_atomic": True,
        **differing,
    }


def _durable(family: Family, subjects: Subjects, limits: Limits) -> Consumer:
    ack_wait_s = limits.callback_ack_wait_s if family is Family.CALLBACK else None
    return _consumer(subjects.stream(family), subjects.consumer(family), limits, ack_wait_s=ack_wait_s)


def _consumer(stream: str, name: str, limits: Limits, *, ack_wait_s: float | None = None) -> Consumer:
    return Consumer(
        stream,
        {
            "name": name,
            "durable_name": name,
            "ack_policy": "explicit",
            "deliver_policy": "all",
            "replay_policy": "instant",
            "ack_wait": round((ack_wait_s or limits.ack_wait_s) * _NANO),
            "max_deliver": limits.max_deliver,
            "max_ack_pending": limits.max_ack_pending,
        },
    )


def _work_consumer(work_type: WorkType, subjects: Subjects, limits: Limits) -> Consumer:
    """What workers of a type bind to. Work that is being done is not handed out twice: the server waits as long for a
    sign of life as the daemon does. How often work is tried is for the daemon to say."""
    consumer = _consumer(
        subjects.stream(Family.WORK),
        subject_of.work_consumer(work_type),
        limits,
        ack_wait_s=max(_LEAST_WORK_ACK_WAIT_S, limits.work_deadlines_s[work_type]),
    )
    own: Json = {
        "filter_subject": subjects.full(subject_of.work(work_type)),
        "max_deliver": -1,
        "max_ack_pending": _WORK_ACK_PENDING,
    }
    return Consumer(consumer.stream, {**consumer.config, **own}, shares_queue=True)
