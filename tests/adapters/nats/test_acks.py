import nats.aio.client
import pytest
from nats.aio.msg import Msg

from adapters.nats.acks import delivery_of


def message(reply: str, headers: dict[str, str] | None = None) -> Msg:
    client = nats.aio.client.Client()
    return Msg(client, "hg.ingest.session.usage", reply, b"body", headers)


@pytest.mark.parametrize(
    "reply",
    [
        "$JS.ACK.HG_INGEST.headgate-ingest.3.1234.77.1785555555123456789.40",
        "$JS.ACK.hub.ABCDEF.HG_INGEST.headgate-ingest.3.1234.77.1785555555123456789.40",
        "$JS.ACK._.ABCDEF.HG_INGEST.headgate-ingest.3.1234.77.1785555555123456789.40.x7",
    ],
)
def test_a_delivery_is_read_from_any_form_of_acknowledgement_subject(reply: str) -> None:
    delivery = delivery_of(message(reply, {"a": "b"}), strip=3)

    assert delivery.subject == "ingest.session.usage"
    assert delivery.body == b"body"
    assert delivery.headers == {"a": "b"}
    assert (delivery.stream, delivery.sequence, delivery.delivered) == ("HG_INGEST", 1234, 3)
    assert delivery.stored_at == 1785555555123456
    assert delivery.ack_to == reply


def test_a_message_without_headers_has_an_empty_mapping() -> None:
    delivery = delivery_of(message("$JS.ACK.S.c.1.1.1.1785555555123456789.0"), strip=0)

    assert delivery.headers == {}
    assert delivery.subject == "hg.ingest.session.usage"
