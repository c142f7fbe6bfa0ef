"""What a bridge reports of each type of work. Pure: an output of a model goes in, payloads of callbacks come out.

A payload here lacks what is the same for all of them: event id, attempt, sequence, cost.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, TypeAlias

from contracts.errors import JsonObject, JsonValue
from contracts.values.states import JobState
from contracts.values.work import WorkType

Payloads: TypeAlias = Sequence[JsonObject]
_MOST_BLOCK: Final = 20_000


class OutputUnusableError(Exception):
    """The model's output is not what this type of work asks for."""


@dataclass(frozen=True, slots=True)
class BridgeReport:
    """The words of one type of work: its status while it runs, and the callbacks that an output becomes, in order."""

    kind: str
    working: tuple[JobState, ...]
    """The states in which the job is worked on; work that is dispatched again may find it beyond the first."""
    finished: Callable[[JsonValue], Payloads]
    """Raises :class:`OutputUnusableError`."""

    def progress(self, percent: int, standing: JsonValue) -> JsonObject:
        """A sign of life; *standing* is the job's status as far as it is known."""
        return {"status": standing if standing in self.working else str(self.working[0]), "progress": percent}

    def failed(self, code: str, message: str, *, retryable: bool) -> JsonObject:
        failure: JsonObject = {"code": code, "message": message, "retryable": retryable}
        return {"status": str(JobState.FAILED), "failure": failure}


def _rendered(output: JsonValue) -> Payloads:
    url = _first_url(output)
    if url is None:
        raise OutputUnusableError("the output holds no URL of a video")
    return [{"status": str(JobState.READY), "progress": 100, "artifacts": {"video_url": url}}]


def _processed(output: JsonValue) -> Payloads:
    """A transcript (as in the contract, or as ``segments`` of speech models), a storyboard, an instruction or text."""
    found = output if isinstance(output, dict) else {}
    drafting: JsonObject = {"status": str(JobState.DRAFTING)}
    transcript = found.get("transcript")
    segments = transcript if isinstance(transcript, list) else _segments(found.get("segments"))
    drafted = {"transcript": segments, "storyboard": found.get("storyboard")}
    artifacts: JsonObject = {name: value for name, value in drafted.items() if isinstance(value, list) and value}
    if artifacts:
        drafting["artifacts"] = artifacts
    instruction: JsonObject = {"blocks": _blocks(output, artifacts.get("transcript"))}
    approval: JsonObject = {
        "status": str(JobState.AWAITING_APPROVAL),
        "progress": 100,
        "artifacts": {"instruction": instruction},
    }
    return [drafting, approval]


REPORTS: Final[Mapping[WorkType, BridgeReport]] = MappingProxyType(
    {
        WorkType.JOB_PROCESS: BridgeReport("job.status", (JobState.TRANSCRIBING, JobState.DRAFTING), _processed),
        WorkType.JOB_RENDER: BridgeReport("job.status", (JobState.RENDERING,), _rendered),
    }
)
"""The types of work that a bridge can do."""


def _first_url(output: JsonValue) -> str | None:
    """Models answer with a URL, a list of them, or an object that has one."""
    if isinstance(output, str):
        return output if output.startswith(("http://", "https://")) and output.isprintable() else None
    if isinstance(output, dict):
        preferred = [output[name] for name in ("video", "video_url", "url", "output") if name in output]
        return _first_url([*preferred, *output.values()])
    if isinstance(output, list):
        return next((url for url in map(_first_url, output) if url is not None), None)
    return None


def _segments(segments: JsonValue) -> list[JsonValue]:
    """``{start, end, text}`` in seconds, as speech models have it."""
    if not isinstance(segments, list):
        return []
    return [
        {"start_ms": _ms(segment.get("start")), "end_ms": _ms(segment.get("end")), "text": str(segment["text"]).strip()}
        for segment in segments
        if isinstance(segment, dict) and "text" in segment
    ]


def _ms(seconds: JsonValue) -> int:
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or seconds < 0:
        raise OutputUnusableError("a segment has no time")
    return round(seconds * 1_000)


def _blocks(output: JsonValue, transcript: JsonValue) -> list[JsonValue]:
    """The blocks of the draft: as the model made them, else a paragraph for each line of text."""
    if isinstance(output, dict):
        instruction = output.get("instruction")
        made = instruction.get("blocks") if isinstance(instruction, dict) else output.get("blocks")
        if isinstance(made, list) and made:
            return made
    lines = [line.strip() for line in _text_of(output, transcript).splitlines()]
    blocks: list[JsonValue] = [
        {"block_id": f"b{number}", "type": "paragraph", "text": line[:_MOST_BLOCK]}
        for number, line in enumerate(filter(None, lines), 1)
    ]
    if not blocks:
        raise OutputUnusableError("the output holds no text for a draft")
    return blocks


def _text_of(output: JsonValue, transcript: JsonValue) -> str:
    """Plain text; language models stream theirs as a list of pieces."""
    if isinstance(output, str):
        return output
    if isinstance(output, list):
        return "".join(piece for piece in output if isinstance(piece, str))
    if isinstance(output, dict):
        text = next((output[name] for name in ("text", "transcription") if isinstance(output.get(name), str)), None)
        if isinstance(text, str):
            return text
    if isinstance(transcript, list):
        return "\n".join(str(segment.get("text", "")) for segment in transcript if isinstance(segment, dict))
    return ""
