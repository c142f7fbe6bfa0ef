"""What the bridge asks of any provider."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from adapters.errors import AdapterError
from contracts.errors import JsonObject, JsonValue


class PredictionStatus(StrEnum):
    STARTING = "starting"
    PROCESSING = "processing"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELED = "canceled"

    @property
    def is_final(self) -> bool:
        return self not in {PredictionStatus.STARTING, PredictionStatus.PROCESSING}


@dataclass(frozen=True, slots=True)
class PredictionRequest:
    """What to run. ``deadline_s``: after it the provider may end the prediction by itself."""

    model: str
    inputs: JsonObject
    deadline_s: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """A prediction as the provider tells of it."""

    id: str
    status: PredictionStatus
    output: JsonValue = None
    error: str = ""
    progress: int | None = None
    """Percent, where the provider gives a hint of it."""
    runtime_s: float | None = None
    """What is billed by the second, where it is known."""
    is_removed: bool = False
    """It ended, and the provider has thrown away what it made: as gone as one that it does not know any more."""


class Reason(StrEnum):
    """Why a request came to nothing; the label of the error metric."""

    RATE_LIMITED = "rate_limited"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    UNAUTHORIZED = "unauthorized"
    """The token, or the account behind it: nothing that the work could help."""
    NOT_FOUND = "not_found"
    REFUSED = "refused"
    """The request itself: it would be refused again."""
    PROTOCOL = "protocol"
    """An answer that is not of this protocol, a redirect among them."""


class ProviderError(AdapterError):
    """A request to a provider came to nothing. The message holds no secret.

    ``may_have_happened``: the request was sent and its outcome is unknown, so that a repetition might do it twice.
    """

    def __init__(
        self, reason: Reason, detail: str, *, retry_after_s: float | None = None, may_have_happened: bool = False
    ) -> None:
        super().__init__(detail)
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.may_have_happened = may_have_happened

    @property
    def passes(self) -> bool:
        """Whether the same request may succeed later."""
        return self.reason not in {Reason.NOT_FOUND, Reason.REFUSED}


class Provider(Protocol):
    """Runs predictions. Every method raises :class:`ProviderError` and nothing else of its own."""

    @property
    def name(self) -> str:
        """One lower-case word: metrics label, journal key, part of the producer's name."""

    async def create(self, request: PredictionRequest) -> Prediction:
        """Start a prediction."""

    async def get(self, prediction_id: str) -> Prediction:
        """How it stands."""

    async def cancel(self, prediction_id: str) -> Prediction | None:
        """End it; one that has ended already, or is unknown, is fine. Answers how it stands where that is told."""

    async def find(self, request: PredictionRequest, *, since: int) -> list[Prediction]:
        """Predictions of this very request that were created since (microseconds since the epoch), oldest first.

        It is how a creation whose answer was lost is found again.
        """

    async def close(self) -> None:
        """Let go of connections; twice is fine."""
