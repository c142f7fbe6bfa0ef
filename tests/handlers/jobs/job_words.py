"""What owners may ask of jobs and what workers may report of them, as wishes, to be granted as jobs stand."""

from dataclasses import dataclass
from typing import Final, TypeAlias

from hypothesis import strategies as st

from tests.handlers.jobs.job_model import WAY, Json


@dataclass(frozen=True)
class Order:
    """A command; jobs are counted round."""

    name: str
    job: int = 0
    choice: int = 0
    stranger: bool = False


@dataclass(frozen=True)
class OrderAgain:
    """A command under the message id of an earlier one, changed or not."""

    which: int
    changed: bool


@dataclass(frozen=True)
class NextWords:
    """What a worker says next: well-behaved where it names the newest attempt, and nothing is ahead of its turn."""

    job: int
    more: Json
    attempt: int | None = 0
    fails: bool = False
    ahead: bool = False
    stays: bool = False


@dataclass(frozen=True)
class AnyWords:
    """What any worker may say."""

    job: int
    status: str
    sequence: int
    attempt: int | None
    late: bool
    more: Json


@dataclass(frozen=True)
class EarlierWords:
    """An event that was reported before: changed, of another job, under another id, or just the same."""

    which: int
    twist: str


@dataclass(frozen=True)
class Redelivery:
    """A message that the stream hands over once more: one that was held, or any."""

    which: int
    held: bool


Words: TypeAlias = NextWords | AnyWords | EarlierWords | Redelivery

NAMES: Final = [
    "job.create", "job.confirm-upload", "job.run", "job.run", "job.approve", "job.approve", "job.approve",
    "job.render", "job.render", "job.render", "job.cancel", "job.retry", "job.retry",
]  # fmt: skip
ATTEMPTS: Final = st.sampled_from([None, 0, 0, 0, -1, 1])
"""Which attempt a report names, counted from the newest, if any."""
SELDOM: Final = st.sampled_from([False] * 7 + [True])
OFTEN: Final = st.sampled_from([True, True, False])
ANY_JOB: Final = st.integers(0, 3)
ORDERS: Final = st.builds(
    Order,
    name=st.sampled_from(NAMES),
    job=ANY_JOB,
    choice=st.integers(0, 1),
    stranger=SELDOM,
)
ORDERS_AGAIN: Final = st.builds(OrderAgain, which=st.integers(0, 99), changed=st.booleans())


def _block(name: str, kind: str, text: str) -> Json:
    return {"block_id": name, "type": kind, "text": text}


BLOCKS: Final = [
    [_block("b1", "heading", "How to"), _block("b2", "step", "Open the door")],
    [_block("b1", "step", "Open the window")],
    [_block("b1", "note", "There is no step")],
    [_block("b1", "step", "")],
    [],
]
FIRST_DRAFTS: Final = st.sampled_from(
    [*[{"instruction": {"blocks": BLOCKS[0]}}] * 4, {"instruction": {"blocks": BLOCKS[3]}}, {}]
)
TRANSCRIPTS: Final = [
    [{"start_ms": 0, "end_ms": 900, "text": "One."}, {"start_ms": 900, "end_ms": 1_800, "text": "Two."}],
    [{"start_ms": 0, "end_ms": 1_000, "text": "Uno."}, {"start_ms": 1_000, "end_ms": 2_000, "text": "Due."}],
]
STORYBOARDS: Final = [
    [{"scene": 1, "text": "A door", "duration_s": 2.5}],
    [
        {"scene": 1, "text": "A gate", "duration_s": 4},
        {"scene": 2, "text": "A room", "duration_s": 1.5, "image_url": "https://pictures.example/2"},
    ],
]
ARTIFACTS: Final = st.fixed_dictionaries(
    {},
    optional={
        "instruction": st.sampled_from(BLOCKS).map(lambda blocks: {"blocks": blocks}),
        "transcript": st.sampled_from(TRANSCRIPTS),
        "storyboard": st.sampled_from(STORYBOARDS),
        "video_url": st.sampled_from(["https://videos.example/1", "https://videos.example/2"]),
    },
)
MORE: Final = st.fixed_dictionaries(
    {},
    optional={
        "progress": st.sampled_from([0, 12.5, 100]),
        "checkpoint": st.sampled_from(["half way", {"part": 2}]),
        "cost_usd": st.sampled_from(["0.25", "0.000001", "3"]),
        "artifacts": ARTIFACTS,
        "failure": st.just({"code": "BROKEN", "message": "why", "retryable": True}),
    },
)
NEXT_WORDS: Final = st.builds(
    NextWords, job=ANY_JOB, more=MORE, attempt=ATTEMPTS, fails=SELDOM, ahead=SELDOM, stays=SELDOM
)
ANY_WORDS: Final = st.builds(
    AnyWords,
    job=st.integers(0, 4),
    status=st.sampled_from([*WAY, "FAILED", "CANCELLED"]),
    sequence=st.sampled_from([1, 1, 1, 2, 3, 0, -1]),
    attempt=ATTEMPTS,
    late=st.booleans(),
    more=MORE,
)
TWISTS: Final = ["same", "changed", "elsewhere", "other message", "changed, other message", "other event"]
EARLIER_WORDS: Final = st.builds(
    EarlierWords,
    which=st.integers(0, 99),
    twist=st.sampled_from(TWISTS),
)
REDELIVERIES: Final = st.builds(Redelivery, which=st.integers(0, 99), held=st.booleans())
WORDS: Final = NEXT_WORDS | ANY_WORDS | EARLIER_WORDS | REDELIVERIES
