"""What strangers publish to the daemon's own inboxes is taken for no answer, and ends nothing."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg

from contracts.gate.receipts import OWN_INBOXES
from tests.contracts.samples import envelope, usage
from tests.daemon.operations.operating import operating, wrong
from tests.support.daemons import DaemonProcess, running_daemon

pytestmark = pytest.mark.process

FORGED: list[tuple[bytes, dict[str, str], str]] = [
    (b"", {}, ""),
    (b"{", {}, ""),
    (b"[]", {}, ""),
    (b'"text"', {}, ""),
    (b"{}", {}, ""),
    (b'{"error":7}', {}, ""),
    (b'{"seq":"7"}', {}, ""),
    (b'{"status":201,"outcome":"accepted"}', {}, ""),
    (b"", {"Status": "400", "Description": "Bad Request"}, ""),
    (b"", {"Status": "409", "Description": "Consumer Deleted"}, ""),
    (b"", {"Status": "408", "Nats-Pending-Messages": "9" * 5_000}, ""),
    (b"{}", {}, "$JS.ACK.x"),
    (b"{}", {}, "$JS.ACK.a.b.c.d.e.f.g.h.i.j.k.l"),
    (b"{}", {}, "$JS.ACK.HG_INGEST.headgate-ingest.x.y.z.0.0"),
]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[DaemonProcess]:
    with running_daemon(tmp_path) as ready:
        yield ready


async def test_forged_answers_end_nothing(daemon: DaemonProcess) -> None:
    stranger = await nats.connect(daemon.nats_url)
    inboxes: set[str] = set()

    async def overhear(message: Msg) -> None:
        """Requests tell where their answers, and the messages of pulls, arrive."""
        if message.reply.startswith(f"{OWN_INBOXES}.") and message.reply not in inboxes:
            inboxes.add(message.reply)
            for body, headers, reply in FORGED:
                await stranger.publish(message.reply, body, headers=headers or None, reply=reply)

    await stranger.subscribe("$JS.API.>", cb=overhear)
    async with operating(daemon) as operator:
        for number in range(30):
            await operator.publish(wrong(number))
            await asyncio.sleep(0.05)
        await stranger.close()
        assert inboxes, "the daemon's own inboxes lie where they are said to lie"
        await operator.letters(30, producers=["planner-7"])
        assert (await operator.result("health-check"))["status"] in ("healthy", "degraded")

    assert daemon.terminate() == 0


async def test_no_receipt_goes_to_an_inbox_of_the_daemons(daemon: DaemonProcess) -> None:
    async with operating(daemon) as operator:
        await operator.publish(
            envelope(usage(session_id="s"), message_id="m-1"),
            headers={"Headgate-Receipt": f"{OWN_INBOXES}.abc.0"},
        )
        letter = await operator.letter_of("m-1")

    assert (letter["code"], letter["paths"]) == ("VALIDATION_ERROR", ["headers.Headgate-Receipt"])
