"""What is no answer of the server's is taken for none."""

import orjson
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from adapters.errors import JetStreamError
from adapters.nats.jetstream_api import NOT_FOUND, api_request, understood

UNKNOWN_TO_THE_SERVER = "STREAM.OF.A.STRANGER"


@pytest.mark.parametrize(
    "forged",
    [b"", b"{", b"[]", b"{}", b'{"error":7}', b'{"seq":"7"}', b'{"status":201}', b'{"type":7}', b'{"type":"x"}'],
)
async def test_an_answer_of_a_stranger_is_as_good_as_none(nc: Client, forged: bytes) -> None:
    async def answer(message: Msg) -> None:
        await nc.publish(message.reply, forged)

    subscription = await nc.subscribe(f"$JS.API.{UNKNOWN_TO_THE_SERVER}", cb=answer)
    with pytest.raises(JetStreamError) as raised:
        await api_request(nc, UNKNOWN_TO_THE_SERVER)
    await subscription.unsubscribe()

    assert raised.value.code == 503


async def test_it_is_asked_again_where_a_stranger_was_first(nc: Client) -> None:
    answers = iter([b"{}", b'{"error":7}', b'{"type":"io.nats.jetstream.api.v1.stream_info_response","total":1}'])

    async def answer(message: Msg) -> None:
        await nc.publish(message.reply, next(answers))

    subscription = await nc.subscribe(f"$JS.API.{UNKNOWN_TO_THE_SERVER}", cb=answer)
    assert (await api_request(nc, UNKNOWN_TO_THE_SERVER))["total"] == 1
    await subscription.unsubscribe()


async def test_what_the_server_says_is_told_with_its_codes(nc: Client, prefix: str) -> None:
    with pytest.raises(JetStreamError) as raised:
        await api_request(nc, f"STREAM.INFO.{prefix}")
    assert raised.value.code == NOT_FOUND

    created = await api_request(nc, f"STREAM.CREATE.{prefix}", {"name": prefix, "subjects": [prefix]})
    assert orjson.dumps(created["config"]).startswith(b'{"name":')


@pytest.mark.parametrize("forged", [b"[]", b"7", b"{", b'{"config":7}', b"\xff"])
async def test_what_the_library_makes_of_a_strangers_answer_is_an_error_of_the_server(
    nc: Client, prefix: str, forged: bytes
) -> None:
    async def answer(message: Msg) -> None:
        await nc.publish(message.reply, forged)

    subscription = await nc.subscribe(f"{prefix}.CONSUMER.INFO.S.c", cb=answer)
    with pytest.raises(NatsError):
        await understood(nc.jetstream(prefix=prefix).consumer_info("S", "c"))
    await subscription.unsubscribe()
