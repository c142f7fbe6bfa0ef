"""Predictions of a provider that must be polled: how long to wait, and what becomes of one that did not succeed."""

import re
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

from contracts.values.money import MAX_MICROS
from domain.backoff import delay_s

FIRST_WAIT_S: Final = 1.0
LONGEST_WAIT_S: Final = 30.0
LONGEST_RETRY_AFTER_S: Final = 300.0
"""A provider that asks for more patience than this is asked again anyway."""
_MOST_MESSAGE: Final = 500


class Ending(StrEnum):
    """How a prediction ended without a result."""

    FAILED = "failed"
    """The model reported an error."""
    CANCELED = "canceled"
    """Somebody else ended it, or the provider's own deadline did."""
    TIMED_OUT = "timed_out"
    """It ran longer than its kind of media may, and was canceled for it."""
    GONE = "gone"
    """The provider does not know it any more."""
    REFUSED = "refused"
    """The provider refuses the request as it is: unknown model, invalid inputs."""
    UNREACHABLE = "unreachable"
    """The provider took no request within the time limit."""
    UNUSABLE = "unusable"
    """It succeeded, but its output is not what the work asks for."""


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A try that came to nothing; ``error`` in the words of the provider."""

    ending: Ending
    error: str = ""


@dataclass(frozen=True, slots=True)
class TryAgain:
    """Another prediction is worth it; ``fresh_inputs``: with input URLs that have not expired."""

    fresh_inputs: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """What the work's callback says: code, message, and whether a person may try again as it stands."""

    code: str
    message: str
    retryable: bool


AfterTry: TypeAlias = TryAgain | GiveUp

# What no repetition cures, and what was tried for the whole time limit already.
_FINAL: Final = frozenset({Ending.REFUSED, Ending.UNUSABLE, Ending.UNREACHABLE})
_CODES: Final = {
    Ending.FAILED: "UPSTREAM_FAILED",
    Ending.CANCELED: "UPSTREAM_CANCELED",
    Ending.TIMED_OUT: "UPSTREAM_TIMEOUT",
    Ending.GONE: "UPSTREAM_FAILED",
    Ending.REFUSED: "UPSTREAM_REFUSED",
    Ending.UNREACHABLE: "UPSTREAM_UNAVAILABLE",
    Ending.UNUSABLE: "OUTPUT_UNUSABLE",
}
_SENTENCES: Final = {
    Ending.FAILED: "the prediction failed",
    Ending.CANCELED: "the prediction was canceled at the provider",
    Ending.TIMED_OUT: "the prediction did not end within its time limit",
    Ending.GONE: "the provider does not know the prediction any more",
    Ending.REFUSED: "the provider refused the request",
    Ending.UNREACHABLE: "the provider took no request within the time limit",
    Ending.UNUSABLE: "the output cannot be used",
}


def after_try(unfinished: Unfinished, *, tries: int, retries: int) -> AfterTry:
    """Decide on a try that came to nothing; ``tries`` counts it (from 1), ``retries`` are allowed beyond the first."""
    expired = unfinished.ending in {Ending.FAILED, Ending.REFUSED} and says_input_expired(unfinished.error)
    if tries <= retries and (expired or unfinished.ending not in _FINAL):
        return TryAgain(fresh_inputs=expired)
    if expired:
        return GiveUp(
            "INPUT_EXPIRED", _message("an input URL cannot be read any more", unfinished.error), retryable=True
        )
    retryable = unfinished.ending not in {Ending.REFUSED, Ending.UNUSABLE}
    return GiveUp(_CODES[unfinished.ending], _message(_SENTENCES[unfinished.ending], unfinished.error), retryable)


# Models tell of an input that they could not download in the words of the library that they use.
_NOT_READABLE: Final = re.compile(r"\b(?:403|404|410)\b")
_DOWNLOADING: Final = re.compile(r"https?://|\burl\b|\bdownload|\bfetch|\bhttp error\b|\bclient error\b", re.IGNORECASE)
_EXPIRED: Final = re.compile(
    r"\b(?:url|link|signature|request|token|input)s?\b[^.\n]{0,40}\bexpired\b"
    r"|\bexpired\b[^.\n]{0,40}\b(?:url|link|signature|token|input)s?\b"
    r"|\bsignature ?(?:expired|doesnotmatch)\b|\bexpiredtoken\b",
    re.IGNORECASE,
)


def says_input_expired(error: str) -> bool:
    """Whether the error tells of an input URL that is forbidden, gone or past its expiry."""
    return bool(_EXPIRED.search(error) or (_NOT_READABLE.search(error) and _DOWNLOADING.search(error)))


def wait_s(failures: int, *, retry_after_s: float | None, chance: float, first_s: float = FIRST_WAIT_S) -> float:
    """How long to wait before the next request; ``failures`` in a row, from 1, ``chance`` uniform in [0, 1).

    A ``Retry-After`` is never undercut; jitter comes on top of it, so that many who were told the same spread.
    """
    backoff = delay_s(failures - 1, first_s=first_s, most_s=LONGEST_WAIT_S, chance=chance)
    if retry_after_s is None:
        return backoff
    return min(max(retry_after_s, 0.0), LONGEST_RETRY_AFTER_S) + first_s * chance


def cost_usd_micros(
    *, runtime_s: float | None, succeeded: bool, per_second_usd_micros: int | None, per_run_usd_micros: int | None
) -> int | None:
    """What one prediction cost; None where no price is known: an unknown cost is never zero.

    Seconds count whenever the provider counted them, a price by run only for a prediction that succeeded.
    """
    parts = []
    if per_second_usd_micros is not None and runtime_s is not None:
        parts.append(round(per_second_usd_micros * runtime_s))
    if per_run_usd_micros is not None:
        parts.append(per_run_usd_micros if succeeded else 0)
    return min(sum(parts), MAX_MICROS) if parts else None


_QUERY: Final = re.compile(r"(https?://[^\s?#'\"<>]+)[?#][^\s'\"<>]*", re.IGNORECASE)
_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def _message(sentence: str, error: str) -> str:
    """The provider's own words come after ours, without the queries of URLs: those hold signatures."""
    told = _UNPRINTABLE.sub(" ", _QUERY.sub(r"\1", error)).strip()
    return f"{sentence}: {told}"[:_MOST_MESSAGE] if told else sentence
