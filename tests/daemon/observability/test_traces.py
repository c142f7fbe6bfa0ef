"""One trace from a producer through intake, outbox, work, callback and event, seen by an OTLP receiver."""

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import nats
import pytest
from nats.aio.client import Client
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.support.daemons import eventually, running_daemon
from tests.support.records.envelopes import enveloped
from tests.support.waiting import PATIENCE_S

pytestmark = pytest.mark.process

TRACE_ID = "5f0c1d0e-6c1f-4b53-9a44-0d8b7a2f7c11"
TRACE = TRACE_ID.replace("-", "")
PRODUCER = "00f067aa0ba902b7"


class Receiver:
    """What an OTLP collector would have got."""

    def __init__(self) -> None:
        self.requests: list[ExportTraceServiceRequest] = []
        self.port = 0

    @property
    def spans(self) -> dict[str, Any]:
        """The spans of the trace by name."""
        return {
            span.name: span
            for request in self.requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for span in scope.spans
            if span.trace_id.hex() == TRACE
        }

    @property
    def services(self) -> set[str]:
        return {
            attribute.value.string_value
            for request in self.requests
            for resource in request.resource_spans
            for attribute in resource.resource.attributes
            if attribute.key == "service.name"
        }


@contextmanager
def receiving() -> Iterator[Receiver]:
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            receiver.requests.append(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def message(kind: str, message_id: str, payload: Mapping[str, object]) -> bytes:
    return json.dumps(
        enveloped(
            kind,
            payload,
            message_id=message_id,
            trace_id=TRACE_ID,
            created_at="2026-11-20T10:15:30Z",
            producer="tracer",
        )
    ).encode()


async def story(nc: Client) -> str:
    """An item that is analysed; the traceparent of the event that tells of it."""
    js = nc.jetstream(timeout=PATIENCE_S)
    events = await nc.subscribe("hg.event.item.*.analysed")
    item = {
        "item_id": "item-1",
        "source": "feed",
        "title": "A title",
        "url": "https://news.example/1",
        "published_at": "2026-11-20T10:00:00Z",
    }
    sent: dict[str, Any] = {"traceparent": f"00-{TRACE}-{PRODUCER}-01"}
    await js.publish("hg.ingest.feed.item", message("feed.item", "item-1", item), headers=sent)
    queue = await js.pull_subscribe_bind("headgate-work-item-analyse", "HG_WORK")
    (work,) = await queue.fetch(1, timeout=PATIENCE_S)
    order = json.loads(work.data)["payload"]
    result = {"event_id": "result-1", "sentiment": {"label": "neutral", "score": 0.5}}
    carried: dict[str, Any] = {"traceparent": (work.headers or {})["traceparent"]}
    await js.publish(order["callback_subject"], message("item.result", "result-1", result), headers=carried)
    await work.ack_sync()
    event = await events.next_msg(timeout=PATIENCE_S)
    return (event.headers or {})["traceparent"]


def test_one_trace_goes_from_the_producer_to_the_event(tmp_path: Path) -> None:
    async def told(url: str) -> str:
        nc = await nats.connect(url)
        try:
            return await story(nc)
        finally:
            await nc.close()

    with receiving() as receiver:
        endpoint = f"http://127.0.0.1:{receiver.port}"
        variables = {"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_BSP_SCHEDULE_DELAY": "200"}
        with running_daemon(tmp_path, variables=variables) as daemon:
            of_event = asyncio.run(told(daemon.nats_url))
            last = "publish hg.event.item.item-1.analysed"
            eventually(lambda: last in receiver.spans)
    spans = receiver.spans
    item, work = spans["receive feed.item"], spans["publish hg.work.item.analyse"]
    result, event = spans["receive item.result"], spans[last]
    assert item.parent_span_id.hex() == PRODUCER
    assert work.parent_span_id == item.span_id
    assert result.parent_span_id == work.span_id
    assert event.parent_span_id == result.span_id
    assert of_event == f"00-{TRACE}-{event.span_id.hex()}-01"
    assert receiver.services == {"headgate"}


@pytest.mark.fresh
def test_without_an_endpoint_nothing_is_traced_and_nothing_is_imported(tmp_path: Path) -> None:
    async def letter(url: str) -> dict[str, str]:
        nc = await nats.connect(url)
        dead = await nc.subscribe("hg.dead.>")
        await nc.jetstream(timeout=PATIENCE_S).publish("hg.ingest.feed.item", message("feed.item", "y", {}))
        found = await dead.next_msg(timeout=PATIENCE_S)
        await nc.close()
        return dict(found.headers or {})

    with running_daemon(tmp_path) as daemon:
        headers = asyncio.run(letter(daemon.nats_url))
    assert "traceparent" not in headers
    program = "import daemon.bootstrap, sys; print([m for m in sys.modules if 'opentelemetry.sdk' in m])"
    imported = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout == "[]\n"
