"""What the contract says of commands before they reach a job: which are known, and whose they are."""

from dataclasses import dataclass
from typing import Final

from tests.handlers.jobs.job_model import Answer, Json, ModelJob, new_job

_MISSING: Final = ("RESOURCE_NOT_FOUND", None)


@dataclass(eq=False)
class Given:
    """A command that was given, and what is to be answered: a refusal, the view of a job, or the first answer again."""

    name: str
    payload: Json
    owner: str
    message_id: str
    answer: Answer = 0
    job: ModelJob | None = None
    view: Json = None
    first: "Given | None" = None
    result: Json = None


class Commands:
    """The jobs of one owner, Ada, and the commands that took effect on them."""

    def __init__(self) -> None:
        self.jobs: list[ModelJob] = []
        self.taken: dict[tuple[str, str, str], Given] = {}

    def expect(self, one: Given, now: int) -> None:
        """Write the answer down; *jobs* are left as they then are."""
        key = (one.owner, one.name, one.message_id)
        one.first = self.taken.get(key)
        if one.first is not None:
            one.answer = 200 if one.first.payload == one.payload else "IDEMPOTENCY_CONFLICT"
            return
        one.answer, one.job = self._decide(one, now)
        if isinstance(one.answer, int) and one.job is not None:
            one.view = one.job.view()
            self.taken[key] = one

    def _decide(self, one: Given, now: int) -> tuple[Answer, ModelJob | None]:
        if one.name == "job.create":
            return (201, self._made(new_job("ada", one.payload.get("prompt"), now))) if one.owner == "ada" else _MISSING
        job = {job.job_id: job for job in self.jobs}.get(one.payload["job_id"])
        if job is None or job.owner != one.owner:
            return _MISSING
        if one.name == "job.confirm-upload":
            return job.confirm_upload(one.payload["video_uri"], now), job
        if one.name == "job.retry":
            answer, about = job.retry(now)
            return answer, self._made(about) if answer == 202 else about
        asked = {"job.run": job.run, "job.approve": job.approve, "job.render": job.render, "job.cancel": job.cancel}
        return asked[one.name](now), job

    def _made(self, job: ModelJob) -> ModelJob:
        self.jobs.append(job)
        return job
