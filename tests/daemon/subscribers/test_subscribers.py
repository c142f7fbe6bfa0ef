"""Low-rate subscribers on a real server: an explicit acknowledgement for everything, whatever a handler does."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from faststream import AckPolicy
from faststream.nats import NatsBroker
from nats.aio.client import Client

from adapters.cancellation import cancel_and_wait
from adapters.nats.connection import ConnectionWatch, connect, make_broker
from adapters.nats.server.embedded_server import EmbeddedServer
from adapters.nats.streams.provisioning import provision
from adapters.nats.streams.topology import Consumer, Limits, agents_consumer, notify_consumer, topology
from contracts.subjects import Subjects
from daemon.observability.metrics import Metrics
from daemon.subscribers.subscriber import LowRateSubscribers, Received, Subscriber
from storage.engine.failures import StorageAway
from tests.adapters.nats.waiting import eventually
from tests.daemon.operations.operating import until
from tests.support.waiting import PATIENCE_S


@pytest_asyncio.fixture
async def broker(shared_server: EmbeddedServer) -> AsyncIterator[NatsBroker]:
    watch = ConnectionWatch()
    broker = make_broker(shared_server.url, watch=watch)
    await connect(broker, shared_server.url, watch, PATIENCE_S)
    yield broker
    await broker.stop()


async def acknowledged(nc: Client, consumer: Consumer) -> bool:
    info = await nc.jetstream(timeout=PATIENCE_S).consumer_info(consumer.stream, consumer.name)
    return bool(info.delivered.consumer_seq and not info.num_pending and not info.num_ack_pending)


async def test_what_fails_comes_again_and_what_is_answered_does_not(broker: NatsBroker, prefix: str) -> None:
    subjects = Subjects(prefix)
    nc = broker.connection
    await provision(nc, topology(subjects, Limits(notifiers=("chat",))))
    consumer = notify_consumer(subjects, "chat")
    seen: list[tuple[bytes, int]] = []

    async def handle(received: Received) -> float | None:
        seen.append((received.body, received.delivered))
        return 0.05 if received.body == b"late" and received.delivered < 3 else None

    subscribers = LowRateSubscribers(broker, [Subscriber(consumer, handle, "a test")], Metrics())
    running = asyncio.create_task(subscribers.run())
    for body in (b"first", b"late", b"last"):
        await nc.jetstream(timeout=PATIENCE_S).publish(subjects.full("notify.chat"), body)
    await until(lambda: acknowledged(nc, consumer))
    await cancel_and_wait([running])
    # One at a time: what waits to be tried again holds back those after it.
    assert seen == [(b"first", 1), (b"late", 1), (b"late", 2), (b"late", 3), (b"last", 1)]


async def test_whatever_a_handler_raises_the_message_is_kept(broker: NatsBroker, prefix: str) -> None:
    subjects = Subjects(prefix)
    nc = broker.connection
    await provision(nc, topology(subjects, Limits()))
    consumer = agents_consumer(subjects)
    raised: list[bytes] = []

    async def handle(received: Received) -> float | None:
        raised.append(received.body)
        if received.body == b"storage":
            raise StorageAway("away")
        raise RuntimeError("a mistake of ours")

    running = asyncio.create_task(LowRateSubscribers(broker, [Subscriber(consumer, handle, "a test")], Metrics()).run())
    for body in (b"storage", b"mistake"):
        await nc.jetstream(timeout=PATIENCE_S).publish(subjects.full("event.agent.a.answered"), body)

    async def both() -> bool:
        return len(raised) == 2

    await until(both)
    await cancel_and_wait([running])
    info = await nc.jetstream(timeout=PATIENCE_S).consumer_info(consumer.stream, consumer.name)
    assert info.num_ack_pending == 2


async def test_what_the_library_makes_of_a_strangers_answer_is_no_end(
    broker: NatsBroker, prefix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reads ``[]``, published to where the server's answer is awaited, as a dictionary."""
    subjects = Subjects(prefix)
    nc = broker.connection
    await provision(nc, topology(subjects, Limits()))
    consumer = agents_consumer(subjects)
    seen: list[bytes] = []

    async def handle(received: Received) -> float | None:
        seen.append(received.body)
        return None

    start = broker.start
    failures = iter([AttributeError("'list' object has no attribute 'get'"), KeyError("config")])

    async def fails_first() -> None:
        if (failure := next(failures, None)) is not None:
            raise failure
        await start()

    monkeypatch.setattr(broker, "start", fails_first)
    monkeypatch.setattr("daemon.subscribers.subscriber._START_AGAIN_S", 0.01)
    running = asyncio.create_task(LowRateSubscribers(broker, [Subscriber(consumer, handle, "a test")], Metrics()).run())
    await nc.jetstream(timeout=PATIENCE_S).publish(subjects.full("event.agent.a.answered"), b"heard")
    await until(lambda: acknowledged(nc, consumer))
    await cancel_and_wait([running])
    assert seen == [b"heard"]


