"""Jobs as the contract tells of them, in the plainest words: a second opinion beside the rules and their storage.

Nothing is taken from the code under test, and nothing is clever. A command or a callback that is answered with a
number took effect or was met; one that is answered with a word was refused, or held.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import pairwise
from typing import Any, Final, TypeAlias

# What is asked and reported here is any JSON: its type would only get in the way.
Json: TypeAlias = Any
Answer: TypeAlias = int | str

SECOND: Final = 1_000_000
DEADLINE: Final = 600 * SECOND
LONG_ON_ITS_WAY: Final = 10 * SECOND
MAX_REDISPATCHES: Final = 2

WAY: Final = [
    "CREATED", "UPLOADED", "QUEUED", "TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "RENDERING", "READY", "DONE",
]  # fmt: skip
ENDS: Final = {"DONE", "FAILED", "CANCELLED"}
MOVES: Final = {
    *pairwise(WAY),
    ("READY", "RENDERING"),
    *((state, end) for state in WAY[:-1] for end in ("FAILED", "CANCELLED")),
}
WORKERS_MAY_ASK: Final = {"TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "READY", "FAILED"}
WORKERS_MAY_REPEAT: Final = {"TRANSCRIBING", "DRAFTING", "AWAITING_APPROVAL", "RENDERING", "READY"}
AT_WORK: Final = {
    "job.process": {"QUEUED", "TRANSCRIBING", "DRAFTING"},
    "job.render": {"RENDERING"},
}


@dataclass
class Work:
    """The work that is out for a job; ``needs`` is what its newest message tells the worker."""

    type: str
    deadline: int
    counted_from: int
    needs: Json
    redispatches: int = 0
    stored: bool = False


@dataclass(eq=False)
class ModelJob:
    """One job. Its id is known once the real one has been made."""

    owner: str
    prompt: str | None = None
    retry_of: "ModelJob | None" = None
    chain: int = 1
    job_id: str = ""
    status: str = "CREATED"
    version: int = 1
    updated_at: int = 0
    video_uri: str | None = None
    video_url: str | None = None
    progress: float = 0
    checkpoint: Json = None
    cost: int = 0
    error: str | None = None
    versions: list[Json] = field(default_factory=list)
    approval: tuple[str, int, int] | None = None
    transcript: list[Json] = field(default_factory=list)
    scenes: dict[int, Json] = field(default_factory=dict)
    attempt: int = 0
    sequence: int = 0
    work: Work | None = None
    retried: "ModelJob | None" = None
    audit: list[tuple[int, str, str, str]] = field(default_factory=list)
    events: list[tuple[str, int, str | None, str]] = field(default_factory=list)
    views: list[int] = field(default_factory=list)

    # -- what an owner asks

    def confirm_upload(self, uri: str, now: int) -> Answer:
        if self.video_uri is not None:
            return 200 if self.video_uri == uri else "UPLOAD_CONFLICT"
        if self.status != "CREATED":
            return "INVALID_TRANSITION"
        self.video_uri = uri
        return self._move("UPLOADED", self.owner, now, 200)

    def run(self, now: int) -> Answer:
        if self.status in WAY[2:8]:
            return 200
        if self.status != "UPLOADED":
            return "INVALID_TRANSITION"
        self._move("QUEUED", self.owner, now, 202)
        return self._start("job.process", now)

    def approve(self, now: int) -> Answer:
        if self.status not in {"AWAITING_APPROVAL", "READY"}:
            return "INVALID_TRANSITION"
        if self.approved:
            return 200
        if not self.versions or not fit(self.versions[-1]):
            return "INVALID_STATE"
        self.approval = (self.owner, now, len(self.versions))
        answer = self._touch(now, 200)
        self.audit.append((self.version, self.owner, self.status, self.status))
        self.events.append(("approved", self.version, "AWAITING_APPROVAL", "AWAITING_APPROVAL"))
        return answer

    def render(self, now: int) -> Answer:
        if self.status not in {"AWAITING_APPROVAL", "READY"}:
            return "INVALID_TRANSITION"
        if not self.approved:
            return "APPROVAL_REQUIRED"
        self._move("RENDERING", self.owner, now, 202)
        return self._start("job.render", now)

    def cancel(self, now: int) -> Answer:
        if self.status in ENDS:
            return 200 if self.status == "CANCELLED" else "INVALID_TRANSITION"
        before = self.status
        self._move("CANCELLED", self.owner, now, 200)
        self.events.append(("cancelled", self.version, before, "CANCELLED"))
        return 200

    def retry(self, now: int) -> "tuple[Answer, ModelJob]":
        """The answer, and the job that it is about: the new one where there is one."""
        if self.status != "FAILED":
            return "INVALID_TRANSITION", self
        if self.retried is not None:
            return 200, self.retried
        again = self.retried = new_job(self.owner, None, now)
        again.prompt, again.retry_of, again.chain = self.prompt, self, self.chain + 1
        again.video_uri, again.checkpoint = self.video_uri, self.checkpoint
        again.versions = self.versions[-1:]
        again.transcript, again.scenes = list(self.transcript), dict(self.scenes)
        if self.video_uri is not None or self.prompt is not None:
            again._move("UPLOADED", self.owner, now, 202)
            again._move("QUEUED", self.owner, now, 202)
            again._start("job.process", now)
        return 202, again

    # -- what happens to it

    def export(self, now: int) -> None:
        if self.status == "READY":
            self._move("DONE", "system", now, 200)

    def is_overdue(self, now: int) -> bool:
        return self.work is not None and self.work.deadline <= now

    def heal(self, now: int) -> None:
        if self.work is None or not self.is_overdue(now):
            return
        if self.work.redispatches == MAX_REDISPATCHES:
            self.error = "DEADLINE_EXCEEDED"
            self._move("FAILED", "system", now, 200)
            return
        self._touch(now, 202)
        again = self.work.redispatches + 1
        self._dispatch(self.work.type, now)
        self.work.redispatches = again

    def relayed(self, now: int) -> None:
        """The message of its work has come into the queue: where that took long, the worker's time begins now."""
        if self.work is None or self.work.stored:
            return
        self.work.stored = True
        if self.work.counted_from < now - LONG_ON_ITS_WAY:
            self._keep_alive(now)

    # -- what a worker reports

    def refuses(self, report: Json) -> str | None:
        """Why a report does not count, whatever may still come."""
        if report.get("attempt", self.attempt) != self.attempt:
            return "STALE_ATTEMPT"
        return "CALLBACK_OUT_OF_ORDER" if report["sequence"] <= self.sequence else None

    def forbids(self, status: str) -> bool:
        moves = status in WORKERS_MAY_ASK and (self.status, status) in MOVES
        return not moves and not (status == self.status and status in WORKERS_MAY_REPEAT)

    def accept(self, report: Json, worker: str, now: int) -> None:
        self.sequence = report["sequence"]
        self.progress = report.get("progress", self.progress)
        self.checkpoint = report.get("checkpoint", self.checkpoint)
        self.cost += int(Decimal(report.get("cost_usd", "0")) * 1_000_000)
        self._take_artifacts(report.get("artifacts", {}))
        if report["status"] == "FAILED":
            self.error = report.get("failure", {"code": "UNEXPLAINED"})["code"]
        if report["status"] == self.status:
            self._touch(now, 204)
        else:
            self._move(report["status"], worker, now, 204)
        self._keep_alive(now)

    def _take_artifacts(self, made: Json) -> None:
        self.video_url = made.get("video_url", self.video_url)
        self.transcript = made.get("transcript", self.transcript)  # those of the tests always begin anew
        self.scenes |= {scene["scene"]: scene for scene in made.get("storyboard", ())}
        if "instruction" in made and self.versions[-1:] != [made["instruction"]["blocks"]]:
            self.versions.append(made["instruction"]["blocks"])

    # -- the pieces

    @property
    def approved(self) -> bool:
        return self.approval is not None and self.approval[2] == len(self.versions)

    def _touch(self, now: int, answer: int) -> int:
        self.version += 1
        self.updated_at = now
        return answer

    def _move(self, to: str, who: str, now: int, answer: int) -> int:
        assert (self.status, to) in MOVES
        self._touch(now, answer)
        self.audit.append((self.version, who, self.status, to))
        self.events.append(("transitioned", self.version, self.status, to))
        self.status = to
        if self.work is not None and to not in AT_WORK[self.work.type]:
            self.work = None
        return answer

    def _start(self, work: str, now: int) -> int:
        self.progress = 0
        self._dispatch(work, now)
        return 202

    def _dispatch(self, work: str, now: int) -> None:
        self.attempt += 1
        self.sequence = 0
        self.work = Work(work, now + DEADLINE, now, self._needs(work))

    def _keep_alive(self, now: int) -> None:
        if self.work is not None:
            self.work.deadline = max(self.work.deadline, now + DEADLINE)
            self.work.counted_from = now

    def _needs(self, work: str) -> Json:
        if work == "job.process":
            needs = {"video_uri": self.video_uri, "prompt": self.prompt, "checkpoint": self.checkpoint}
        else:
            assert self.approval is not None
            version = self.approval[2]
            instruction = {"version": version, "blocks": self.versions[version - 1]}
            scenes = [self.scenes[scene] for scene in sorted(self.scenes)]
            needs = {"instruction": instruction, "storyboard": scenes, "video_uri": self.video_uri}
        return {name: value for name, value in needs.items() if value}

    def view(self) -> Json:
        """What its owner sees of it."""
        return {
            "status": self.status,
            "version": self.version,
            "progress": self.progress,
            "approved": self.approved,
            "approved_by": self.owner if self.approved else None,
            "attempt": self.chain,
            "video_uri": self.video_uri,
            "video_url": self.video_url,
            "actual_cost_usd": f"{self.cost // 1_000_000}.{self.cost % 1_000_000:06d}",
            "error": self.error,
        }


def new_job(owner: str, prompt: str | None, now: int) -> ModelJob:
    """``CREATED``; from a prompt there is nothing to upload."""
    job = ModelJob(owner, prompt, updated_at=now)
    job.events.append(("created", 1, None, "CREATED"))
    if prompt is not None:
        job._move("UPLOADED", owner, now, 201)
    return job


def fit(blocks: Sequence[Json]) -> bool:
    """Whether an instruction may be approved."""
    return bool(blocks) and all(block["text"] for block in blocks)
