"""What a bridge asks the daemon: how a job stands, and fresh URLs for inputs whose old ones have expired."""

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import urlsplit

import orjson
import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError, KeyNotFoundError
from nats.js.kv import KeyValue

from adapters.nats.jetstream_api import understood
from contracts import subjects as subject_of
from contracts.envelope import CURRENT_ENVELOPE
from contracts.errors import JsonObject, JsonValue
from contracts.subjects import Subjects
from contracts.values.times import format_micros
from daemon.bridge.work import BridgeWork
from domain.bridge.prediction_inputs import urls_in, with_replaced
from domain.jobs.job_states import TERMINAL

log = structlog.get_logger(__name__)

_ASSET: Final = re.compile(r"/assets/([A-Za-z0-9_:-]{1,200})")
_REQUEST_TIMEOUT_S: Final = 5.0
_ASSET_COMMAND: Final = "asset.get"


class JobViews:
    """Reads the public views that the daemon keeps in its status bucket."""

    def __init__(self, nc: Client, subjects: Subjects) -> None:
        self._js = nc.jetstream()
        self._name = subjects.status_bucket
        self._bucket: KeyValue | None = None

    async def view(self, job_id: str) -> JsonObject | None:
        """The newest view; None where there is none, or it cannot be had now."""
        try:
            if self._bucket is None:
                self._bucket = await understood(self._js.key_value(self._name))
            found = await understood(self._bucket.get(f"job.{job_id}"))
            view = orjson.loads(found.value or b"null")
        except (KeyNotFoundError, BucketNotFoundError):
            return None
        except (NatsError, orjson.JSONDecodeError) as error:
            log.warning("job_view_unread", job_id=job_id, reason=type(error).__name__)
            return None
        return view if isinstance(view, dict) else None

    async def status(self, job_id: str) -> str | None:
        """The job's status; None where it is not known."""
        view = await self.view(job_id)
        status = None if view is None else view.get("status")
        return status if isinstance(status, str) else None


def is_over(status: str | None) -> bool:
    """Whether a job of this status has ended for good: nobody waits for its work any more."""
    return status in TERMINAL


class FreshInputs:
    """Finds newer URLs for the inputs of a prediction.

    A signed URL of one of our own assets is asked for anew by the command ``asset.get``; the video of the job is read
    again from the job's public view. Foreign URLs stay as they are: nobody but their owner can renew them.
    """

    def __init__(
        self,
        nc: Client,
        subjects: Subjects,
        views: JobViews,
        *,
        producer: str,
        authorization: str,
        clock: Callable[[], int],
        new_id: Callable[[], str],
    ) -> None:
        self._nc = nc
        self._subject = subjects.full(subject_of.command(_ASSET_COMMAND))
        self._views = views
        self._producer = producer
        self._authorization = authorization
        self._clock = clock
        self._new_id = new_id

    async def renew(self, work: BridgeWork, inputs: JsonObject) -> JsonObject:
        """The inputs with every URL that could be renewed."""
        fresh = await self._video(work)
        for url in urls_in(inputs):
            asset = _ASSET.search(urlsplit(url).path)
            renewed = None if asset is None else await self._asset(asset[1])
            if renewed is not None:
                fresh[url] = renewed
        log.info("inputs_renewed", work_id=work.work_id, renewed=len(fresh))
        return with_replaced(inputs, fresh)

    async def _video(self, work: BridgeWork) -> dict[str, str]:
        known, view = work.payload.get("video_uri"), await self._views.view(work.job_id)
        newest = None if view is None else view.get("video_uri")
        return {known: newest} if isinstance(known, str) and isinstance(newest, str) and known != newest else {}

    async def _asset(self, asset_id: str) -> str | None:
        headers = {"Authorization": f"Bearer {self._authorization}"} if self._authorization else None
        try:
            reply = await self._nc.request(
                self._subject, self._request(asset_id), timeout=_REQUEST_TIMEOUT_S, headers=headers
            )
            return _url_in(orjson.loads(reply.data))
        except (NatsError, orjson.JSONDecodeError) as error:
            log.warning("asset_url_not_renewed", asset_id=asset_id, reason=type(error).__name__)
            return None

    def _request(self, asset_id: str) -> bytes:
        message_id = self._new_id()
        return orjson.dumps(
            {
                "envelope_version": CURRENT_ENVELOPE,
                "kind": _ASSET_COMMAND,
                "schema_version": "1.0",
                "message_id": message_id,
                "trace_id": message_id,
                "created_at": format_micros(self._clock()),
                "producer": self._producer,
                "payload": {"asset_id": asset_id},
            }
        )


def _url_in(reply: JsonValue) -> str | None:
    """``payload.result.url`` of a reply that has one."""
    value = reply
    for key in ("payload", "result", "url"):
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, str) else None