async def test_an_acknowledgement_that_is_lost_with_the_server_holds_nothing_back(tmp_path: Path, prefix: str) -> None:
    server = EmbeddedServer(tmp_path / "store", tmp_path / "state")
    await server.start()
    watching = asyncio.create_task(server.watch(_as_expected))
    watch = ConnectionWatch()
    broker = make_broker(server.url, watch=watch)
    nc = await connect(broker, server.url, watch, PATIENCE_S)
    subjects = Subjects(prefix)
    await provision(nc, topology(subjects, Limits(notifiers=("chat",))))
    consumer = notify_consumer(subjects, "chat")
    seen: list[bytes] = []

    def stop(number: signal.Signals) -> None:
        assert server.pid is not None
        os.kill(server.pid, number)

    async def handle(received: Received) -> float | None:
        seen.append(received.body)
        if received.body == b"first":  # what is published now lies in a socket that nobody reads any more
            stop(signal.SIGSTOP)
            asyncio.get_running_loop().call_later(0.3, stop, signal.SIGKILL)
        return None

    for body in (b"first", b"second"):
        await nc.jetstream(timeout=PATIENCE_S).publish(subjects.full("notify.chat"), body)
    running = asyncio.create_task(LowRateSubscribers(broker, [Subscriber(consumer, handle, "a test")], Metrics()).run())
    await eventually(lambda: b"second" in seen)
    await cancel_and_wait([running])
    await broker.stop()
    await server.stop()
    await watching

    assert seen == [b"first", b"second"], "the first is not told again"


async def _as_expected() -> None:
    """A restarted server needs nothing from us."""


async def test_what_no_consumer_brought_is_counted_and_has_no_effect(broker: NatsBroker, prefix: str) -> None:
    subjects, metrics = Subjects(prefix), Metrics()
    nc = broker.connection
    await provision(nc, topology(subjects, Limits()))
    consumer = agents_consumer(subjects)
    seen: list[bytes] = []

    async def handle(received: Received) -> float | None:
        seen.append(received.body)
        return None

    running = asyncio.create_task(LowRateSubscribers(broker, [Subscriber(consumer, handle, "a test")], metrics).run())
    await nc.jetstream(timeout=PATIENCE_S).publish(subjects.full("event.agent.a.answered"), b"first")
    await until(lambda: acknowledged(nc, consumer))
    for reply in ("", "somewhere"):
        await nc.publish(str(consumer.config["deliver_subject"]), b"forged", reply=reply)
    await nc.jetstream(timeout=PATIENCE_S).publish(subjects.full("event.agent.a.answered"), b"last")

    async def both() -> bool:
        return len(seen) == 2

    await until(both)
    await cancel_and_wait([running])
    assert seen == [b"first", b"last"]
    forged = metrics.registry.get_sample_value("headgate_forged_total", {"stream": consumer.stream})
    assert forged == 2.0


def test_no_subscriber_goes_by_the_policy_of_the_frame() -> None:
    """The frame's own policy is to drop what failed: every subscriber says that it acknowledges by itself."""
    broker = NatsBroker()
    subjects = Subjects("hg")

    async def handle(received: Received) -> float | None:
        return None

    consumers = [agents_consumer(subjects), notify_consumer(subjects, "chat")]
    LowRateSubscribers(broker, [Subscriber(each, handle, "a test") for each in consumers], Metrics())
    assert [subscriber.ack_policy for subscriber in broker.subscribers] == [AckPolicy.MANUAL, AckPolicy.MANUAL]
