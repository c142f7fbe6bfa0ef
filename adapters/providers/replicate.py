"""Replicate: predictions over its HTTP API (https://replicate.com/docs/reference/http).

A model is ``owner/name`` (an official model: its newest version) or ``owner/name:version``. The API has no idempotency
key; :meth:`Replicate.find` stands in for one by looking through the account's newest predictions.
"""

import math
import re
from typing import Final
from urllib.parse import parse_qs, urlsplit

from adapters.providers.base import Prediction, PredictionRequest, PredictionStatus, ProviderError, Reason
from adapters.providers.http import PinnedClient
from contracts.errors import JsonObject, JsonValue
from contracts.values.times import MICROS_PER_SECOND, NotAnInstant, format_micros, parse_micros

_VERSION_PATH: Final = "/v1"
_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
_NO_WORD: Final = "the id of the prediction is not a word"
_CANCEL_AFTER_LEAST_S: Final = 5
_MOST_PAGES: Final = 10
_CLOCKS_APART_S: Final = 60
_LOG_TAIL: Final = 4_096
_PERCENT: Final = re.compile(r"(?<![0-9.])([0-9]{1,3})%\|")
# "aborted": its deadline passed before it ran.
_STATUSES: Final = {str(status): status for status in PredictionStatus} | {"aborted": PredictionStatus.CANCELED}


class Replicate:
    """A :class:`~adapters.providers.base.Provider`. ``base_url`` with or without its ``/v1``."""

    name: Final = "replicate"

    def __init__(self, base_url: str, token: str, *, read_timeout_s: float = 30.0) -> None:
        self._client = PinnedClient(
            base_url.rstrip("/").removesuffix(_VERSION_PATH), token, read_timeout_s=read_timeout_s
        )

    async def create(self, request: PredictionRequest) -> Prediction:
        path, body = _creation(request)
        # Should this process never come back, the provider ends the prediction by itself.
        deadline = {"cancel-after": f"{max(_CANCEL_AFTER_LEAST_S, math.ceil(request.deadline_s))}s"}
        answer = await self._client.request("POST", _VERSION_PATH + path, body=body, headers=deadline)
        return _prediction(answer)

    async def get(self, prediction_id: str) -> Prediction:
        return _prediction(await self._client.request("GET", _path_of(prediction_id)))

    async def cancel(self, prediction_id: str) -> Prediction | None:
        try:
            answer = await self._client.request("POST", f"{_path_of(prediction_id)}/cancel")
        except ProviderError as error:
            if error.reason in {Reason.NOT_FOUND, Reason.REFUSED}:  # it has ended, or is not known any more
                return None
            raise
        return _prediction(answer) if isinstance(answer, dict) and "id" in answer else None

    async def find(self, request: PredictionRequest, *, since: int) -> list[Prediction]:
        earliest = since - _CLOCKS_APART_S * MICROS_PER_SECOND
        params = {"created_after": format_micros(earliest)}
        found: list[Prediction] = []
        for _ in range(_MOST_PAGES):
            page = await self._client.request("GET", f"{_VERSION_PATH}/predictions", params=params)
            results = page.get("results") if isinstance(page, dict) else None
            if not isinstance(results, list):
                raise ProviderError(Reason.PROTOCOL, "the list of predictions has no results")
            listed = [result for result in results if isinstance(result, dict)]
            found += [_prediction(result) for result in listed if _is_of(result, request, earliest)]
            # The filter is younger than the API: what lies before is left out here as well, and ends the search.
            cursor = _cursor(page)
            if cursor is None or any(_created_before(result, earliest) for result in listed):
                break
            params = {**params, "cursor": cursor}
        return found[::-1]

    async def close(self) -> None:
        await self._client.close()


def _creation(request: PredictionRequest) -> tuple[str, JsonObject]:
    model, _, version = request.model.partition(":")
    if version:
        return "/predictions", {"version": version, "input": request.inputs}
    return f"/models/{model}/predictions", {"input": request.inputs}


def _path_of(prediction_id: str) -> str:
    """Ids come from the provider: one that is no plain word must not become another path."""
    if _ID.fullmatch(prediction_id) is None:
        raise ProviderError(Reason.PROTOCOL, _NO_WORD)
    return f"{_VERSION_PATH}/predictions/{prediction_id}"


def _prediction(answer: JsonValue) -> Prediction:
    if not isinstance(answer, dict) or not isinstance(answer.get("id"), str):
        raise ProviderError(Reason.PROTOCOL, "the answer is no prediction", may_have_happened=True)
    prediction_id = str(answer["id"])
    if _ID.fullmatch(prediction_id) is None:
        raise ProviderError(Reason.PROTOCOL, _NO_WORD, may_have_happened=True)
    status = _STATUSES.get(str(answer.get("status")))
    if status is None:
        raise ProviderError(Reason.PROTOCOL, "the prediction has an unknown status", may_have_happened=True)
    error = answer.get("error")
    return Prediction(
        id=prediction_id,
        status=status,
        output=answer.get("output"),
        error="" if error is None else str(error),
        progress=_progress(answer.get("logs")),
        runtime_s=_runtime_s(answer.get("metrics")),
        is_removed=answer.get("data_removed") is True and answer.get("output") is None,
    )


def _progress(logs: JsonValue) -> int | None:
    """The last bar in the logs: models write them as ``tqdm`` does, "45%|####...|"."""
    if not isinstance(logs, str):
        return None
    percents = [int(percent) for percent in _PERCENT.findall(logs[-_LOG_TAIL:])]
    return min(percents[-1], 100) if percents else None


def _runtime_s(metrics: JsonValue) -> float | None:
    seconds = metrics.get("predict_time") if isinstance(metrics, dict) else None
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 <= seconds < math.inf:
        return None
    return float(seconds)


def _is_of(result: JsonObject, request: PredictionRequest, earliest: int) -> bool:
    """Whether it was made by this request: its model or version, and all its inputs (the provider may add defaults)."""
    inputs = result.get("input")
    if not isinstance(inputs, dict) or _created_before(result, earliest):
        return False
    model, _, version = request.model.partition(":")
    if result.get("version") != version if version else result.get("model") != model:
        return False
    return all(name in inputs and inputs[name] == value for name, value in request.inputs.items())


def _created_before(result: JsonObject, earliest: int) -> bool:
    try:
        return parse_micros(str(result.get("created_at"))) < earliest
    except NotAnInstant:
        return True


def _cursor(page: JsonValue) -> str | None:
    """Only the cursor of the next page is taken from its URL, whose host is the provider's word."""
    following = page.get("next") if isinstance(page, dict) else None
    if not isinstance(following, str):
        return None
    return next(iter(parse_qs(urlsplit(following).query).get("cursor", [])), None)
